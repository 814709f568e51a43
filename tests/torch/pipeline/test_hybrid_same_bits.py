"""Where replicas and their stages are, and which Workers go, changes no bit of their average."""

import importlib

import dask
import pytest

from daskml_exec import Executor
from daskml_exec.torch.pipeline import _segment, _step
from daskml_exec.torch.pipeline._units import owners_of_stages
from daskml_exec.training.groups import _segment as _groups_segment
from tests.executor.peers.leftovers import until_nothing_is_left
from tests.failures.test_lost_workers import Victim, wait_inside
from tests.neural_network.block_fits import threads
from tests.neural_network.test_blocks_failures import Fate
from tests.tiers import slow
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import chain, hybrid, lazy
from tests.torch.placed_fits import SHORT_SEGMENTS

UNEVEN = (20, 0, 13, 17)


def drawing():
    """Return a chain with dropout."""
    return chain(p=0.4)


def fitted(case, **arguments):
    given = {"micro_batches": 3, "sync_every": 2, "clip_norm": 0.5, **arguments}
    model = hybrid("chain" if case == "drawing" else case, **given)
    if case == "drawing":
        model.set_params(module=drawing)
    return model.fit(*lazy("chain" if case == "drawing" else case, UNEVEN))


ALL = ["words", "drawing"]


@pytest.fixture(scope="module")
def on_one_worker():
    with threads(1):
        return {case: bits(fitted(case)) for case in ALL}


@pytest.mark.parametrize(
    "options",
    [
        {"processes": False, "n_workers": 3},
        {"processes": True, "n_workers": 2},
        {"processes": False, "n_workers": 7},
        slow({"processes": False, "n_workers": 2}),
        slow({"processes": False, "n_workers": 4}),
        slow({"processes": True, "n_workers": 3}),
    ],
    ids=lambda options: f"{options['n_workers']}-{'p' if options['processes'] else 't'}",
)
def test_any_number_of_workers(on_one_worker, options):
    with Executor(**options) as executor:
        executor.client.wait_for_workers(options["n_workers"])
        for case in ["drawing"] if options["processes"] else ALL:
            model = fitted(case)
            assert bits(model) == on_one_worker[case], case
            assert model.history_[-1].workers == min(options["n_workers"], 6)


@pytest.mark.parametrize("duration", ["1ms", "1h"])
@pytest.mark.parametrize("keeps", ["average", slow("local"), slow("reset")])
def test_where_segments_end(on_one_worker, duration, keeps):
    limit = dask.config.set({"daskml-exec.segment-duration": duration})
    arguments = {} if keeps == "average" else {"optimizer_state": keeps}
    with limit, threads(2):
        model = fitted("drawing", **arguments)
    if keeps == "average":
        assert bits(model) == on_one_worker["drawing"]
        return
    with threads(1):
        assert bits(model) == bits(fitted("drawing", **arguments))


@pytest.mark.parametrize(
    "arguments",
    [{"pipeline_order": "gpipe"}, {"recompute": True, "stages": 6}, {"stages": ["3", "5.1"]}],
)
def test_what_is_drawn_depends_on_neither_order_nor_cut(on_one_worker, arguments):
    with threads(2):
        assert bits(fitted("drawing", **arguments)) == on_one_worker["drawing"]


def test_replicas_draw_numbers_of_their_own(on_one_worker):
    """Of the same samples, and the same weights to begin with, they make other gradients."""
    seeds = _step.Draws(0, None, known=True), _step.Draws(0, None, known=True, replica=1)
    assert len({each.key(0, 0, 0) for each in seeds}) == 2
    with threads(1):
        assert bits(fitted("drawing", random_state=1)) != on_one_worker["drawing"]


@pytest.mark.parametrize("n_stages", [2, 3, 5])
@pytest.mark.parametrize("n_replicas", [1, 2, 3])
@pytest.mark.parametrize("n_workers", range(1, 17))
def test_stages_of_a_replica_are_on_workers_of_their_own(n_stages, n_replicas, n_workers):
    n = n_stages * n_replicas
    owners = owners_of_stages(n_stages, n_replicas, min(n_workers, n))
    assert len(owners) == n and set(owners) == set(range(min(n_workers, n)))
    for first in range(0, n, n_stages):
        assert len(set(owners[first : first + n_stages])) == min(n_workers, n_stages)
    counts = [owners.count(worker) for worker in set(owners)]
    assert max(counts) <= -(-n // min(n_workers, n)) + n_replicas // 2


@pytest.fixture
def short_segments():
    """Of few steps each, every one of them committed."""
    with dask.config.set({**SHORT_SEGMENTS, "distributed.comm.timeouts.connect": "1s"}):
        yield


MOMENTS = {
    "tied weights": (_step, "add_tied", 9),
    "an average": (_segment, "average_stages", 3),
    "before a commit": (_groups_segment, "write_to_next", 3),
    "before the first commit": (_groups_segment, "write_to_next", 1),
}


@pytest.mark.parametrize(
    ("moment", "victim"),
    [
        ("an average", 1),
        ("before the first commit", 0),
        slow("an average", 0),
        slow("tied weights", 1),
        slow("before a commit", 2),
    ],
)
def test_a_worker_closed(on_one_worker, short_segments, monkeypatch, moment, victim):
    module, name, call = MOMENTS[moment]
    with threads(3) as (cluster, executor):
        fate = Fate(cluster, monkeypatch, module, name, victims=[victim], call=call)
        model = fitted("words")
        assert fate.happened()
        assert bits(model) == on_one_worker["words"]
        assert model.history_.workers_lost == 1
        assert model.history_[-1].workers == 2
        until_nothing_is_left(executor.client)


def gate(dask_worker):
    """Have a function of the package wait inside, in this worker process."""
    module = importlib.import_module("daskml_exec.torch.pipeline._segment")
    module.average_stages = wait_inside(module.average_stages)


@pytest.mark.slow
def test_a_process_killed_before_an_average(on_one_worker, short_segments):
    with Executor(n_workers=2) as executor:
        executor.client.run(gate)
        victim = Victim(executor)
        model = fitted("words")
        assert victim.address is not None
        assert model.history_.workers_lost == 1
        assert bits(model) == on_one_worker["words"]
