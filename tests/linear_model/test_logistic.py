"""What the classifier predicts, from data of every kind."""

import itertools
import pickle

import array_api_strict as xp
import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression as Sklearn

from daskml_exec.linear_model import LogisticRegression
from daskml_exec.training import History
from tests.linear_model.toolbox import NAMES, as_csr, as_dask, as_frame, computed

SOLVERS = ["newton", "lbfgs", "averaging"]
METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


@pytest.mark.parametrize(
    "kind", [np.asarray, sp.csr_matrix, sp.csc_array, as_dask, as_csr, as_frame]
)
def test_predictions_are_those_of_scikit_learn(iris, kind):
    X, y, _ = iris
    exact = Sklearn(solver="newton-cholesky", tol=1e-12).fit(X, y)
    model = LogisticRegression().fit(kind(X), y)
    for method in METHODS:
        assert_predicts(model, method, kind, X, getattr(exact, method)(X))


def assert_predicts(model, method, kind, X, expected):
    result = getattr(model, method)(kind(X))
    assert isinstance(result, np.ndarray) != dask.is_dask_collection(result)
    found = result
    if kind in (as_dask, as_csr):
        assert isinstance(result, da.Array) and result.chunks[0] == (20, 0, 33, len(X) - 53)
        assert result.shape == expected.shape
        found = result.compute()
        assert found.dtype == result.dtype
    elif kind is as_frame:
        assert isinstance(result, dd.Series if expected.ndim == 1 else dd.DataFrame)
        frame = result.compute()
        assert frame.index.tolist() == (np.arange(len(X)) * 3).tolist()
        if expected.ndim == 2:
            assert frame.columns.tolist() == model.classes_.tolist()
        found = frame.to_numpy()
    if method == "predict":
        assert found.tolist() == expected.tolist()
    else:
        assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("x_kind", "y_kind", "w_kind"),
    [
        (np.asarray, as_dask, as_frame),
        (np.asarray, as_frame, list),
        (pd.DataFrame, as_dask, pd.Series),
        (sp.csr_matrix, pd.Series, as_dask),
        (as_dask, list, as_frame),
        (as_dask, as_frame, list),
        (as_csr, pd.Series, as_dask),
        (as_csr, as_frame, pd.Series),
    ],
)
def test_data_may_be_a_mixture_of_kinds(species, x_kind, y_kind, w_kind):
    X, y, weight = species
    model = LogisticRegression(tol=1e-8).fit(x_kind(X), y_kind(y), w_kind(weight))
    expected = Sklearn(solver="newton-cholesky", tol=1e-12).fit(X, y, weight)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-5, atol=1e-6)
    assert model.classes_.tolist() == expected.classes_.tolist()


def test_futures_as_columns_of_data_in_memory(iris, executor):
    X, y, weight = iris
    halves = executor.client.scatter([y[:30], y[30:]], hash=False)
    series = executor.client.scatter([pd.Series(weight[:9]), pd.Series(weight[9:])], hash=False)
    model = LogisticRegression().fit(X, halves, series)
    assert_allclose(model.coef_, LogisticRegression().fit(X, y, weight).coef_)
    assert model.score(X, halves) == model.score(X, y)


@pytest.mark.parametrize("n", [-1, 1])
@pytest.mark.parametrize("name", ["y", "sample_weight"])
@pytest.mark.parametrize("x_kind", [np.asarray, as_dask])
@pytest.mark.parametrize("kind", [np.asarray, lambda a: da.from_array(a, chunks=40)])
def test_lengths_that_differ_raise(iris, n, name, x_kind, kind):
    X, y, weight = iris
    columns = {"y": y, "sample_weight": weight}
    columns[name] = kind(np.resize(columns[name], len(X) + n))
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples|sample_weight\.shape"):
        LogisticRegression().fit(x_kind(X), **columns)


def test_predictions_for_futures_are_futures(iris, executor):
    X, y, _ = iris
    futures = executor.client.scatter([X[:30], X[30:30], X[30:]], hash=False)
    model = LogisticRegression().fit(futures, y)
    for method in METHODS:
        found = executor.client.gather(getattr(model, method)(futures))
        assert np.array_equal(np.concatenate(found), getattr(model, method)(X))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, as_dask, as_csr, as_frame])
def test_score_is_the_share_of_right_labels(iris, kind):
    X, y, weight = iris
    model = LogisticRegression(C=1e-3).fit(as_frame(X) if kind is as_frame else X, y)
    right = computed(model.predict(kind(X))) == y
    for y_kind, weighted in itertools.product((np.asarray, as_dask, as_frame), (False, True)):
        expected = np.average(right, weights=weight if weighted else None)
        found = model.score(kind(X), y_kind(y), y_kind(weight) if weighted else None)
        assert isinstance(found, float) and found == pytest.approx(expected)


@pytest.mark.parametrize("solver", SOLVERS)
def test_arrays_on_a_device_train_and_predict(executor, solver):
    """float32 only, and nothing reaches the host but through the named transfer points."""
    X, y = load_iris(return_X_y=True)
    device = xp.Device("no_float64")

    def there(piece):
        return xp.asarray(piece.astype(np.float32), device=device)

    futures = executor.client.scatter([there(X[:70]), there(X[70:])], hash=False)
    model = LogisticRegression(solver=solver, tol=1e-4).fit(futures, y)
    assert model.coef_.dtype == np.float32 and isinstance(model.coef_, np.ndarray)
    assert_allclose(model.coef_, LogisticRegression().fit(X, y).coef_, rtol=0.02, atol=0.02)
    labels = np.concatenate(executor.client.gather(model.predict(futures)))
    assert np.array_equal(labels, model.predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, bool])
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_dtypes_follow_the_data(species, dtype, kind):
    X, y, _ = species
    model = LogisticRegression().fit(kind((X * 2).astype(dtype)), y)
    expected = np.float32 if dtype == np.float32 else np.float64
    assert model.coef_.dtype == model.intercept_.dtype == expected
    for method in METHODS[1:]:
        assert getattr(model, method)(kind((X * 2).astype(dtype))).dtype == expected


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_fitted_attributes_are_plain_and_pickle(iris, kind):
    X, y, weight = iris
    model = LogisticRegression(callbacks=[print_nothing]).fit(kind(X), y, weight)
    rows = 1 if len(model.classes_) == 2 else 3
    assert model.coef_.shape == (rows, 4) and model.intercept_.shape == (rows,)
    assert model.n_features_in_ == 4 and not hasattr(model, "feature_names_in_")
    assert model.classes_.tolist() == np.unique(y).tolist() and model.classes_.dtype == y.dtype
    assert model.n_iter_.shape == (1,) and model.n_iter_.dtype == np.int32
    assert isinstance(model.history_, History)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.history_ == model.history_


def print_nothing(event):
    """A callback that pickles."""


def test_parameters_are_stored_untouched_and_cloned():
    params = {
        "C": np.float32(2.0),
        "l1_ratio": 0.25,
        "fit_intercept": False,
        "class_weight": {0: 1.0},
        "tol": 1e-3,
        "max_iter": 7,
        "solver": "averaging",
        "warm_start": True,
        "verbose": 1,
        "parallel": "auto",
        "n_blocks": 3,
        "callbacks": (print_nothing,),
    }
    model = LogisticRegression(**params)
    assert model.get_params() == params
    assert all(model.get_params()[name] is value for name, value in params.items())
    assert clone(model).get_params() == params
    assert repr(LogisticRegression(C=2.0)) == "LogisticRegression(C=2.0)"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"solver": "newton-cholesky"}, r"'solver' .* {.*'newton'.*}.*'newton-cholesky'"),
        ({"solver": "sag"}, r"'solver' .* {.*'lbfgs'.*}.*'sag'"),
        ({"C": 0.0}, "'C' .* Got 0.0"),
        ({"C": -1}, "'C' .* Got -1"),
        ({"tol": -1e-3}, "'tol'"),
        ({"max_iter": 0}, "'max_iter'"),
        ({"class_weight": "even"}, "'class_weight'"),
        ({"callbacks": 3}, "'callbacks'"),
        ({"callbacks": [3]}, "callbacks has 3, which cannot be called"),
    ],
)
def test_parameters_that_are_not_allowed_are_named(iris, params, message):
    X, y, _ = iris
    with pytest.raises((ValueError, TypeError), match=message):
        LogisticRegression(**params).fit(X, y)


def test_unfitted_estimators_say_so(iris):
    for method in METHODS:
        for kind in (np.asarray, as_dask):
            with pytest.raises(NotFittedError):
                getattr(LogisticRegression(), method)(kind(iris[0]))
    with pytest.raises(NotFittedError):
        LogisticRegression().score(as_dask(iris[0]), iris[1])


@pytest.mark.parametrize("kind", [lambda f: f, lambda f: dd.from_pandas(f, npartitions=3)])
def test_feature_names(iris, kind):
    X, y, _ = iris
    frame = pd.DataFrame(X, columns=NAMES)
    model = LogisticRegression().fit(kind(frame), y)
    assert model.feature_names_in_.tolist() == NAMES
    model.predict(kind(frame))
    for method in METHODS:
        with pytest.raises(ValueError, match="feature names should match"):
            getattr(model, method)(kind(frame[NAMES[::-1]]))
    with pytest.raises(ValueError, match="feature names should match"):
        model.score(kind(frame.rename(columns={NAMES[0]: "petals"})), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(X)


@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_csr])
def test_another_number_of_features_is_named(iris, kind):
    X, y, _ = iris
    model = LogisticRegression().fit(X, y)
    for method in METHODS:
        with pytest.raises(
            ValueError, match="X has 3 features, but LogisticRegression is expecting 4"
        ):
            getattr(model, method)(kind(X[:, :3].copy()))
