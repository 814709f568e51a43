"""The number of blocks and replicas says which bits; where they live, and on how many, does not."""

import dask
import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec import Executor
from daskml_exec.executor.peers import PeerGroup
from tests.neural_network.block_fits import (
    TARGETS,
    WEIGHT,
    X,
    bits,
    distance,
    in_chunks,
    model_parallel,
    network,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"
)
UNEVEN = (40, 0, 70, 10, 30)


def hybrid(target="classes", **arguments):
    return network(target, parallel="hybrid", **{"n_blocks": 2, "sync_every": 2} | arguments)


CASES = {
    "one block": (model_parallel(n_blocks=1), {}),
    "three blocks": (model_parallel(n_blocks=3), {}),
    "more blocks than workers": (model_parallel(n_blocks=6), {}),
    "weights": (model_parallel("numbers"), {"weight": WEIGHT}),
    "sparse": (model_parallel(n_blocks=4), {"kind": sp.csr_array}),
    "single precision": (model_parallel("numbers"), {"dtype": np.float32}),
    "momentum": (model_parallel("two classes", solver="sgd", learning_rate="adaptive"), {}),
    "in order": (model_parallel(shuffle=False), {}),
    "one partition": (model_parallel(n_blocks=5), {"chunks": (150,)}),
    "two replicas": (hybrid(n_replicas=2), {}),
    "three replicas": (hybrid("numbers", n_replicas=3), {"weight": WEIGHT}),
    "sparse replicas": (hybrid("two classes", sync_every=1), {"kind": sp.csr_array}),
    "replicas of one block": (hybrid(n_blocks=1, solver="sgd"), {"dtype": np.float32}),
}


def trained(case, **arguments):
    model, given = CASES[case]
    kind, dtype = given.get("kind", np.asarray), given.get("dtype", np.float64)
    rows = in_chunks(kind(X.astype(dtype)), *given.get("chunks", UNEVEN))
    target = TARGETS["numbers" if not hasattr(model, "predict_proba") else "classes"]
    if hasattr(model, "predict_proba") and case in ("momentum", "sparse replicas"):
        target = TARGETS["two classes"]
    model = type(model)(**model.get_params() | arguments)
    return model.fit(rows, target, given.get("weight"))


def on_cluster(cases=CASES, **options):
    with Executor(**options) as executor:
        executor.client.wait_for_workers(options["n_workers"])
        return {case: trained(case) for case in cases}


@pytest.fixture(scope="module")
def on_one_worker():
    return on_cluster(processes=False, n_workers=1)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"processes": False, "n_workers": 2}, marks=pytest.mark.slow),
        pytest.param({"processes": False, "n_workers": 4}, marks=pytest.mark.slow),
        {"processes": True, "n_workers": 2},
    ],
    ids=["2 workers", "4 workers", "2 processes"],
)
def test_any_number_of_workers(on_one_worker, options):
    """All cases on each cluster in turn, because starting one takes longer than a fit."""
    # Messages are another matter between processes; the arithmetic is the same.
    cases = list(CASES)[1::2] if options["processes"] else list(CASES)
    models = on_cluster(cases, **options)
    assert {c for c in cases if bits(models[c]) != bits(on_one_worker[c])} == set()
    for case, model in models.items():
        n_replicas = {"auto": 2}.get(model.n_replicas, model.n_replicas)
        n_units = model.n_blocks * (n_replicas if model.parallel == "hybrid" else 1)
        n_members = min(n_units, options["n_workers"])
        assert {record.workers for record in model.history_} == {n_members}
        if options["n_workers"] > 1 and case != "one block":
            assert sum(record.bytes_between for record in model.history_) > 0
    assert on_one_worker["one block"].history_.bytes < 10_000
    assert all(record.bytes_between == 0 for record in on_one_worker["weights"].history_)


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("case", ["three blocks", "two replicas"])
def test_once_more_watched_and_committed(case, on_one_worker):
    """Nothing of an earlier fit is in the result, nor do watching or commits change it."""
    expected = bits(on_one_worker[case])
    assert bits(trained(case)) == expected
    assert bits(trained(case, callbacks=[lambda event: event.estimator])) == expected
    with dask.config.set({"daskml-exec.commit-interval": "0s"}):
        assert bits(trained(case)) == expected


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize(
    "case", ["three blocks", "weights", "momentum", "two replicas", "three replicas"]
)
def test_segments_of_any_length(case, on_one_worker, monkeypatch):
    """How long a segment is depends on the machine's speed: weights must not."""
    group_init = PeerGroup.__init__
    lengths = set()
    for seconds in (1e-9, 1e9):

        def init(self, *args, seconds=seconds):
            group_init(self, *args)
            self.segment_seconds = seconds

        with monkeypatch.context() as patch:
            patch.setattr(PeerGroup, "__init__", init)
            model = trained(case)
        assert bits(model) == bits(on_one_worker[case])
        assert model.loss_curve_ == on_one_worker[case].loss_curve_
        lengths.add(len(model.history_))
    assert len(lengths) == 2


@pytest.mark.usefixtures("executor")
def test_the_number_of_blocks_is_part_of_the_arithmetic(on_one_worker):
    """Sums over blocks are made in another order, so that the last digits differ; not more."""
    model = model_parallel(n_blocks=5).fit(in_chunks(X, *UNEVEN), TARGETS["classes"])
    assert 0 < distance(model, on_one_worker["three blocks"]) < 1e-10


@pytest.mark.usefixtures("executor")
def test_warm_started_blocks(on_one_worker):
    with Executor(processes=False, n_workers=1):
        alone = trained("weights", warm_start=True)
        alone.fit(in_chunks(X, *UNEVEN), TARGETS["numbers"])
    together = trained("weights", warm_start=True)
    together.fit(in_chunks(X, *UNEVEN), TARGETS["numbers"])
    assert bits(together) == bits(alone)
