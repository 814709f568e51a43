"""Load data once more when all that was on the cluster is gone, as after `Client.restart`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, Protocol, TypeVar

from distributed import Client

from daskml_exec.executor import Executor, LostPartitionError

# How often a load that a restart of the cluster falls into is begun again.
_MAX_LOADS = 3


class Loaded(Protocol):
    """What has a recipe: `Partitions` and `Grid`."""

    @property
    def rows(self) -> tuple[int, ...]:
        """Of each partition."""

    @property
    def recipe(self) -> Callable[[], Any] | None:
        """Loads the same anew."""

    def release(self) -> None:
        """Let the cluster forget it."""


L = TypeVar("L", bound=Loaded)


def loaded_again(data: L, error: LostPartitionError) -> L:
    """Return the same data, loaded anew from what the user gave.

    Raises
    ------
    LostPartitionError
        The given one, if there is no recipe; otherwise if what the user gave is gone, too, or has
        other rows now.
    """
    if data.recipe is None:
        raise error
    data.release()
    new: L = data.recipe()
    if new.rows != data.rows:
        new.release()
        raise LostPartitionError(
            f"the data were lost and loaded again, and have {sum(new.rows)} rows in "
            f"{len(new.rows)} partitions now, where they had {sum(data.rows)} in {len(data.rows)}"
        ) from error
    return new


def through_restarts(client: Client, load: Callable[[], Any]) -> Any:
    """Load data; begin again when the cluster is restarted meanwhile."""
    for _ in range(_MAX_LOADS - 1):
        generation = client.generation  # Dask counts restarts
        try:
            return load()
        except LostPartitionError:
            if client.generation == generation:
                raise
    return load()


F = TypeVar("F", bound=Callable[..., Any])


def with_recipe(load: F) -> F:
    """Let what a function of an Executor loads be loaded again, with the same arguments."""

    @wraps(load)
    def loading(executor: Executor, *arguments: Any, **options: Any) -> Any:
        def once() -> Any:
            return through_restarts(executor.client, lambda: load(executor, *arguments, **options))

        return _having(once(), once)

    return loading  # type: ignore[return-value]


def _having(loaded: Any, load: Callable[[], Any]) -> Any:
    if hasattr(loaded, "partitions"):

        def recipe() -> Any:
            return load().partitions

        return replace(loaded, partitions=replace(loaded.partitions, recipe=recipe))
    return replace(loaded, recipe=load)
