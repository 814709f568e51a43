"""A worker process killed inside a half-step leaves the factors as they were, bit for bit."""

from collections.abc import Iterator
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskml_exec import Executor
from daskml_exec.recommendation import AlternatingLeastSquares, ContentRecommender
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
    from daskml_exec.recommendation._resident_steps import ResidentHalfStep

    def gate(kind: Any) -> None:
        prepare = kind.prepare
        waiting = wait_inside(prepare)

        def gated(query: Any, *kept: Any) -> Any:
            return (waiting if query.side == side else prepare)(query, *kept)

        kind.prepare = gated

    gate(HalfStep)
    gate(ResidentHalfStep)


@pytest.mark.parametrize(
    ("side", "most"), [("user", "1GiB"), ("item", 1), slow("item", "1GiB"), slow("user", 1)]
)
def test_killed_inside_a_half_step(
    executor: Executor, plays: Any, side: str, most: Any, undisturbed: tuple[bytes, bytes, float]
) -> None:
    executor.client.run(gate_half_step, side)
    victim = Victim(executor)
    with dask.config.set({"daskml-exec.factors-on-driver-bytes": most}):
        model = als().fit(plays)
    assert victim.address is not None
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 1


@pytest.mark.parametrize("most", ["1GiB", 1])
def test_killed_between_half_steps(
    executor: Executor, plays: Any, most: Any, undisturbed: tuple[bytes, bytes, float]
) -> None:
    def kill_after_users(event: RoundEvent) -> None:
        if event.record.round == 2:
            kill(executor, executor.workers()[0].address)

    with dask.config.set({"daskml-exec.factors-on-driver-bytes": most}):
        model = als(callbacks=[kill_after_users]).fit(plays)
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 1


def gate_models_of_users(dask_worker: Any) -> None:
    """Let this worker process wait inside the pass over the blocks of users."""
    from daskml_exec.recommendation._user_models import FitUsers

    FitUsers.prepare = wait_inside(FitUsers.prepare)  # type: ignore[method-assign]


def test_killed_inside_the_pass_of_models_on_features(executor: Executor, plays: Any) -> None:
    features = np.random.default_rng(1).normal(size=(200, 5))
    model = ContentRecommender(rating=None, fit_intercept=False)
    wanted = model.fit(plays.compute(), features).dual_coef_.copy()
    executor.client.run(gate_models_of_users)
    victim = Victim(executor)
    found = model.fit(plays, features)
    assert victim.address is not None
    assert found.dual_coef_.data.tobytes() == wanted.data.tobytes()
    assert found.history_.workers_lost == 1
