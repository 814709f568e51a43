"""`Client.restart` in mid-fit: what has a recipe is computed again, and the bits are the same."""

from collections.abc import Callable, Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from daskml_exec.training import RoundEvent

NETWORK: dict[str, Any] = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}
FITS = {
    "rows": LogisticRegression(solver="lbfgs"),
    "grid": LogisticRegression(parallel="model"),
    "local steps": MLPClassifier(**NETWORK),
    "carries": MLPClassifier(compression="topk:0.1", **NETWORK),
    "segments": MLPClassifier(parallel="model", n_blocks=2, **NETWORK),
    "dealt anew": MLPRegressor(shuffle="partitions", **NETWORK),
}
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"
)


def arrays() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 5))
    return X, (X[:, 0] + rng.logistic(size=len(X)) > 0).astype(int)


def lazy() -> tuple[Any, Any]:
    X, y = arrays()
    return da.from_array(X, chunks=(150, 5)), da.from_array(y, chunks=150)


def in_memory() -> tuple[Any, Any]:
    return arrays()


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with Executor(n_workers=1, threads_per_worker=2) as executor:
        yield executor


def fit(model: Any, data: Callable[[], Any], callback: Any = None) -> Any:
    model = type(model)(**model.get_params() | {"callbacks": [callback] if callback else None})
    with dask.config.set({"daskml-exec.partition-bytes": 8_000}):
        return model.fit(*data())


def bits(model: Any) -> bytes:
    arrays = model.coefs_ if hasattr(model, "coefs_") else [model.coef_]
    return b"".join(array.tobytes() for array in arrays)


def restarting(executor: Executor, at: int) -> Any:
    seen: list[int] = []

    def after_round(event: RoundEvent) -> None:
        if event.record.round == at and not seen:
            seen.append(at)
            executor.client.restart()

    return after_round


@pytest.mark.parametrize("data", [lazy, in_memory])
@pytest.mark.parametrize("name", ["rows", pytest.param("grid", marks=pytest.mark.slow)])
def test_a_restart_between_two_rounds(threads: Executor, name: str, data: Any) -> None:
    expected = bits(fit(FITS[name], data))
    model = fit(FITS[name], data, restarting(threads, 2))
    assert bits(model) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["local steps", "carries", "dealt anew", "segments"])
def test_networks_go_on_from_where_they_were(threads: Executor, name: str) -> None:
    assert bits(fit(FITS[name], lazy, restarting(threads, 1))) == bits(fit(FITS[name], lazy))


def test_persisted_data_are_named(threads: Executor) -> None:
    persisted = tuple(dask.persist(*lazy(), scheduler=threads.client))
    with pytest.raises(LostPartitionError, match="were persisted"):
        fit(FITS["rows"], lambda: persisted, restarting(threads, 1))
