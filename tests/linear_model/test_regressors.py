"""What the regressors offer besides the right coefficients."""

import itertools
import pickle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression as SklearnLinearRegression
from sklearn.linear_model import PoissonRegressor as SklearnPoissonRegressor
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import d2_tweedie_score, r2_score

from daskml_exec.linear_model import LinearRegression, PoissonRegressor, Ridge
from daskml_exec.training import History
from tests.linear_model.toolbox import NAMES, as_csr, as_dask, as_frame, as_futures, computed
from tests.tiers import each_value

SKLEARN = {
    LinearRegression: lambda: SklearnLinearRegression(tol=1e-15),
    Ridge: lambda: SklearnRidge(solver="svd"),
    PoissonRegressor: lambda: SklearnPoissonRegressor(solver="newton-cholesky", tol=1e-12),
}
MODELS = [LinearRegression, Ridge, PoissonRegressor]
KINDS = [np.asarray, sp.csr_matrix, sp.csc_array, as_dask, as_csr, as_frame]


@pytest.fixture(params=MODELS)
def model(request):
    return request.param()


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 4)) * [1.0, 10.0, 0.1, 1.0]
    z = X / [1.0, 10.0, 0.1, 1.0] @ [0.5, -0.5, 0.25, 0.1]
    return X, rng.poisson(np.exp(z + 1.0)), rng.exponential(size=90)


def expected_of(model, X, y, weight=None):
    return SKLEARN[type(model)]().fit(X, y, weight)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_those_of_scikit_learn_in_the_kind_of_the_data(model, rows, kind):
    X, y, weight = rows
    model.fit(kind(X), y, weight)
    expected = expected_of(model, X, y, weight)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    assert model.intercept_ == pytest.approx(expected.intercept_, rel=1e-9)
    result = model.predict(kind(X))
    assert isinstance(result, np.ndarray) != dask.is_dask_collection(result)
    if kind in (as_dask, as_csr):
        assert isinstance(result, da.Array) and result.chunks == ((20, 0, 33, 37),)
        assert result.dtype == result.compute().dtype == np.float64
    elif kind is as_frame:
        assert isinstance(result, dd.Series)
        assert result.compute().index.tolist() == (np.arange(90) * 3).tolist()
    np.testing.assert_allclose(computed(result), expected.predict(X), rtol=1e-9)


def test_futures(model, rows, executor):
    X, y, weight = rows
    futures = as_futures(executor, X)
    model.fit(futures, as_futures(executor, y), as_futures(executor, weight))
    found = executor.client.gather(model.predict(futures))
    assert np.array_equal(np.concatenate(found), model.predict(X))
    expected = expected_of(model, X, y, weight)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    assert model.score(futures, y, weight) == pytest.approx(expected.score(X, y, weight), rel=1e-9)


@pytest.mark.parametrize(
    ("x_kind", "y_kind", "w_kind"),
    [
        (np.asarray, as_dask, as_frame),
        (pd.DataFrame, pd.Series, list),
        (as_dask, list, as_frame),
        (as_frame, as_dask, pd.Series),
        (as_csr, pd.Series, as_dask),
    ],
)
def test_data_may_be_a_mixture_of_kinds(model, rows, x_kind, y_kind, w_kind):
    X, y, weight = rows
    model.fit(x_kind(X), y_kind(y), w_kind(weight))
    expected = expected_of(model, X, y, weight)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)


@each_value(given=[Ridge, PoissonRegressor], kind=KINDS)  # LinearRegression's is Ridge's
def test_score_is_the_metric_of_scikit_learn(given, rows, kind):
    X, y, weight = rows
    model = given()
    model.fit(as_frame(X) if kind is as_frame else X, y)
    predicted = computed(model.predict(kind(X)))
    for y_kind, weighted in itertools.product((np.asarray, as_dask, as_frame), (False, True)):
        sample_weight = weight if weighted else None
        if isinstance(model, PoissonRegressor):
            expected = d2_tweedie_score(y, predicted, sample_weight=sample_weight, power=1)
        else:
            expected = r2_score(y, predicted, sample_weight=sample_weight)
        found = model.score(kind(X), y_kind(y), y_kind(weight) if weighted else None)
        assert isinstance(found, float) and found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_dtypes_follow_the_data(model, rows, dtype, kind):
    X, y, _ = rows
    X = np.abs(X * 2).astype(dtype)
    model.fit(kind(X), y)
    wanted = np.float32 if dtype == np.float32 else np.float64
    assert model.coef_.dtype == model.intercept_.dtype == model.predict(kind(X)).dtype == wanted


def print_nothing(event):
    """A callback that pickles."""


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_fitted_attributes_are_plain_and_pickle(model, rows, kind):
    X, y, weight = rows
    model.set_params(callbacks=[print_nothing]).fit(kind(X), y, weight)
    assert model.coef_.shape == (4,) and np.ndim(model.intercept_) == 0
    assert model.n_features_in_ == 4 and not hasattr(model, "feature_names_in_")
    assert isinstance(model.n_iter_, int) and model.n_iter_ >= 1
    assert isinstance(model.history_, History)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X))
    assert again.history_ == model.history_ and str(again.explain()) == str(model.explain())


@pytest.mark.parametrize("kind", [lambda f: f, lambda f: dd.from_pandas(f, npartitions=3)])
def test_feature_names(model, rows, kind):
    X, y, _ = rows
    frame = pd.DataFrame(X, columns=NAMES)
    model.fit(kind(frame), y)
    assert model.feature_names_in_.tolist() == NAMES
    for method in (model.predict, lambda X: model.score(X, y)):
        with pytest.raises(ValueError, match="feature names should match"):
            method(kind(frame[NAMES[::-1]]))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(X)
    assert model.to_sklearn().feature_names_in_.tolist() == NAMES


@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_csr])
def test_another_number_of_features_is_named(model, rows, kind):
    X, y, _ = rows
    model.fit(X, y)
    with pytest.raises(ValueError, match=rf"X has 3 features, but {type(model).__name__} is exp"):
        model.predict(kind(X[:, :3].copy()))


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_unfitted_estimators_say_so(model, rows, kind):
    X, y, _ = rows
    for method in (model.predict, lambda X: model.score(X, y)):
        with pytest.raises(NotFittedError):
            method(kind(X))
    for method in (model.explain, model.to_sklearn):
        with pytest.raises(NotFittedError):
            method()


@pytest.mark.parametrize(
    ("given", "params"),
    [
        (LinearRegression, {"tol": 1e-3, "max_iter": 7, "fit_intercept": False}),
        (Ridge, {"alpha": np.float32(2.0), "solver": "lbfgs", "max_iter": 7}),
        (PoissonRegressor, {"alpha": 0, "solver": "newton", "warm_start": True, "verbose": 1}),
    ],
)
def test_parameters_are_stored_untouched_and_cloned(given, params):
    model = given(**params)
    assert all(model.get_params()[name] is value for name, value in params.items())
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("given", [Ridge, PoissonRegressor])
def test_named_solvers_agree(given, rows, solver):
    X, y, weight = rows
    model = given(solver=solver).fit(as_dask(X), y, weight)
    expected = expected_of(model, X, y, weight)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6)
    assert model.explain().regime == (
        "gradients" if solver == "lbfgs" else "normal equations" if given is Ridge else "hessian"
    )


def test_warm_start_goes_on(rows):
    X, y, _ = rows
    model = PoissonRegressor(warm_start=True).fit(as_dask(X), y)
    cold, coef = len(model.history_), model.coef_
    model.fit(as_dask(X), y)
    assert len(model.history_) == 2 < cold
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-9)
    with pytest.raises(ValueError, match=r"coef_ of the last fit has shape \(1, 4\); this data"):
        model.fit(X[:, :3], y)


def test_events_bring_an_estimator_that_scores(model, rows):
    X, y, _ = rows
    seen = []
    if isinstance(model, PoissonRegressor):
        model.set_params(verbose=0)
    model.set_params(callbacks=[lambda event: seen.append(event.estimator.score(X, y))])
    model.fit(as_dask(X), y)
    assert len(seen) == len(model.history_) and seen[-1] == pytest.approx(model.score(X, y))


def test_what_no_solver_reaches_is_warned_of(rows):
    X, y, _ = rows
    for model in (Ridge(solver="lbfgs"), PoissonRegressor()):
        model.set_params(max_iter=2, tol=1e-15)
        name = type(model).__name__
        with pytest.warns(ConvergenceWarning) as caught:
            model.fit(as_dask(X), y)
        message = str(caught[0].message)
        assert message.startswith(f"{name}(solver={model.solver!r}) stopped before it converged")
        assert "(max_iter=2): after 2 iterations" in message and "tol=1.00e-15" in message
        assert model.n_iter_ == 2
    with pytest.warns(ConvergenceWarning, match=r"LinearRegression\(\) stopped .* \(rounding"):
        LinearRegression(tol=0.0).fit(as_dask(X), y)


@pytest.mark.parametrize("given", [Ridge(solver="lbfgs"), PoissonRegressor()])
def test_a_warning_points_to_the_caller(rows, given):
    with pytest.warns(ConvergenceWarning) as caught:
        given.set_params(max_iter=1).fit(*rows[:2])
    assert caught[0].filename == __file__
