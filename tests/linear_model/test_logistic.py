"""What the estimator offers besides the right coefficients."""

import gc
import pickle
import re
import time

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
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression as Sklearn

from daskml_exec.linear_model import LogisticRegression
from daskml_exec.training import History, RoundEvent

SOLVERS = ["lbfgs", "averaging"]
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


@pytest.fixture(params=[2, 3], ids=["binary", "multinomial"])
def iris(request):
    """Rows, string labels and weights of two or three species, mixed."""
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(np.flatnonzero(y < request.param))
    species = np.array(["setosa", "versicolor", "virginica"])
    return X[order], species[y[order]], np.random.default_rng(1).exponential(size=len(order))


def as_dask(X):
    return da.from_array(X, chunks=((20, 0, 33, len(X) - 53), *X.shape[1:]))


def as_csr(X):
    return as_dask(X).map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0)))


def as_frame(X):
    index = np.arange(len(X)) * 3
    pandas = pd.DataFrame(X, index, NAMES) if X.ndim == 2 else pd.Series(X, index)
    return dd.from_pandas(pandas, npartitions=4)


def computed(result):
    return np.asarray(result.compute() if dask.is_dask_collection(result) else result)


METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "kind", [np.asarray, sp.csr_matrix, sp.csc_array, as_dask, as_csr, as_frame]
)
def test_predictions_are_those_of_scikit_learn(iris, method, kind):
    X, y, _ = iris
    expected = getattr(Sklearn(solver="newton-cholesky", tol=1e-12).fit(X, y), method)(X)
    model = LogisticRegression().fit(kind(X), y)
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
def test_data_may_be_a_mixture_of_kinds(iris, x_kind, y_kind, w_kind):
    X, y, weight = iris
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
@pytest.mark.parametrize("y_kind", [np.asarray, as_dask, as_frame])
@pytest.mark.parametrize("weighted", [False, True])
def test_score_is_the_share_of_right_labels(iris, kind, y_kind, weighted):
    X, y, weight = iris
    model = LogisticRegression(C=1e-3).fit(as_frame(X) if kind is as_frame else X, y)
    right = computed(model.predict(kind(X))) == y
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
def test_dtypes_follow_the_data(iris, dtype, kind):
    X, y, _ = iris
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
        "fit_intercept": False,
        "class_weight": {0: 1.0},
        "tol": 1e-3,
        "max_iter": 7,
        "solver": "averaging",
        "warm_start": True,
        "verbose": 1,
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
        ({"solver": "newton-cholesky"}, r"'solver' .* {.*'averaging'.*}.*'newton-cholesky'"),
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


@pytest.mark.parametrize(
    ("solver", "weighted", "value"),
    [("lbfgs", False, np.nan), ("lbfgs", True, np.inf), ("averaging", True, np.nan)],
)
@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_csr, as_frame])
def test_what_is_not_finite_is_named_before_training(iris, solver, value, kind, weighted):
    X, y, weight = iris
    X = X.copy()
    X[60, 2] = value
    what = "NaN" if np.isnan(value) else "infinity"
    name = r" \('petal length'\)" if kind is as_frame else ""
    events = []
    model = LogisticRegression(solver=solver, callbacks=[events.append])
    weight = np.where(np.arange(len(X)) == 60, 0.0, weight) if weighted else None
    message = rf"X contains {what} in partition \d, column 2{name} \(row \d+ of the partition\)"
    with pytest.raises(ValueError, match=message):
        model.fit(kind(X), y, weight)
    assert events == [] and not hasattr(model, "coef_")


def test_values_that_are_too_large_say_so(iris):
    X, y, _ = iris
    with pytest.raises(ValueError, match="squares overflow float64; rescale"):
        LogisticRegression().fit(X * 1e200, y)


@pytest.mark.parametrize(
    ("solver", "kind"), [("lbfgs", np.asarray), ("lbfgs", as_dask), ("averaging", as_dask)]
)
def test_not_converging_warns_with_the_gradient_norm(iris, solver, kind):
    X, y, _ = iris
    model = LogisticRegression(solver=solver, max_iter=2, tol=1e-14)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(kind(X), y)
    norm = model.history_[-1].gradient_norm
    message = str(caught[0].message)
    assert f"solver={solver!r}" in message and "max_iter=2" in message
    assert f"the gradient norm is {norm:.2e}, above tol=1.00e-14" in message
    assert caught[0].filename == __file__
    assert model.n_iter_ == [2]


def test_a_tolerance_below_rounding_warns_that_rounding_stopped_it(iris):
    X, y, _ = iris
    with pytest.warns(ConvergenceWarning, match="rounding stopped progress|max_iter"):
        LogisticRegression(tol=0.0, max_iter=300).fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start_goes_on(iris, solver):
    X, y, _ = iris
    model = LogisticRegression(solver=solver, warm_start=True).fit(as_dask(X), y)
    coef, cold = model.coef_, len(model.history_)
    model.set_params(tol=1e-8).fit(as_dask(X), y)
    assert len(model.history_) <= (2 if solver == "lbfgs" else cold)
    assert_allclose(model.coef_, coef, rtol=1e-5, atol=1e-7)
    model.set_params(warm_start=False).fit(as_dask(X), y)
    assert len(model.history_) > 2


def test_warm_start_with_another_shape_raises(iris):
    X, y, _ = iris
    model = LogisticRegression(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"coef_ of the last fit has shape \(\d, 4\); this data"):
        model.fit(X[:, :3], y)


@pytest.mark.parametrize(
    ("solver", "kind"),
    [("lbfgs", np.asarray), ("lbfgs", as_frame), ("averaging", np.asarray), ("averaging", as_dask)],
)
def test_events_bring_an_estimator_that_scores(iris, solver, kind):
    X, y, _ = iris
    seen = []

    def watch(event):
        assert isinstance(event, RoundEvent)
        seen.append(
            (event.record, event.estimator.score(X if kind is not as_frame else kind(X), y))
        )

    model = LogisticRegression(solver=solver, callbacks=[watch]).fit(kind(X), y)
    assert tuple(record for record, _ in seen) == model.history_.records
    assert seen[-1][1] == model.score(kind(X), y) > 0.9
    losses = [record.loss for record, _ in seen if record.loss is not None]
    assert losses[-1] == pytest.approx(min(losses), rel=1e-9)


def test_the_estimator_of_an_event_is_not_the_one_in_training(iris):
    X, y, _ = iris
    events = []
    model = LogisticRegression(callbacks=[events.append]).fit(X, y)
    last = events[-1].estimator
    assert last is not model and np.array_equal(last.coef_, model.coef_)
    assert not np.array_equal(events[1].estimator.coef_, model.coef_)
    assert not events[0].estimator.coef_.any()


def test_a_callback_stops_the_fit_without_a_warning(iris):
    X, y, _ = iris
    model = LogisticRegression(callbacks=[lambda event: event.record.round == 4])
    model.fit(as_dask(X), y)
    assert len(model.history_) == 5
    assert model.predict(X).shape == y.shape


def keys_left(executor):
    """Wait for the scheduler to forget what nobody holds, and return what is left."""
    gc.collect()
    deadline = time.monotonic() + 5
    left = None
    while left != [] and time.monotonic() < deadline:
        left = executor.client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    return left


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_interrupting_a_fit_leaves_nothing_on_the_cluster(iris, executor, kind):
    X, y, _ = iris

    def interrupt(event):
        if event.record.round == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as kept:  # as a notebook keeps the last traceback
        LogisticRegression(callbacks=[interrupt]).fit(kind(X), y)
    assert keys_left(executor) == []
    assert kept.traceback


def test_kept_events_keep_nothing_on_the_cluster_and_pickle(iris, executor):
    X, y, _ = iris
    events = []
    model = LogisticRegression(callbacks=[events.append]).fit(as_dask(X), y)
    assert keys_left(executor) == []
    thawed = pickle.loads(pickle.dumps(model))
    assert np.array_equal(thawed.coef_, model.coef_)
    again = pickle.loads(pickle.dumps(events[-1]))
    assert np.array_equal(again.estimator.coef_, model.coef_)


def test_verbose_prints_a_line_per_round(iris, capsys):
    X, y, _ = iris
    model = LogisticRegression(verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(model.history_)
    assert re.fullmatch(r"round +0  moments +[\d.]+ ms", lines[0])
    assert re.fullmatch(
        r"round +1  gradient  loss [\d.]+  gradient \d\.\d\de[+-]\d\d  [\d.]+ ms", lines[1]
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_history_counts_what_moved(iris, solver):
    X, y, _ = iris
    model = LogisticRegression(solver=solver).fit(as_dask(X), y)
    rows = model.coef_.shape[0]
    moments, *others = model.history_
    assert moments.step == "moments"
    assert moments.bytes_out == 0 and moments.bytes_back == 4 * 8 * (1 + 2 * 4)
    for record in others:
        if record.step == "gradient":
            assert record.bytes_out == 4 * 8 * rows * (4 + 1)
            assert record.bytes_back == 4 * 8 * (2 + rows * (4 + 1))
            assert record.loss is not None and record.gradient_norm is not None
        else:
            assert record.step == "solve" and record.loss is None
    assert others[-1].gradient_norm <= model.tol


def test_auto_is_lbfgs(iris):
    X, y, _ = iris
    auto, lbfgs = (LogisticRegression(solver=s).fit(as_dask(X), y) for s in ("auto", "lbfgs"))
    assert np.array_equal(auto.coef_, lbfgs.coef_)


@pytest.mark.parametrize("y", [None, "missing"])
def test_y_is_required(iris, y):
    with pytest.raises((ValueError, TypeError), match="y"):
        LogisticRegression().fit(as_dask(iris[0]), *([] if y else [None]))
