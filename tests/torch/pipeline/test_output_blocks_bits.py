"""The bits of blocks depend on neither how many Workers there are nor which of them die."""

from types import SimpleNamespace

import dask
import dask.array as da
import pytest

from daskml_exec import Executor
from daskml_exec.torch.pipeline import _step
from daskml_exec.torch.pipeline._output_steps import OutputSteps
from daskml_exec.training.groups import _segment
from tests.executor.peers.leftovers import until_nothing_is_left
from tests.neural_network.block_fits import threads
from tests.neural_network.test_blocks_failures import Fate
from tests.tiers import slow
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import TOKENS
from tests.torch.pipeline.worded_modules import Tied, counted, drawing, in_blocks, noisy, plain
from tests.torch.placed_fits import SHORT_SEGMENTS, require_bits_with_a_worker_killed

CASES = {"plain": (plain, counted), "tied": (Tied, counted), "drawing": (drawing, noisy)}
UNEVEN = (20, 0, 13, 17)


def fitted(case, **arguments):
    module, loss = CASES[case]
    given = {"micro_batches": 3, "clip_norm": 0.5, "output_blocks": 3, **arguments}
    return in_blocks(module, loss, **given).fit(da.from_array(TOKENS, chunks=(UNEVEN, 7)))


@pytest.fixture(scope="module")
def on_one_worker():
    with Executor(processes=False, n_workers=1):
        return {case: bits(fitted(case)) for case in CASES}


@pytest.mark.parametrize(
    "options",
    [
        {"processes": False, "n_workers": 2},
        {"processes": False, "n_workers": 3},
        {"processes": False, "n_workers": 5},
        {"processes": True, "n_workers": 2},
        slow({"processes": True, "n_workers": 3}),
    ],
    ids=lambda options: f"{options['n_workers']}-{'p' if options['processes'] else 't'}",
)
def test_any_number_of_workers(on_one_worker, options):
    with Executor(**options) as executor:
        executor.client.wait_for_workers(options["n_workers"])
        for case in CASES:
            model = fitted(case)
            assert bits(model) == on_one_worker[case], case
            assert model.history_[-1].workers == min(options["n_workers"], 4)


@pytest.mark.parametrize("duration", ["1ms", "1h"])
def test_where_segments_end(on_one_worker, duration):
    limit = dask.config.set({"daskml-exec.segment-duration": duration})
    with limit, Executor(processes=False, n_workers=2):
        assert bits(fitted("drawing")) == on_one_worker["drawing"]


@pytest.mark.parametrize(
    "arguments", [{"pipeline_order": "gpipe"}, {"recompute": True}, {"stages": 4}]
)
def test_neither_order_nor_cut_of_stages(on_one_worker, arguments):
    with Executor(processes=False, n_workers=2):
        assert bits(fitted("drawing", **arguments)) == on_one_worker["drawing"]


def test_replicas():
    found = []
    for n in (1, 3):
        with Executor(processes=False, n_workers=n):
            found.append(bits(fitted("tied", parallel="hybrid", sync_every=2)))
    assert found[0] == found[1]


def method(monkeypatch, name):
    """A method of steps as a function that is given the member, too, in a place of its own."""
    own = getattr(OutputSteps, name)
    place = SimpleNamespace(moment=lambda member, steps, *args: own(steps, *args))

    def called(steps, *args):
        return place.moment(steps.member, steps, *args)

    monkeypatch.setattr(OutputSteps, name, called)
    return place


MOMENTS = {
    "joining": (None, "join", 9),
    "forwards": (None, "forward", 12),
    "back": (None, "backward", 12),
    "tied weights": (_step, "add_tied_rows", 5),
    "before a commit": (_segment, "write_to_next", 3),
}


@pytest.mark.parametrize(
    ("moment", "victim"),
    [
        ("joining", 0),
        ("back", 1),
        slow("back", 2),
        slow("forwards", 1),
        slow("tied weights", 0),
        slow("tied weights", 1),
        slow("before a commit", 2),
    ],
)
def test_a_worker_closed(on_one_worker, monkeypatch, moment, victim):
    module, name, call = MOMENTS[moment]
    short = dask.config.set({**SHORT_SEGMENTS, "distributed.comm.timeouts.connect": "1s"})
    with short, threads(3) as (cluster, executor):
        if module is None:
            module, name = method(monkeypatch, name), "moment"
        fate = Fate(cluster, monkeypatch, module, name, victims=[victim], call=call)
        model = fitted("tied")
        assert fate.happened()
        assert bits(model) == on_one_worker["tied"]
        assert model.history_.workers_lost == 1
        until_nothing_is_left(executor.client)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_process_killed(on_one_worker, case):
    require_bits_with_a_worker_killed(
        lambda callbacks: fitted(case, callbacks=callbacks), on_one_worker[case]
    )
