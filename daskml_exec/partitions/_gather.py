"""Fetch what was computed from a user's data; say what is wrong with it, or lost, if anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from distributed import Client, Future

from daskml_exec.executor import LostPartitionError, explained_losses
from daskml_exec.executor import gather as gather_results
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
        Parts of the arguments were lost, and cannot be computed again.
    Exception
        That of the first result that is `Refused`.
    """
    given = {name: data for name, data in arguments.items() if kind_of(data) == FUTURES}
    try:
        with explained_losses("loading the data", given):
            results = gather_results(client, futures)
    except CancelledError as error:
        raise LostPartitionError(
            f"parts of {' or '.join(name for name, x in arguments.items() if x is not None)} are "
            "gone: they were persisted on a cluster that was closed or restarted since. Persist "
            "them again"
        ) from error
    for result in results:
        if isinstance(result, Refused):
            raise result.error
    return results
