"""With CuPy itself, on a device: `pytest -m gpu`. Skipped where there is none.

What a device does to a fit, transfer by transfer, is tested without one, with a stand-in, in
`tests/linear_model/test_device_fits.py` and its namesake for networks. Here the stand-in's
promises are held by CuPy.
"""

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec import Executor
from daskml_exec.kernels.cross_moments import cross_moments
from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.hessian_sums import hessian_sums
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial
from daskml_exec.kernels.moments import column_moments, first_non_finite
from daskml_exec.kernels.row_sample import take_rows
from daskml_exec.kernels.standardisation import standardisation
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.gpu

LOSSES = [BinaryLogistic(), Multinomial(3), Gaussian(), Poisson()]
ESTIMATORS = {
    "logistic-newton": (LogisticRegression(solver="newton"), "classes-2"),
    "logistic-lbfgs": (LogisticRegression(solver="lbfgs"), "classes-2"),
    "logistic-averaging": (LogisticRegression(solver="averaging"), "classes-2"),
    "softmax-newton": (LogisticRegression(solver="newton"), "classes-3"),
    "softmax-lbfgs": (LogisticRegression(solver="lbfgs"), "classes-3"),
    "softmax-averaging": (LogisticRegression(solver="averaging"), "classes-3"),
    "poisson-newton": (PoissonRegressor(alpha=0.01, solver="newton"), "counts"),
    "poisson-lbfgs": (PoissonRegressor(alpha=0.01, solver="lbfgs"), "counts"),
    "ridge-newton": (Ridge(solver="newton"), "numbers"),
    "ridge-lbfgs": (Ridge(solver="lbfgs"), "numbers"),
    "least-squares": (LinearRegression(), "numbers"),
}
FEW_EPOCHS = {"hidden_layer_sizes": (8, 5), "max_iter": 3, "batch_size": 60, "random_state": 0}
NETWORKS = {
    "two-adam": (MLPClassifier(**FEW_EPOCHS), "classes-2"),
    "two-logistic": (MLPClassifier(**FEW_EPOCHS, activation="logistic"), "classes-2"),
    "three-sgd": (MLPClassifier(**FEW_EPOCHS, solver="sgd", activation="tanh"), "classes-3"),
    "three-early": (MLPClassifier(**FEW_EPOCHS, early_stopping=True), "classes-3"),
    "numbers-adam": (MLPRegressor(**FEW_EPOCHS, activation="identity"), "numbers"),
    "numbers-sgd": (MLPRegressor(**FEW_EPOCHS, solver="sgd", momentum=0.0), "numbers"),
    "numbers-dealt": (MLPRegressor(**FEW_EPOCHS, shuffle="partitions"), "numbers"),
}
on_losses = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
on_estimators = pytest.mark.parametrize("name", ESTIMATORS)
weighted_or_not = pytest.mark.parametrize("weighted", [False, True])


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=1) as executor:
        yield executor


def data(target, n=500, d=7):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) * np.logspace(-1, 1, d) + np.arange(d)
    eta = X[:, 0] - X[:, 1]
    y = {
        "classes-2": lambda: (eta + rng.logistic(size=n) > 0).astype(int),
        "classes-3": lambda: np.digitize(eta + rng.logistic(size=n), [-1.0, 1.0]),
        "counts": lambda: rng.poisson(np.exp(0.3 * (eta - eta.mean()))).astype(float),
        "numbers": lambda: eta + rng.normal(size=n),
    }[target]()
    return X, y, rng.exponential(size=n)


def chunked(array):
    return da.from_array(array, chunks=(130, *array.shape[1:]))


def to_cupy(array):
    import cupy

    return cupy.asarray(array)


def assert_same(there, here, *names):
    for name in names:
        expected = getattr(here, name)
        scale = np.abs(expected).max()
        assert_allclose(getattr(there, name), expected, rtol=1e-9, atol=1e-11 * scale)


@on_losses
@weighted_or_not
@pytest.mark.parametrize("columns_there", [False, True])
def test_sums_agree_with_numpy(loss, weighted, columns_there):
    X, y, weight = data("classes-3" if loss.n_outputs > 1 else "classes-2")
    weight = weight if weighted else None
    coef, intercept = np.full((loss.n_outputs, 7), 0.1), np.arange(loss.n_outputs) * 0.1
    columns = [c if c is None or not columns_there else to_cupy(c) for c in (y, weight)]
    for center in (None, X.mean(axis=0)):
        here = loss_sums(loss, X, y, weight, coef, intercept, center)
        there = loss_sums(loss, to_cupy(X), *columns, coef, intercept, center)
        assert_same(there, here, "weight", "loss", "coef", "intercept")


@on_losses
@weighted_or_not
def test_hessians_agree_with_numpy(loss, weighted):
    X, _, weight = data("numbers")
    weight = weight if weighted else None
    to = standardisation(column_moments(X, weight), curvature=0.25, penalty=0.1, fit_intercept=True)
    point = np.full((loss.n_outputs, 8), 0.1)
    here = hessian_sums(loss, X, weight, to, point)
    assert_same(hessian_sums(loss, to_cupy(X), weight, to, point), here, "weight", "matrix")
    empty = hessian_sums(loss, to_cupy(X)[:0], None, to, point)
    assert empty.weight == 0.0 and not empty.matrix.any()


@weighted_or_not
def test_moments_agree_with_numpy(weighted):
    X, y, weight = data("numbers")
    X[:, 3] = 1.7e9 + np.round(1e3 * X[:, 3])
    X[:, 4] = 0.1
    weight = weight if weighted else None
    here, there = column_moments(X, weight), column_moments(to_cupy(X), weight)
    assert_allclose(there.mean, here.mean, rtol=1e-12)
    assert_allclose(there.spread, here.spread, rtol=1e-9, atol=1e-20)
    here, there = cross_moments(X, y, weight), cross_moments(to_cupy(X), y, weight)
    assert_allclose(there.mean, here.mean, rtol=1e-12)
    assert_allclose(there.scatter, here.scatter, rtol=1e-9, atol=1e-9 * here.scatter.max())


def test_what_is_not_finite_is_found_on_the_device():
    import cupy

    X = cupy.zeros((4, 3))
    assert first_non_finite(X) is None
    X[2, 1] = cupy.nan
    assert first_non_finite(X) == (2, 1, "NaN")


def test_rows_are_taken_on_the_device():
    import cupy

    X, _, _ = data("numbers")
    taken = take_rows(to_cupy(X), np.array([0, 7, 499]))
    assert isinstance(taken, cupy.ndarray)
    assert np.array_equal(taken.get(), X[[0, 7, 499]])


@pytest.mark.usefixtures("executor")
@on_estimators
@weighted_or_not
@pytest.mark.parametrize("columns_there", [False, True])
def test_a_fit_over_chunks_on_the_device_is_the_fit_on_the_host(name, weighted, columns_there):
    estimator, target = ESTIMATORS[name]
    X, y, weight = data(target)
    columns = [chunked(column) for column in ([y, weight] if weighted else [y])]
    expected = type(estimator)(**estimator.get_params()).fit(chunked(X), *columns)
    there = chunked(X).map_blocks(to_cupy)
    if columns_there:
        columns = [column.map_blocks(to_cupy) for column in columns]
    model = type(estimator)(**estimator.get_params()).fit(there, *columns)
    assert isinstance(model.coef_, np.ndarray)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7, atol=1e-9)
    score = expected.score(X, y, weight if weighted else None)
    assert model.score(there, *columns) == pytest.approx(score, rel=1e-9)
    predicted = model.predict(there).compute()
    assert isinstance(predicted, np.ndarray)
    assert_allclose(predicted, expected.predict(X), rtol=1e-6)


@pytest.mark.usefixtures("executor")
@on_estimators
def test_one_partition_whose_rounds_run_in_one_task(name):
    estimator, target = ESTIMATORS[name]
    X, y, _ = data(target)
    expected = type(estimator)(**estimator.get_params()).fit(X, y)
    there = da.from_array(X, chunks=X.shape).map_blocks(to_cupy)
    model = type(estimator)(**estimator.get_params()).fit(there, da.from_array(y, chunks=len(y)))
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)


@pytest.mark.usefixtures("executor")
def test_chunks_along_the_features_are_joined_on_the_device():
    X, y, _ = data("classes-2")
    there = da.from_array(X, chunks=(130, 3)).map_blocks(to_cupy)
    model = LogisticRegression().fit(there, chunked(y))
    expected = LogisticRegression().fit(X, y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)
    assert np.array_equal(model.predict(there).compute(), expected.predict(X))


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("name", ["logistic-newton", "softmax-lbfgs", "poisson-newton"])
def test_single_precision_with_a_tolerance_that_it_can_reach(name):
    estimator, target = ESTIMATORS[name]
    X, y, weight = data(target)
    X = X.astype(np.float32)
    loose = type(estimator)(**(estimator.get_params() | {"tol": 1e-4}))
    model = loose.fit(chunked(X).map_blocks(to_cupy), chunked(y), chunked(weight))
    expected = type(estimator)(**estimator.get_params()).fit(X, y, weight)
    assert model.coef_.dtype == np.float32
    assert_allclose(model.coef_, expected.coef_, rtol=5e-3, atol=1e-4)


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("name", ["logistic-newton", "least-squares"])
def test_what_is_not_finite_is_named(name):
    estimator, target = ESTIMATORS[name]
    X, y, _ = data(target)
    X[133, 2] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN in partition 1, column 2 \(row 3"):
        type(estimator)().fit(chunked(X).map_blocks(to_cupy), chunked(y))


def scaled(target):
    X, y, weight = data(target)
    return (X - X.mean(axis=0)) / X.std(axis=0), y, weight


def assert_same_network(there, here, rtol):
    for found, expected in zip(
        (*there.coefs_, *there.intercepts_), (*here.coefs_, *here.intercepts_), strict=True
    ):
        assert isinstance(found, np.ndarray) and found.dtype == expected.dtype
        assert_allclose(found, expected, rtol=rtol, atol=rtol)
    assert there.loss_curve_ == pytest.approx(here.loss_curve_, rel=rtol)


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns_there", [False, True])
@pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning")
def test_a_network_over_chunks_on_the_device_is_that_on_the_host(name, weighted, columns_there):
    estimator, target = NETWORKS[name]
    X, y, weight = scaled(target)
    columns = [chunked(column) for column in ([y, weight] if weighted else [y])]
    expected = type(estimator)(**estimator.get_params()).fit(chunked(X), *columns)
    there = chunked(X).map_blocks(to_cupy)
    if columns_there:
        columns = [column.map_blocks(to_cupy) for column in columns]
    model = type(estimator)(**estimator.get_params()).fit(there, *columns)
    assert_same_network(model, expected, rtol=1e-7)
    score = expected.score(X, y, weight if weighted else None)
    assert model.score(there, *columns) == pytest.approx(score, rel=1e-7)
    predicted = model.predict(there).compute()
    assert isinstance(predicted, np.ndarray)
    assert_allclose(predicted, expected.predict(X), rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("name", ["two-adam", "three-early", "numbers-sgd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning")
def test_a_network_on_one_partition_whose_rounds_run_in_one_task(name, dtype):
    estimator, target = NETWORKS[name]
    X, y, _ = scaled(target)
    X = X.astype(dtype)
    expected = type(estimator)(**estimator.get_params()).fit(X, y)
    there = da.from_array(X, chunks=X.shape).map_blocks(to_cupy)
    model = type(estimator)(**estimator.get_params()).fit(there, da.from_array(y, chunks=len(y)))
    assert_same_network(model, expected, rtol=1e-7 if dtype == np.float64 else 1e-3)


@pytest.mark.usefixtures("executor")
def test_a_network_names_what_is_not_finite():
    X, y, _ = scaled("classes-2")
    X[133, 2] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN in partition 1, column 2 \(row 3"):
        MLPClassifier().fit(chunked(X).map_blocks(to_cupy), chunked(y))
