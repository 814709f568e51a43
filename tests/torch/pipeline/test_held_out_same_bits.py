"""Where stages are while they score, and which Workers go meanwhile, changes no bit of a fit."""

import importlib

import dask
import pytest

from daskml_exec import Executor
from daskml_exec.torch.pipeline import _scoring
from daskml_exec.training.groups import _segment
from tests.executor.peers.leftovers import until_nothing_is_left
from tests.failures.test_lost_workers import Victim, wait_inside
from tests.neural_network.block_fits import threads
from tests.neural_network.test_blocks_failures import Fate
from tests.tiers import slow
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import hybrid, lazy, staged, surprise
from tests.torch.placed_fits import SHORT_SEGMENTS

UNEVEN = (20, 0, 13, 17)
KINDS = {"pipeline": staged, "hybrid": hybrid}


def fitted(kind):
    """Of which the weights after the first epoch are the best."""
    given = {"micro_batches": 3, "validation_fraction": 0.3, "tol": 0.0, "scores": surprise}
    return KINDS[kind]("words", **given).fit(*lazy("words", UNEVEN))


@pytest.fixture(scope="module")
def on_one_worker():
    with threads(1):
        models = {kind: fitted(kind) for kind in KINDS}
    for model in models.values():
        scores = model.validation_scores_
        assert len(scores) == 3 and scores.index(max(scores)) == 0
    return {kind: bits(model) for kind, model in models.items()}


@pytest.mark.parametrize(
    ("kind", "processes", "n_workers"),
    [
        ("pipeline", False, 3),
        ("hybrid", False, 3),
        ("hybrid", True, 2),
        slow("pipeline", True, 2),
        slow("pipeline", False, 2),
        slow("hybrid", False, 2),
        slow("hybrid", False, 7),
        slow("pipeline", True, 3),
        slow("hybrid", True, 3),
    ],
)
def test_any_number_of_workers(on_one_worker, kind, processes, n_workers):
    with Executor(processes=processes, n_workers=n_workers) as executor:
        executor.client.wait_for_workers(n_workers)
        assert bits(fitted(kind)) == on_one_worker[kind]


def share_all(dask_worker):
    """Have this worker process hand over in shared memory what is small, too."""
    module = importlib.import_module("daskml_exec.executor.peers._peer")
    module.LEAST_BYTES = 1


@pytest.mark.slow
def test_memory_that_is_written_again(on_one_worker):
    """While the next stage may still have what was there."""
    with Executor(n_workers=2) as executor:
        executor.client.wait_for_workers(2)
        executor.client.run(share_all)
        for kind in KINDS:
            assert bits(fitted(kind)) == on_one_worker[kind], kind


@pytest.mark.parametrize("duration", ["1ms", slow("1h")])
@pytest.mark.parametrize("kind", KINDS)
def test_where_segments_end(on_one_worker, duration, kind):
    with dask.config.set({"daskml-exec.segment-duration": duration}), threads(2):
        model = fitted(kind)
    assert bits(model) == on_one_worker[kind]
    n = sum(record.step == "score" for record in model.history_)
    assert n > 3 if duration == "1ms" else n == 3


@pytest.fixture
def short_segments():
    """Of few steps each, every one of them committed."""
    with dask.config.set({**SHORT_SEGMENTS, "distributed.comm.timeouts.connect": "1s"}):
        yield


MOMENTS = {
    "in the midst of scores": (_scoring, "hand_over", 3),
    "at the end of scores": (_scoring, "taken_over", 5),
    "before what was kept is committed": (_segment, "write_to_next", 7),
}


@pytest.mark.parametrize(
    ("kind", "moment", "victim"),
    [
        ("pipeline", "in the midst of scores", 1),
        slow("pipeline", "in the midst of scores", 0),
        slow("pipeline", "at the end of scores", 2),
        slow("pipeline", "before what was kept is committed", 0),
        slow("hybrid", "in the midst of scores", 0),
        slow("hybrid", "before what was kept is committed", 1),
    ],
)
def test_a_worker_closed(on_one_worker, short_segments, monkeypatch, kind, moment, victim):
    module, name, call = MOMENTS[moment]
    with threads(3) as (cluster, executor):
        fate = Fate(cluster, monkeypatch, module, name, victims=[victim], call=call)
        model = fitted(kind)
        assert fate.happened()
        assert bits(model) == on_one_worker[kind]
        assert model.history_.workers_lost == 1
        assert model.history_[-1].workers == 2
        until_nothing_is_left(executor.client)


def gate(dask_worker):
    """Have a function of the package wait inside, in this worker process."""
    module = importlib.import_module("daskml_exec.torch.pipeline._scoring")
    module.loss_after = wait_inside(module.loss_after)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_process_killed_while_it_scores(on_one_worker, short_segments, kind):
    with Executor(n_workers=2) as executor:
        executor.client.run(gate)
        victim = Victim(executor)
        model = fitted(kind)
        assert victim.address is not None
        assert model.history_.workers_lost == 1
        assert bits(model) == on_one_worker[kind]
