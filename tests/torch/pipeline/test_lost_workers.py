"""Workers that go at an exact moment leave the bits of a fit in stages as they were."""

import importlib

import dask
import pytest

from daskml_exec import Executor
from daskml_exec.torch.pipeline import _step
from daskml_exec.training.groups import _segment
from tests.executor.peers.leftovers import until_nothing_is_left
from tests.failures.test_lost_workers import Victim, wait_inside
from tests.neural_network.block_fits import threads
from tests.neural_network.test_blocks_failures import Fate
from tests.tiers import slow
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import chain, lazy, staged
from tests.torch.placed_fits import SHORT_SEGMENTS

CHUNKS = (20, 13, 17)


def fitted(**arguments):
    model = staged("words", micro_batches=3, clip_norm=0.5, **arguments)
    return model.fit(*lazy("words", CHUNKS))


def drawing():
    return chain(p=0.4)


@pytest.fixture(scope="module", autouse=True)
def short_segments():
    """Of few steps each, every one of them committed."""
    with dask.config.set({**SHORT_SEGMENTS, "distributed.comm.timeouts.connect": "1s"}):
        yield


@pytest.fixture(scope="module")
def undisturbed():
    with threads(1):
        return bits(fitted())


MOMENTS = {
    "tied weights": (_step, "add_tied", 9),
    "norms": (_step, "clip", 12),
    "before a commit": (_segment, "write_to_next", 3),
    "before the first commit": (_segment, "write_to_next", 1),
}


@pytest.mark.parametrize(
    ("moment", "victim"),
    [
        ("tied weights", 0),
        ("norms", 1),
        ("before a commit", 2),
        ("before the first commit", 0),
        slow("tied weights", 2),
        slow("before a commit", 0),
    ],
)
def test_a_worker_closed(undisturbed, monkeypatch, moment, victim):
    module, name, call = MOMENTS[moment]
    with threads(3) as (cluster, executor):
        fate = Fate(cluster, monkeypatch, module, name, victims=[victim], call=call)
        model = fitted()
        assert fate.happened()
        assert bits(model) == undisturbed
        history = model.history_
        assert history.workers_lost == 1 and sum(record.retries for record in history) == 1
        assert (history[0].workers, history[-1].workers) == (2 if call == 1 else 3, 2)
        until_nothing_is_left(executor.client)


def test_all_workers_but_one_closed(undisturbed, monkeypatch):
    with threads(3) as (cluster, executor):
        fate = Fate(cluster, monkeypatch, _segment, "write_to_next", victims=[0, 1], call=3)
        model = fitted()
        assert fate.happened()
        assert bits(model) == undisturbed
        assert model.history_[-1].workers == 1
        until_nothing_is_left(executor.client)


def gate(dask_worker):
    """Have a function of the package wait inside, in this worker process."""
    module = importlib.import_module("daskml_exec.torch.pipeline._step")
    module.checked_loss = wait_inside(module.checked_loss)


def test_a_process_killed_between_two_micro_batches(undisturbed):
    with Executor(n_workers=2) as executor:
        executor.client.run(gate)
        victim = Victim(executor)
        model = fitted()
        assert victim.address is not None
        assert model.history_.workers_lost == 1
        assert bits(model) == undisturbed
