"""Features cut into blocks on a cluster: the optimum, and everything else that `fit` offers.

Hard columns and least norms are in `test_feature_blocks_numerics`, without a cluster.
"""

import pickle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from tests.linear_model.oracles import OPTIMA, features, relative, targets
from tests.tiers import each_value

N, D = 200, 7
MODELS = [
    (LogisticRegression, "logistic", 2, {"C": 1.0}),
    (LogisticRegression, "logistic", 3, {"C": 10.0}),
    (PoissonRegressor, "poisson", 1, {"alpha": 1e-3}),
    (Ridge, "ridge", 1, {"alpha": 1.0}),
    (LinearRegression, "ridge", 1, {}),
]


def problem(kind, K, *, sparse=False, seed=0, n=N):
    rng = np.random.default_rng(seed)
    X = features(rng, n, D, sparse=sparse)
    return X, targets(rng, X, kind, K), rng.exponential(size=n)


def chunked(X, rows=(50, 0, 90, N - 140), columns=(3, 1, 3)):
    """As a Dask array that is chunked along both axes; of CSR matrices if X is sparse."""
    if not sp.issparse(X):
        return da.from_array(X, chunks=(rows, columns))
    blocks = da.from_array(X.toarray(), chunks=(rows, columns))
    return blocks.map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0)))


def optimum(kind, X, y, weight, params, **options):
    return OPTIMA[kind](X, y, weight, **(params or {"alpha": 0.0}), **options)


def assert_at(model, expected, tol=1e-6):
    coef, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    assert relative(coef, expected[0]) <= tol
    scale = max(1.0, np.linalg.norm(expected[0]), np.abs(expected[1]).max())
    assert np.abs(intercept - expected[1]).max() <= tol * scale


@each_value(case=MODELS, sparse=[False, True])
def test_the_optimum(case, sparse):
    model, kind, K, params = case
    X, y, weight = problem(kind, K, sparse=sparse)
    weight, intercept = (weight, True) if sparse else (None, K == 2)
    found = model(parallel="model", fit_intercept=intercept, **params)
    found.fit(chunked(X), da.from_array(y, chunks=70), weight)
    expected = optimum(kind, X.toarray() if sparse else X, y, weight, params, intercept=intercept)
    assert_at(found, expected)
    assert found.n_features_in_ == D and found.coef_.dtype == np.float64


@pytest.mark.parametrize(("model", "kind", "K", "params"), MODELS[1:4])
def test_single_precision(model, kind, K, params):
    X, y, _ = problem(kind, K)
    X = X.astype(np.float32)
    found = model(parallel="model", **params).fit(chunked(X), y)
    assert found.coef_.dtype == np.float32
    assert_at(found, optimum(kind, X.astype(np.float64), y, None, params), tol=1e-4)


def as_frame(X):
    return pd.DataFrame(X, columns=[f"column {j}" for j in range(X.shape[1])])


@pytest.mark.parametrize(
    "given_as",
    [
        np.asarray,
        sp.csr_array,
        as_frame,
        lambda X: dd.from_pandas(as_frame(X), npartitions=3),
        lambda X: da.from_array(X, chunks=(60, D)),
        lambda X: chunked(X).persist(),
    ],
    ids=["array", "csr", "pandas", "dask frame", "one column chunk", "persisted"],
)
def test_kinds_of_data(given_as):
    X, y, weight = problem("logistic", 2)
    model = LogisticRegression(parallel="model", n_blocks=3)
    with dask.config.set({"daskml-exec.partition-bytes": 70 * D * 8}):
        model.fit(given_as(X), y, weight)
    assert_at(model, optimum("logistic", X, y, weight, {"C": 1.0}))
    assert model.history_.n_partitions in (3, 4, 5)
    named = hasattr(given_as(X), "columns")
    assert hasattr(model, "feature_names_in_") == named
    again, rows = pickle.loads(pickle.dumps(model)), as_frame(X) if named else X
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))


@settings(max_examples=5)
@given(
    rows=st.lists(st.integers(0, N), max_size=4),
    columns=st.lists(st.integers(0, D), max_size=4),
    n_blocks=st.one_of(st.just("auto"), st.integers(1, D)),
    sparse=st.booleans(),
    case=st.integers(0, len(MODELS) - 1),
)
def test_any_cut_of_both_axes_is_the_whole(rows, columns, n_blocks, sparse, case):
    model, kind, K, params = MODELS[case]
    X, y, weight = problem(kind, K, sparse=sparse)
    cuts = [tuple(np.diff([0, *sorted(c), n]).tolist()) for c, n in ((rows, N), (columns, D))]
    found = model(parallel="model", n_blocks=n_blocks, **params).fit(chunked(X, *cuts), y, weight)
    assert_at(found, optimum(kind, X.toarray() if sparse else X, y, weight, params))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.0, 1: 0.5}])
def test_class_weights(class_weight):
    X, y, weight = problem("logistic", 3)
    whole = LogisticRegression(class_weight=class_weight).fit(chunked(X), y, weight)
    model = LogisticRegression(class_weight=class_weight, parallel="model")
    model.fit(chunked(X), y, weight)
    assert model.classes_.tolist() == whole.classes_.tolist()
    assert_at(model, (whole.coef_, whole.intercept_))


@pytest.mark.parametrize(("model", "kind", "K", "params"), MODELS[:4:3])
def test_a_row_of_weight_zero_is_a_row_removed(model, kind, K, params):
    X, y, weight = problem(kind, K)
    gone = np.arange(N) % 3 == 0
    y = y.copy()
    y[gone] += 5
    given_weight = np.where(gone, 0.0, weight)
    found = model(parallel="model", **params).fit(chunked(X), y, given_weight)
    assert_at(found, optimum(kind, X[~gone], y[~gone], weight[~gone], params))


def test_warm_start():
    X, y, _ = problem("poisson", 1)
    model = PoissonRegressor(alpha=1e-3, parallel="model", warm_start=True).fit(chunked(X), y)
    first = model.n_iter_
    assert model.fit(chunked(X), y).n_iter_ <= 1 < first
    with pytest.raises(ValueError, match="warm_start=True, but coef_"):
        model.fit(chunked(X)[:, :5], y)


def test_callbacks_hear_of_each_round_and_may_stop(capsys):
    X, y, _ = problem("logistic", 3)
    events = []

    def callback(event):
        events.append(event)
        return len(events) == 4

    model = LogisticRegression(parallel="model", callbacks=[callback], verbose=1)
    model.fit(chunked(X), y)
    assert [event.record for event in events] == list(model.history_)
    assert len(model.history_) == 4
    assert capsys.readouterr().out.count("round ") == 4
    np.testing.assert_array_equal(events[-1].estimator.coef_, model.coef_)
    assert events[0].estimator.coef_.shape == (3, D)


def test_callbacks_may_stop_while_the_least_norm_is_sought():
    X, y, _ = problem("ridge", 1)
    model = LinearRegression(
        parallel="model", callbacks=[lambda event: event.record.step == "project"]
    ).fit(chunked(X), y)
    assert [record.step for record in model.history_].count("project") == 1


def test_history_counts_bytes_whatever_the_placement():
    X, y, _ = problem("logistic", 3)
    model = LogisticRegression(parallel="model").fit(chunked(X), y)
    moments, *gradients = model.history_
    assert moments.step == "moments" and moments.loss is None
    assert moments.bytes_out == 4 * 3 * 8  # the share of rows to sample, to each cell
    sample = N * D * 8 + 2 * N * 8  # all rows of small data, with targets and weights
    assert moments.bytes_back == 4 * 8 * (2 * D + 3 + 3) + sample
    n, K, blocks = 4, 3, 3
    for record in gradients:
        assert record.step == "gradient"
        assert record.bytes_out == n * 8 * K * (D + 1)
        assert record.bytes_back == n * 8 * (K * D + K + 2)
        assert record.bytes_between == 2 * 8 * K * N * blocks
        assert 1 <= record.workers <= 2 and record.busiest_seconds <= record.seconds
    losses = [record.loss for record in gradients]
    assert losses[-1] == min(losses) and gradients[-1].gradient_norm <= 1e-10


def test_explain():
    X, y, _ = problem("ridge", 1)
    text = str(Ridge(parallel="model").fit(chunked(X), y).explain())
    assert "200 rows x 7 columns, dense" in text and "4 partitions" in text
    assert "parallel  model: parallel='model' was asked for" in text
    assert "regime    hessian-vector products: a Hessian of 8 x 8 numbers" in text
    assert "would need the 3 feature blocks side by side" in text
    assert "200 rows on the driver" in text and "gradient " in text
    assert "parallel" not in str(Ridge().fit(chunked(X), y).explain())
    text = str(Ridge(parallel="auto").fit(chunked(X), y).explain())
    assert "parallel  data: " in text


@pytest.mark.parametrize(("model", "kind", "K", "params"), MODELS[:4])
def test_not_converging_warns(model, kind, K, params):
    X, y, _ = problem(kind, K)
    with pytest.warns(ConvergenceWarning, match="max_iter=2.*gradient norm is .* above tol"):
        found = model(parallel="model", max_iter=2, **params).fit(chunked(X), y)
    assert np.ravel(found.n_iter_).tolist() == [2]


def test_a_least_norm_that_is_not_reached_warns():
    """The first search is over in one step; those for the least norm would take two."""
    rng = np.random.default_rng(0)
    X, _ = np.linalg.qr(rng.normal(size=(N, 3)))
    X = np.column_stack([X, X @ [1.0, 2.0, 3.0]])
    model = LinearRegression(parallel="model", fit_intercept=False, max_iter=3, tol=1e-3)
    with pytest.warns(ConvergenceWarning, match="other coefficients of a smaller") as caught:
        model.fit(X, X[:, 0])
    assert [warning.filename for warning in caught] == [__file__]


def test_to_sklearn():
    X, y, _ = problem("logistic", 3)
    model = LogisticRegression(parallel="model").fit(chunked(X), y)
    np.testing.assert_allclose(model.to_sklearn().predict_proba(X), model.predict_proba(X))
