"""How many Workers there are, and how often they are told to go on, changes no bit."""

import dask
import pytest

from daskml_exec import Executor
from daskml_exec.torch import TorchEstimator
from tests.tiers import slow
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import CASES, chain, lazy, staged

UNEVEN = (20, 0, 13, 17)


def drawing() -> object:
    """Return a chain with dropout."""
    return chain(p=0.4)


def fitted(case: str, **arguments: object) -> TorchEstimator:
    given = {"micro_batches": 3, **arguments}
    model = staged("chain" if case == "drawing" else case, **given)
    if case == "drawing":
        model.set_params(module=drawing)
    return model.fit(*lazy("chain" if case == "drawing" else case, UNEVEN))


ALL = [*CASES, "drawing"]
CLIPPED = {"clip_norm": 0.5}


@pytest.fixture(scope="module")
def on_one_worker():
    with Executor(processes=False, n_workers=1):
        return {case: bits(fitted(case, **CLIPPED)) for case in ALL}


@pytest.mark.parametrize(
    "options",
    [
        {"processes": False, "n_workers": 3},
        {"processes": True, "n_workers": 2},
        slow({"processes": False, "n_workers": 2}),
        slow({"processes": True, "n_workers": 3}),
    ],
    ids=lambda options: f"{options['n_workers']}-{'p' if options['processes'] else 't'}",
)
def test_any_number_of_workers(on_one_worker, options):
    with Executor(**options) as executor:
        executor.client.wait_for_workers(options["n_workers"])
        for case in ["words", "drawing"] if options["processes"] else ALL:
            model = fitted(case, **CLIPPED)
            assert bits(model) == on_one_worker[case], case
            n_stages = 2 if case == "called" else 3
            assert model.history_[-1].workers == min(options["n_workers"], n_stages)
            assert model.history_.n_partitions == len(UNEVEN)


@pytest.mark.parametrize("duration", ["1ms", "1h"])
def test_where_segments_end(on_one_worker, duration):
    limit = dask.config.set({"daskml-exec.segment-duration": duration})
    with limit, Executor(processes=False, n_workers=2):
        model = fitted("drawing", **CLIPPED)
    assert bits(model) == on_one_worker["drawing"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"pipeline_order": "gpipe"},
        {"recompute": True},
        {"recompute": True, "pipeline_order": "gpipe", "stages": 6},
        {"stages": ["3", "5.1"]},
    ],
)
def test_what_is_drawn_depends_on_neither_order_nor_cut(on_one_worker, arguments):
    with Executor(processes=False, n_workers=2):
        model = fitted("drawing", **CLIPPED, **arguments)
    assert bits(model) == on_one_worker["drawing"]


def test_what_is_drawn_depends_on_the_seed(on_one_worker):
    with Executor(processes=False, n_workers=2):
        model = fitted("drawing", **CLIPPED, random_state=1)
    assert bits(model)["5.1.weight"] != on_one_worker["drawing"]["5.1.weight"]
