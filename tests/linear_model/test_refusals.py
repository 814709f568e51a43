"""What is not supported raises, and the message names the argument and what is allowed."""

import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from tests.linear_model.toolbox import as_csr, as_dask, as_frame
from tests.tiers import each_pair

REGRESSORS = [LinearRegression, Ridge, PoissonRegressor]
MODELS = [LogisticRegression, *REGRESSORS]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(90, 3)), rng.poisson(2.0, size=90).astype(float)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Ridge(alpha=-1), "'alpha' parameter of Ridge .* Got -1"),
        (Ridge(solver="svd"), r"'solver' .*'newton'.*Got 'svd'"),
        (Ridge(solver="averaging"), r"'solver' .*Got 'averaging'"),
        (Ridge(tol=-1e-3), "'tol'"),
        (Ridge(max_iter=0), "'max_iter'"),
        (Ridge(fit_intercept="yes"), "'fit_intercept'"),
        (PoissonRegressor(alpha=np.nan), "'alpha'"),
        (PoissonRegressor(solver="newton-cholesky"), r"'solver' .*Got 'newton-cholesky'"),
        (PoissonRegressor(solver="averaging"), r"'solver' .*Got 'averaging'"),
        (PoissonRegressor(warm_start=3), "'warm_start'"),
        (PoissonRegressor(verbose=-1), "'verbose'"),
        (LinearRegression(max_iter=1.5), "'max_iter'"),
        (LinearRegression(callbacks=3), "'callbacks'"),
        (LinearRegression(callbacks=[3]), "callbacks has 3, which cannot be called"),
    ],
)
def test_parameters_that_are_not_allowed_are_named(rows, model, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(*rows)


@pytest.mark.parametrize("given", MODELS)
@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_frame])
def test_y_is_required(rows, given, kind):
    with pytest.raises(ValueError, match=f"{given.__name__} requires y to be passed"):
        given().fit(kind(rows[0]), None)
    with pytest.raises(ValueError, match=f"{given.__name__} requires y to be passed"):
        given().fit(kind(rows[0]))


@pytest.mark.parametrize("given", REGRESSORS)
@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_frame])
@pytest.mark.parametrize("dtype", [object, str])
def test_words_are_no_targets(rows, given, kind, dtype):
    words = np.resize(np.array(["one", "two"], dtype=dtype), 90)
    with pytest.raises(ValueError, match=r"could not convert|allowed are real numbers"):
        given().fit(kind(rows[0]), kind(words))


@pytest.mark.parametrize("given", MODELS)
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_y_with_two_columns(rows, given, kind):
    X, y = rows
    with pytest.raises(ValueError, match=r"y should be a 1d array|y.*\(90, 2\)|y.*2 columns"):
        given().fit(kind(X), kind(np.column_stack([y, y])))


@pytest.mark.parametrize("given", REGRESSORS)
@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_frame])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_targets_that_are_not_finite(rows, given, kind, value):
    X, y = rows
    y[70] = value
    with pytest.raises(ValueError, match=r"y.* contains (NaN|infinity)|y has (NaN|infinity)"):
        given().fit(kind(X), kind(y))


@each_pair(given=REGRESSORS, kind=[np.asarray, as_dask, as_csr, as_frame], value=[np.nan, -np.inf])
def test_features_that_are_not_finite(rows, given, kind, value):
    X, y = rows
    X[70, 1] = value
    what = "NaN" if np.isnan(value) else "infinity"
    where = rf"X contains {what} in partition \d, column 1.*\(row \d+ of the partition\)"
    with pytest.raises(ValueError, match=where):
        given().fit(kind(X), y, np.where(np.arange(90) == 70, 0.0, 1.0))


@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_frame])
def test_counts_below_zero(rows, kind):
    X, y = rows
    y[70] = -0.5
    with pytest.raises(ValueError, match=r"y has -0\.5 in row \d+ of .*; allowed are values from"):
        PoissonRegressor().fit(kind(X), kind(y))


@pytest.mark.parametrize("given", MODELS)
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_weights_below_zero_or_none_above(rows, given, kind):
    X, y = rows
    y = (y > 1).astype(float)
    with pytest.raises(ValueError, match="sample_weight"):
        given().fit(kind(X), y, kind(np.where(np.arange(90) == 70, -1.0, 1.0)))
    with pytest.raises(ValueError, match=r"weight|class"):
        given().fit(kind(X), y, kind(np.zeros(90)))


@pytest.mark.parametrize("given", MODELS)
@pytest.mark.parametrize("kind", [np.asarray, lambda a: da.from_array(a, chunks=40)])
@pytest.mark.parametrize("n", [-1, 1])
def test_lengths_that_differ(rows, given, kind, n):
    X, y = rows
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        given().fit(kind(X), kind(np.resize(y > 1, len(y) + n)))


@pytest.mark.parametrize("given", MODELS)
def test_no_rows_and_no_columns(rows, given):
    X, y = rows
    with pytest.raises(ValueError, match=r"0 sample|at least one row|at least two classes"):
        given().fit(X[:0], y[:0])
    with pytest.raises(ValueError, match=r"0 feature|at least one"):
        given().fit(X[:, :0], y > 1)
    with pytest.raises(ValueError, match=r"0 feature|at least one"):
        given().fit(da.from_array(X[:, :0], chunks=(40, 1)), y > 1)


@pytest.mark.parametrize("given", MODELS)
def test_values_that_are_too_large_say_so(rows, given):
    X, y = rows
    with pytest.raises(ValueError, match="squares overflow float64; rescale"):
        given().fit(X * 1e200, y > 1)


def test_frames_without_numbers(rows):
    frame = pd.DataFrame({"a": ["x", "y"] * 45, "b": rows[0][:, 0]})
    for given in MODELS:
        with pytest.raises(ValueError, match=r"could not convert|numeric|dtype|numbers"):
            given().fit(as_frame_of(frame), rows[1] > 1)


def as_frame_of(frame):

    return dd.from_pandas(frame, npartitions=3)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_counts_that_are_all_zero_where_they_weigh(rows, fit_intercept, alpha, weighted):
    X, y = rows
    y[:40] = 0.0
    weight = np.where(np.arange(90) < 40, 1.0, 0.0)
    model = PoissonRegressor(alpha=alpha, fit_intercept=fit_intercept)
    for kind in (np.asarray, as_dask):
        with pytest.raises(ValueError, match=r"y .* (0|zero)"):
            model.fit(kind(X), y if weighted else np.zeros(90), weight if weighted else None)


@pytest.mark.parametrize("values", [["2020-01-01", None, "2020-01-03"], ["2020-01-01"] * 3])
@pytest.mark.parametrize("kind", ["array", "frame", "dask frame"])
def test_dates_are_no_numbers(values, kind):
    frame = pd.DataFrame({"a": pd.to_datetime(values), "b": [1.0, 2.0, 3.0]})
    given = {"frame": frame, "array": frame[["a"]].to_numpy(), "dask frame": as_frame_of(frame)}
    with pytest.raises(TypeError, match=r"X has datetime64.*allowed are numbers"):
        Ridge().fit(given[kind], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("estimator", [Ridge, LinearRegression])
def test_the_target_that_overflows_is_named(rows, estimator):
    X, y = rows
    for kind in (np.asarray, as_dask):
        with pytest.raises(ValueError, match="y has values whose squares overflow"):
            estimator().fit(kind(X), (y + 1.0) * 1e200)


@pytest.mark.parametrize("alpha", ["1", None, [1, 2]])
def test_alpha_is_checked_before_it_is_used(rows, alpha):
    with pytest.raises(ValueError, match="alpha"):
        Ridge(alpha=alpha).fit(*rows)


def test_a_score_without_deviance(rows):
    X, y = rows
    model = PoissonRegressor().fit(X, np.abs(y) + 1.0)
    assert np.isnan(model.score(X, np.zeros(len(y))))


@pytest.mark.parametrize("model", [Ridge(alpha=np.inf), PoissonRegressor(alpha=np.inf)])
def test_an_infinite_penalty_is_refused(rows, model):
    with pytest.raises(ValueError, match=r"'alpha' .* in the range \[0.0, inf\). Got inf"):
        model.fit(*rows)


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "averaging"])
def test_strengths_at_the_ends_of_float64(rows, solver):
    X, labels = rows[0], rows[1] > 2
    with pytest.raises(ValueError, match=r"C=1e-310, whose inverse overflows .* allowed are"):
        LogisticRegression(C=1e-310, solver=solver).fit(X, labels)
    model = LogisticRegression(C=1e-300, solver=solver).fit(X, labels)
    assert 0 < np.abs(model.coef_).max() < 1e-297
    assert model.intercept_ == pytest.approx(np.log(labels.mean() / (1 - labels.mean())))


@pytest.mark.parametrize("model", [LogisticRegression(), Ridge()])
def test_a_penalty_that_overflows_beside_the_weights(rows, model):
    X, y = rows
    with pytest.raises(ValueError, match=r"penalty overflows .* sample_weight"):
        model.fit(X, y > 2, np.full(len(y), 1e-315))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_weights_whose_sum_overflows_are_named(rows, model, kind):
    X, y = rows
    with pytest.raises(ValueError, match="sample_weight has values whose sum overflows"):
        model().fit(kind(X), kind((y > 2).astype(float)), kind(np.full(len(y), 1e307)))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_frame])
def test_weights_that_are_all_zero_are_refused(rows, model, kind):
    X, y = rows
    with pytest.raises(ValueError, match="weight"):
        model().fit(kind(X), kind((y > 2).astype(float)), kind(np.zeros(len(y))))


@pytest.mark.parametrize("parallel", ["data", "model"])
def test_the_column_that_overflows_is_named(rows, parallel):
    """Within a partition, and where only the difference of two partitions does."""
    X, y = rows
    for values in (
        np.where(np.arange(90) == 5, 1e200, 0.0),
        np.where(np.arange(90) < 20, 1e154, -1e154),
    ):
        Z = np.column_stack([X[:, 0], values, X[:, 2]])
        with pytest.raises(ValueError, match="column 1 whose squares overflow"):
            LogisticRegression(parallel=parallel).fit(as_dask(Z), as_dask((y > 2).astype(int)))


@pytest.mark.parametrize(
    "solver", ["newton", "lbfgs", pytest.param("averaging", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_without_a_penalty_are_named_once(rows, solver, classes):
    X, _ = rows
    y = np.digitize(X[:, 0], [0.0] if classes == 2 else [-0.5, 0.5])
    with pytest.warns(ConvergenceWarning, match="C=inf, and the classes are separable") as seen:
        model = LogisticRegression(C=np.inf, solver=solver).fit(X, y)
    assert len(seen) == 1
    assert model.score(X, y) == 1.0


def test_rows_of_small_weight_are_enough_for_an_optimum():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(102, 2))
    X[:, 0] += np.sign(X[:, 0])
    y = (X[:, 0] > 0).astype(int)
    y[100:] = 1 - y[100:]
    weight = np.r_[np.ones(100), 0.01, 0.01]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression(C=np.inf).fit(X, y, weight)
