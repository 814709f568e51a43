"""Fetch what was computed from a user's data; say what is wrong with it, or lost, if anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from dask.highlevelgraph import MaterializedLayer
from distributed import Client, Future, futures_of

from daskml_exec.executor import LostPartitionError, explained_losses
from daskml_exec.executor import gather as gather_results
from daskml_exec.executor._connection import scheduler_address
from daskml_exec.executor._raised import original
from daskml_exec.partitions._kinds import FUTURES, kind_of

T = TypeVar("T")


@dataclass(frozen=True)
class Refused:
    """What a task returns for data that is not as it must be.

    A task that raises is logged by its worker as a failure, one per partition, before the user
    sees the message; and which of several comes first is chance. Returned, the first in row
    order is raised on the driver.
    """

    error: Exception


def refusing(task: Callable[..., T]) -> Callable[..., T | Refused]:
    """Let a task return ValueErrors and TypeErrors as `Refused`, and pass on what is so already."""

    @wraps(task)
    def refusing_task(*arguments: Any) -> T | Refused:
        for argument in arguments:
            if isinstance(argument, Refused):
                return argument
        try:
            return task(*arguments)
        except (ValueError, TypeError) as error:
            return Refused(error)

    return refusing_task


def gather(client: Client, futures: Sequence[Future[Any]], arguments: dict[str, Any]) -> list[Any]:
    """Return the results of `futures`, which depend on the arguments.

    Raises
    ------
    LostPartitionError
        Parts of the arguments were lost, and cannot be computed again, or are on another cluster.
    Exception
        That of the first result that is `Refused`.
    """
    given = {name: data for name, data in arguments.items() if kind_of(data) == FUTURES}
    for name, data in given.items():
        _require_reachable(client, name, data)
    try:
        with explained_losses("loading the data", given):
            results = gather_results(client, futures)
    except CancelledError as error:
        for name, data in arguments.items():
            if name not in given and kind_of(data) is not None:
                _require_reachable(client, name, futures_of(data))
        raise LostPartitionError(
            f"parts of {' or '.join(name for name, x in arguments.items() if x is not None)} are "
            "gone: they were persisted on a cluster that was closed or restarted since. Persist "
            "them again"
        ) from error
    for result in results:
        if isinstance(result, Refused):
            raise original(result.error)
    return results


def require_open(name: str, futures: Sequence[Future[Any]]) -> None:
    """Raise LostPartitionError for futures of a Client that is closed, or that are gone."""
    for index, future in enumerate(futures):
        _require_running(name, future)
        if future.status in ("cancelled", "lost"):
            raise LostPartitionError(
                f"partition {index} of {name} was lost and cannot be rebuilt: its future was "
                "cancelled or released (restarting the cluster cancels all), or a worker went down "
                "with scattered data. Pass the data again"
            )


def held_futures(collection: Any) -> list[Future[Any]]:
    """Return the futures that a collection was persisted to, without making its graph.

    A graph that was not made yet holds none: these stand in layers, or expressions, that are data.
    """
    expression = getattr(collection, "expr", None)
    if expression is None:
        layers = collection.__dask_graph__().layers.values()
        graphs = [layer.mapping for layer in layers if isinstance(layer, MaterializedLayer)]
    else:
        parts = (dict(zip(e._parameters, e.operands, strict=False)) for e in expression.walk())
        graphs = [part["layer"] for part in parts if isinstance(part.get("layer"), dict)]
    return [value for graph in graphs for value in graph.values() if isinstance(value, Future)]


def owner(data: Any, current: Callable[[], Client], name: str) -> Client:
    """Return the Client through which a collection was persisted, else the current one.

    Raises
    ------
    LostPartitionError
        It is closed.
    """
    futures = futures_of(data)
    for future in futures:
        _require_running(name, future)
    return futures[0].client if futures else current()


def _require_reachable(client: Client, name: str, futures: Sequence[Future[Any]]) -> None:
    """Raise LostPartitionError for futures that the Client's scheduler cannot know."""
    here = scheduler_address(client)
    for future in futures:
        _require_running(name, future)
        there = scheduler_address(future.client)
        if there != here:
            raise LostPartitionError(
                f"{name} was persisted through another Client, on the cluster at {there}, than "
                f"the current one, on the cluster at {here}. Work where the data is, in "
                f"`with Executor(client):` of that Client, or persist {name} through the current "
                "one"
            )


def _require_running(name: str, future: Future[Any]) -> None:
    if future.client.status in ("closing", "closed"):
        raise LostPartitionError(
            f"{name} was persisted through another Client than the current one, and that Client is "
            f"closed, so that the data is gone: persist {name} again"
        )
