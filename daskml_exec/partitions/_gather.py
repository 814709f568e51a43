"""Fetch what was computed from a user's data; say which of their futures were lost, if any."""

from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

from distributed import Client, Future

from daskml_exec.executor import LostPartitionError
from daskml_exec.partitions._kinds import FUTURES, kind_of


def gather(client: Client, futures: Sequence[Future[Any]], arguments: dict[str, Any]) -> list[Any]:
    """Return the results of `futures`, which depend on the arguments.

    Raises
    ------
    LostPartitionError
        Futures among the arguments were lost, and cannot be computed again.
    """
    try:
        results: list[Any] = client.gather(list(futures))
    except CancelledError:
        lost = [
            f"partition {index} of {name}"
            for name, data in arguments.items()
            if kind_of(data) == FUTURES
            for index, future in enumerate(data)
            if future.status in ("lost", "cancelled")
        ]
        if not lost:
            raise
        raise LostPartitionError(
            f"{', '.join(lost)} was lost with its worker, or released, and cannot be rebuilt: it "
            "is a future without a recipe (scattered data). Pass the arrays themselves, or Dask "
            "collections, which are recomputed from their graph"
        ) from None
    return results
