"""What cannot be cut into feature blocks is refused in words, and "auto" says what it chooses."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from daskml_exec.executor import Capacity
from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from daskml_exec.linear_model import _glm as glm
from daskml_exec.linear_model._parallel import Choice, choose
from daskml_exec.partitions import ColumnChunks

N, D = 60, 4


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, D)), rng.integers(0, 2, N)


def chunked(X):
    return da.from_array(X, chunks=((20, 25, 15), (1, 3)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Ridge(parallel="rows"), "'parallel' parameter of Ridge .*'model'.* Got 'rows'"),
        (Ridge(parallel="model", n_blocks=0), "'n_blocks' .* Got 0"),
        (LinearRegression(n_blocks="many"), "'n_blocks' .* Got 'many'"),
        (LogisticRegression(n_blocks=2), "n_blocks=2 with parallel='data'.*allowed is"),
        (LinearRegression(n_blocks=1), "n_blocks=1 with parallel='data'"),
        (Ridge(parallel="model", n_blocks=5), "n_blocks=5, but X has 4 columns"),
        (
            LogisticRegression(parallel="model", solver="newton"),
            "solver='newton' with parallel='model'; allowed are 'auto' and 'lbfgs'",
        ),
        (LogisticRegression(parallel="model", solver="averaging"), "solver='averaging' with"),
        (PoissonRegressor(parallel="model", solver="newton"), "solver='newton' with"),
        (Ridge(parallel="model", solver="newton"), "solver='newton' with"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, chunked])
def test_parameters(rows, model, message, kind):
    X, y = rows
    with pytest.raises(ValueError, match=message):
        model.fit(kind(X), y)


def test_lbfgs_takes_no_sample(rows):
    X, y = rows
    found = {
        solver: LogisticRegression(parallel="model", solver=solver).fit(chunked(X), y)
        for solver in ("auto", "lbfgs")
    }
    np.testing.assert_allclose(found["auto"].coef_, found["lbfgs"].coef_, rtol=1e-7)
    regimes = {solver: model.explain().regime for solver, model in found.items()}
    assert regimes == {"auto": "hessian-vector products", "lbfgs": "gradients"}
    assert found["lbfgs"].explain().pool_share == 0


def test_lists_of_futures(rows, executor):
    X, y = rows
    with pytest.raises(ValueError, match="X is a list of futures, with parallel='model'"):
        Ridge(parallel="model").fit(executor.client.scatter([X]), y)


@pytest.mark.parametrize("parallel", ["auto", "model"])
def test_vectors(rows, parallel):
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        Ridge(parallel=parallel).fit(da.from_array(rows[1], chunks=20), rows[1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, chunked, pd.DataFrame])
def test_values_that_are_not_finite_are_named(rows, value, kind):
    """By partition and by column of the whole, the first of several; in words as ever."""
    X, y = rows
    X[47, 2] = X[50, 1] = X[47, 3] = value
    what = "NaN" if np.isnan(value) else "infinity"
    data = kind(X)
    where = "partition 2, column 2" if kind is chunked else "partition 0, column 2"
    row = 2 if kind is chunked else 47
    if kind is pd.DataFrame:
        data.columns = list("abcd")
        where += r" \('c'\)"
    message = rf"Input X contains {what} in {where} \(row {row} of the partition\)"
    for weight in (None, np.where(np.arange(N) == 47, 0.0, 1.0)):
        with pytest.raises(ValueError, match=message):
            LogisticRegression(parallel="model").fit(data, y, weight)


def test_values_whose_squares_overflow(rows):
    X, y = rows
    X[3] = 1e200
    with pytest.raises(ValueError, match="squares overflow float64"):
        Ridge(parallel="model").fit(chunked(X), y)


@pytest.mark.parametrize("given", [np.asarray, chunked])
def test_bad_targets(rows, given):
    X, y = rows
    model = LogisticRegression(parallel="model")
    with pytest.raises(ValueError, match="at least 2 classes"):
        model.fit(given(X), np.ones(N))
    with pytest.raises(ValueError, match=r"all sample weights are zero|at least one non-zero"):
        model.fit(given(X), y, np.zeros(N))
    with pytest.raises(ValueError, match=r"Unknown label type|continuous"):
        model.fit(given(X), y + 0.5 * X[:, 0])
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples"):
        model.fit(given(X), y[1:])
    with pytest.raises(ValueError, match="y is 0 in all rows"):
        PoissonRegressor(parallel="model").fit(given(X), np.zeros(N))
    with pytest.raises(ValueError, match="out of the valid range"):
        PoissonRegressor(parallel="model").fit(given(X), -np.ones(N))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        Ridge(parallel="model").fit(given(X), np.full(N, np.nan))
    with pytest.raises(ValueError, match="Negative values"):
        Ridge(parallel="model").fit(given(X), y, -np.ones(N))


CHUNKS = ColumnChunks((50_000, 50_000), most_rows=10_000, itemsize=8, sparse=False)


@pytest.mark.parametrize(
    ("n_features", "chunks", "memory", "solver", "parallel", "reason"),
    [
        (100_000, CHUNKS, 4_000_000_000, "auto", "model", "takes 8 GB, more than 0.3 of"),
        (100_000, CHUNKS, 40e9, "auto", "data", "takes 8 GB, which fits"),
        (100_000, CHUNKS, 0, "auto", "data", "no memory limit"),
        (100_000, CHUNKS, 4_000_000_000, "newton", "data", "solver='newton' needs whole rows"),
        (100_000, CHUNKS, 4_000_000_000, "lbfgs", "model", "more than 0.3"),
        (10, None, 4_000_000_000, "auto", "data", "not chunked along its features"),
        (None, None, 4_000_000_000, "auto", "data", "not chunked along its features"),
        (
            100,
            ColumnChunks((100,), 10, 8, False),
            4_000_000_000,
            "auto",
            "data",
            "not chunked along",
        ),
        (
            100_000,
            ColumnChunks((5, 5), None, 8, False),
            4_000_000_000,
            "auto",
            "data",
            "is not known",
        ),
        (100_000, ColumnChunks((5, 5), 10, 8, True), 4_000_000_000, "auto", "data", "is not known"),
        (
            10**9,
            None,
            4 * 10**9,
            "auto",
            "model",
            "1,000,000,000 coefficients take 48 GB",
        ),
    ],
)
def test_choice(n_features, chunks, memory, solver, parallel, reason):
    choice = choose(n_features, chunks, Capacity(memory), solver=solver)
    assert choice.parallel == parallel and reason in choice.reason


@pytest.mark.parametrize("parallel", ["data", "model"])
def test_auto_does_as_is_chosen(monkeypatch, rows, parallel):
    X, y = rows
    monkeypatch.setattr(glm, "choose", lambda *args, **kwargs: Choice(parallel, "because"))
    model = LogisticRegression(parallel="auto", n_blocks=3, solver="lbfgs").fit(chunked(X), y)
    assert f"parallel  {parallel}: because" in str(model.explain())
    named = LogisticRegression(parallel="model", n_blocks=3, solver="lbfgs").fit(chunked(X), y)
    same = model.coef_.tobytes() == named.coef_.tobytes()
    assert same == (parallel == "model")
    np.testing.assert_allclose(model.coef_, named.coef_, rtol=1e-7)


def test_auto_asks_for_the_smallest_worker(monkeypatch, rows):
    X, y = rows
    asked = []
    monkeypatch.setattr(
        glm,
        "choose",
        lambda *args, **kwargs: asked.append((args, kwargs)) or choose(*args, **kwargs),
    )
    LogisticRegression(parallel="auto").fit(chunked(X), y)
    Ridge(parallel="auto").fit(X, y)
    (d, chunks, capacity), options = asked[0]
    assert (d, chunks.widths, chunks.most_rows) == (D, (1, 3), 25)
    assert capacity.limit == 0 or capacity.limit > 1e6
    assert options == {"solver": "auto"} and asked[1][0][:2] == (D, None)


def test_the_default_is_data_parallel_to_the_bit(rows):
    X, y = rows
    for model in (LogisticRegression, PoissonRegressor, Ridge, LinearRegression):
        assert model().parallel == "data" and model().n_blocks == "auto"
        default, named = model().fit(chunked(X), y), model(parallel="data").fit(chunked(X), y)
        assert default.coef_.tobytes() == named.coef_.tobytes()
        assert [r.step for r in default.history_] == [r.step for r in named.history_]
