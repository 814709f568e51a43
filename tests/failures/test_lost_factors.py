"""A worker process killed inside a half-step leaves the factors as they were, bit for bit."""

from collections.abc import Iterator
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskml_exec import Executor
from daskml_exec.recommendation import AlternatingLeastSquares
from daskml_exec.training import RoundEvent
from tests.failures.test_lost_workers import Victim, kill, wait_inside
from tests.tiers import slow


@pytest.fixture(scope="module")
def plays() -> Any:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 400, 5000), "item": rng.integers(0, 200, 5000)})
    return dd.from_pandas(frame, npartitions=4, sort=False)


def als(**settings: Any) -> AlternatingLeastSquares:
    given = {"rating": None, "random_state": 0, "tol": 0.0, "max_iter": 3}
    return AlternatingLeastSquares(6, **given, **settings)


def bits(model: AlternatingLeastSquares) -> tuple[bytes, bytes, float]:
    return model.user_factors_.tobytes(), model.item_factors_.tobytes(), model.objective_


@pytest.fixture(scope="module")
def undisturbed(plays: Any) -> tuple[bytes, bytes, float]:
    return bits(als().fit(plays.compute()))


@pytest.fixture
def executor() -> Iterator[Executor]:
    with Executor(n_workers=2) as executor:
        yield executor


def gate_half_step(side: str, dask_worker: Any) -> None:
    """Let this worker process wait inside the half-steps of one side."""
    from daskml_exec.recommendation._half_steps import HalfStep

    prepare = HalfStep.prepare
    waiting = wait_inside(prepare)

    def gated(query: HalfStep) -> Any:
        return (waiting if query.side == side else prepare)(query)

    HalfStep.prepare = gated  # type: ignore[method-assign]


@pytest.mark.parametrize("side", ["user", slow("item")])
def test_killed_inside_a_half_step(
    executor: Executor, plays: Any, side: str, undisturbed: tuple[bytes, bytes, float]
) -> None:
    executor.client.run(gate_half_step, side)
    victim = Victim(executor)
    model = als().fit(plays)
    assert victim.address is not None
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 1


def test_killed_between_half_steps(
    executor: Executor, plays: Any, undisturbed: tuple[bytes, bytes, float]
) -> None:
    def kill_after_users(event: RoundEvent) -> None:
        if event.record.round == 2:
            kill(executor, executor.workers()[0].address)

    model = als(callbacks=[kill_after_users]).fit(plays)
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 1
