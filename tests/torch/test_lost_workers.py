"""A worker process killed at an exact moment of a fit leaves the bits of the result as they were.

Moments are reached by events, as in `tests/failures/test_lost_workers.py`.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from daskml_exec import Executor
from daskml_exec.executor import tuned
from daskml_exec.training import RoundEvent
from tests.failures.test_lost_workers import Victim, kill, wait_inside
from tests.tiers import slow
from tests.torch.networks import bits, estimator, samples


@pytest.fixture
def executor() -> Iterator[Executor]:
    """Two worker processes in which something may be replaced."""
    with Executor(n_workers=2) as executor:
        yield executor


@pytest.fixture(scope="module")
def undisturbed() -> Any:
    """Fits on one worker that lives."""
    found: dict[Any, Any] = {}

    def fitted(name: str, **arguments: Any) -> Any:
        key = (name, *sorted(arguments.items()))
        if key not in found:
            with Executor(processes=False, n_workers=1):
                found[key] = bits(estimator(name, **arguments).fit(*samples(name)))
        return found[key]

    return fitted


def gate(path: str, dask_worker: Any) -> None:
    """Have a function of the package wait inside, in this worker process."""
    module, name = path.rsplit(".", 1)
    found: Any = importlib.import_module(f"daskml_exec.torch.{module}")
    setattr(found, name, wait_inside(getattr(found, name)))


MOMENTS = {
    "import": ("mlp", "_trainer.LocalModule", {}),
    "first step": ("cnn", "_steps._take", {"outer": "nesterov"}),
    "scoring": ("gpt", "_trainer.score_key", {"validation_fraction": 0.2}),
}


@pytest.mark.parametrize("moment", ["first step", slow("import"), slow("scoring")])
def test_killed_inside_a_round(executor: Executor, undisturbed: Any, moment: str) -> None:
    name, path, arguments = MOMENTS[moment]
    executor.client.run(gate, path)
    victim = Victim(executor)
    model = estimator(name, **arguments).fit(*samples(name))
    assert victim.address is not None
    assert model.history_.workers_lost == 1
    assert bits(model) == undisturbed(name, **arguments)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("cnn", {"compression": "topk:0.3", "outer": "nesterov"}),
        slow("gpt", {"optimizer_state": "local"}),
        slow("gpt", {"compression": "fp16", "optimizer_state": "reset"}),
        slow("mlp", {"validation_fraction": 0.2, "tol": 0.0}),
    ],
)
def test_killed_in_a_chain_of_rounds(
    executor: Executor, undisturbed: Any, name: str, arguments: dict[str, Any]
) -> None:
    """What its partitions kept is made again, from where the chain began."""

    def kill_one(event: RoundEvent) -> None:
        if event.record.round == 1:
            kill(executor, executor.workers()[0].address)

    with tuned(exact_every=4):
        expected = undisturbed(name, **arguments)
        model = estimator(name, **arguments, callbacks=[kill_one]).fit(*samples(name))
    assert model.history_.workers_lost == 1
    assert bits(model) == expected
