"""A worker process killed inside a pass of many models leaves all of them as they were."""

from collections.abc import Iterator
from typing import Any

import pytest

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegressionCV
from tests.failures.test_lost_workers import Victim, lazy_data, wait_inside
from tests.tiers import slow


def path() -> LogisticRegressionCV:
    return LogisticRegressionCV(Cs=[0.01, 1.0], cv=3, scoring="neg_log_loss")


def bits(model: LogisticRegressionCV) -> bytes:
    parts = (model.coef_, model.intercept_, model.coefs_paths_, model.scores_)
    return b"".join(part.tobytes() for part in parts)


@pytest.fixture(scope="module")
def undisturbed() -> bytes:
    with Executor(processes=False, n_workers=1):
        return bits(path().fit(*lazy_data()))


@pytest.fixture
def executor() -> Iterator[Executor]:
    with Executor(n_workers=2) as executor:
        yield executor


def gate(kernel: str, dask_worker: Any) -> None:
    """Let this worker process wait inside a kernel."""
    from daskml_exec.linear_model import _path_queries

    setattr(_path_queries, kernel, wait_inside(getattr(_path_queries, kernel)))


@pytest.mark.parametrize("kernel", ["model_sums", slow("fold_sums")])
def test_killed_inside_a_pass(executor: Executor, kernel: str, undisturbed: bytes) -> None:
    executor.client.run(gate, kernel)
    victim = Victim(executor)
    model = path().fit(*lazy_data())
    assert victim.address is not None
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 1
