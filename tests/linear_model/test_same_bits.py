"""The same data and chunks give the same bits on any number of workers."""

import itertools

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec import Executor
from daskml_exec.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    _plan,
)
from daskml_exec.linear_model._plan import HESSIAN, PRODUCTS, SPAN, WORKING_SET, Plan
from tests.linear_model.oracles import features, targets
from tests.tiers import slow

N = 500
CHUNKS = [40, 60, 0, 100, 30, 150, 110, 10]
PLANS = {
    "every round": Plan(HESSIAN, "", 1.0, every_round=True),
    "sampled": Plan(HESSIAN, "", 1 / 2, 1 / 5),
    "products": Plan(PRODUCTS, "", pool_share=1 / 2),
    "span": Plan(SPAN, "", pool_share=1.0),
    "working set": Plan(WORKING_SET, "", 1 / 2, 1 / 5),
}
SMOOTH = ["every round", "sampled", "products"]
CASES = [
    *((LogisticRegression(), 2, plan) for plan in SMOOTH),
    *((LogisticRegression(), 3, plan) for plan in SMOOTH),
    *((PoissonRegressor(), 1, plan) for plan in SMOOTH),
    (Ridge(), 1, "auto"),
    (Ridge(solver="lbfgs"), 1, "auto"),
    (LinearRegression(), 1, "auto"),
    (LogisticRegression(solver="lbfgs"), 3, "auto"),
    (LogisticRegression(solver="averaging"), 3, "auto"),
    (LogisticRegression(), 2, "span"),
    (LogisticRegression(), 3, "span"),
    (LogisticRegression(l1_ratio=0.7), 2, "sampled"),
    (LogisticRegression(l1_ratio=0.7), 3, "working set"),
    (PoissonRegressor(alpha=0.1, l1_ratio=0.7), 1, "working set"),
    (Lasso(alpha=0.1), 1, "auto"),
    (ElasticNet(alpha=0.1), 1, "auto"),
]
# Each case at least once, and sparse rows in each kind of round; how rows are grouped into tasks,
# which is tested, does not depend on what they are.
DENSE = [0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 15, 16, 17, 19]
SPARSE = [4, 5, 7, 9, 12, 13, 14, 17, 18, 20]
KIND = {LogisticRegression: "logistic", PoissonRegressor: "poisson"}


def problem(model, K, kind):
    rng = np.random.default_rng(0)
    X = features(rng, N, 5, sparse=kind is sp.csr_array)
    return X, targets(rng, X, KIND.get(type(model), "ridge"), K), rng.exponential(size=N)


def with_plan(monkeypatch, name):
    """Run small data as large data is run."""
    if name in PLANS:
        for chosen in ("newton_plan", "l1_plan"):
            monkeypatch.setattr(_plan, chosen, lambda shape, **_: PLANS[name])


def bits(model):
    steps = tuple(record.step for record in model.history_)
    return model.coef_.tobytes(), model.intercept_.tobytes(), steps


@pytest.mark.parametrize(
    ("kind", "cases", "clusters"),  # of so many workers: pieces in turn, and all on one of four
    [
        (np.asarray, DENSE, [(1, 0), (4, 3)]),
        slow(np.asarray, DENSE, [(1, 0), (2, 0)]),
        slow(sp.csr_array, SPARSE, [(1, 0), (2, 0), (4, 3)]),
    ],
)
def test_any_number_of_workers_and_any_placement(monkeypatch, kind, cases, clusters):
    """All cases on each cluster in turn, because starting one takes longer than all fits."""
    found = {i: set() for i in cases}
    placements = set()
    for n_workers, shift in clusters:
        with Executor(processes=False, n_workers=n_workers) as executor:
            workers = list(executor.check_workers())
            for i, (model, K, plan) in ((i, CASES[i]) for i in cases):
                with_plan(monkeypatch, plan)
                X, y, weight = problem(model, K, kind)
                pieces = [X[b - n : b] for n, b in zip(CHUNKS, np.cumsum(CHUNKS), strict=True)]
                futures = [
                    executor.client.scatter(
                        piece, workers=[workers[j * (1 + shift) % n_workers]], hash=False
                    )
                    for j, piece in enumerate(pieces)
                ]
                model.fit(futures, y, weight)
                found[i].add(bits(model))
                placements.add(max(record.workers for record in model.history_))
                if plan in PLANS:
                    assert model.explain().regime == PLANS[plan].regime
                monkeypatch.undo()
    assert placements == {n_workers for n_workers, _ in clusters}
    assert {i: len(each) for i, each in found.items()} == dict.fromkeys(found, 1)


@pytest.mark.parametrize(
    ("model", "K", "plan"),
    [pytest.param(*case, marks=pytest.mark.slow if i % 2 else ()) for i, case in enumerate(CASES)],
)
def test_the_same_cut_in_memory_and_on_the_cluster(monkeypatch, model, K, plan):
    X, y, weight = problem(model, K, np.asarray)
    with_plan(monkeypatch, plan)
    with dask.config.set({"daskml-exec.partition-bytes": 100 * X.shape[1] * 8}):
        cut = bits(model.fit(X, y, weight))
    assert model.history_.n_partitions == 5
    chunked = da.from_array(X, chunks=(100, 2))
    assert bits(model.fit(chunked, y, da.from_array(weight, chunks=70))) == cut
    # Once more: nothing of an earlier fit, or of who came first, is in the result.
    assert bits(model.fit(chunked, da.from_array(y, chunks=33), weight)) == cut


@pytest.mark.parametrize(("model", "K", "plan"), CASES[:9:3])
def test_watching_changes_nothing(monkeypatch, executor, model, K, plan):
    """With callbacks rounds pass through the driver; the sums are the same."""
    X, y, weight = problem(model, K, np.asarray)
    with_plan(monkeypatch, plan)
    data = executor.client.scatter(
        [X[a:b] for a, b in itertools.pairwise([0, *np.cumsum(CHUNKS)])], hash=False
    )
    alone = bits(type(model)().fit(data, y, weight))
    watched = type(model)(callbacks=[lambda event: None]).fit(data, y, weight)
    assert bits(watched) == alone
    assert bits(type(model)().fit(X, y, weight)) == bits(
        type(model)(callbacks=[lambda event: None]).fit(X, y, weight)
    )
