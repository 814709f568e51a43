"""Who owns what was loaded, and loads it once more when all of it is gone, as after a restart."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from distributed import Client, Future

from daskml_exec.executor import Executor, LostPartitionError

# How often a load that a restart of the cluster falls into is begun again.
_MAX_LOADS = 3
_FRAMES_OF = ("daskml_exec", "dask", "distributed")
RELEASED = "the Data was released, as at the end of its `with`: load it again, or work within that"


class Loaded(Protocol):
    """What can be loaded again: `Partitions` and `Grid`."""

    @property
    def rows(self) -> tuple[int, ...]:
        """Of each partition."""

    @property
    def held(self) -> tuple[Any, ...]:
        """The futures: the same object in all copies that differ in other fields."""

    @property
    def futures_held(self) -> list[Future[Any]]:
        """All futures that are released together."""

    @property
    def source(self) -> Source | None:
        """The owner."""

    def forget(self) -> None:
        """Let the cluster forget the futures, whoever still holds this object."""


L = TypeVar("L", bound=Loaded)


class Source(Protocol):
    """Where partitions come from."""

    def again(self, lost: Any, error: LostPartitionError) -> Any:
        """Return in place of what is lost what was loaded since, or load it now."""

    def spare(self) -> None:
        """Let the cluster forget the futures, if nobody but the one who asks needs them.

        They are loaded again if they are wanted again.
        """

    def close(self) -> None:
        """Let the cluster forget all, for good, if it is the owner who asks."""


def loaded_again(lost: L, error: LostPartitionError) -> L:
    """Return the same data, loaded anew from what the user gave.

    Raises
    ------
    LostPartitionError
        The given one, if nobody can; otherwise if what the user gave is gone, too, or has other
        rows now.
    """
    if lost.source is None:
        raise error
    new: L = lost.source.again(lost, error)
    return new


def is_lost(partitions: Loaded) -> bool:
    """Whether the cluster has forgotten some, as far as is known here."""
    return any(future.status in ("cancelled", "lost") for future in partitions.futures_held)


class Owner:
    """Holds what was loaded, for all who use it, and loads it again once for all of them.

    Parameters
    ----------
    now : Partitions or Grid
        What was loaded.
    load : callable
        Loads the same anew; None where nobody can.
    """

    def __init__(self, now: Any, load: Callable[[], Any] | None) -> None:
        self._lock = threading.RLock()
        # Without its source: a cycle would keep futures until the next garbage collection.
        self._now = now
        self._load = load

    @property
    def now(self) -> Any:
        """What there is now.

        Raises
        ------
        ValueError
            It was released.
        """
        now = self._now
        if now is None:
            raise ValueError(RELEASED)
        return replace(now, source=self)

    @property
    def closed(self) -> bool:
        """Whether all was released."""
        return self._now is None

    def present(self) -> None:
        """Load again what a restart of the cluster has taken, as far as is known here."""
        now = self.now
        if is_lost(now):
            self.again(now, LostPartitionError("the data were lost since they were loaded"))

    def again(self, lost: Any, error: LostPartitionError) -> Any:
        with self._lock:
            if self._now is None:
                raise LostPartitionError(RELEASED) from error
            if self._load is None:
                raise error
            if self._now.held is lost.held:
                self._now.forget()
                self._now = self._loaded(self._load, error)
            return self.now

    def spare(self) -> None:
        with self._lock:
            if self._now is not None:
                self._now.forget()

    def close(self) -> None:
        with self._lock:
            now, self._now = self._now, None
            if now is not None:
                now.forget()

    def _loaded(self, load: Callable[[], Any], error: LostPartitionError) -> Any:
        before = self._now.rows
        new = load()
        if new.rows != before:
            new.forget()
            raise LostPartitionError(
                f"the data were lost and loaded again, and have {sum(new.rows)} rows in "
                f"{len(new.rows)} partitions now, where they had {sum(before)} in {len(before)}"
            ) from error
        return new


class Lent:
    """What somebody else owns, as one fit sees it: it neither spares nor closes anything."""

    def __init__(self, owner: Owner | Lent) -> None:
        self._owner = owner

    @property
    def now(self) -> Any:
        """What there is now, with this as its source."""
        return replace(self._owner.now, source=self)

    @property
    def closed(self) -> bool:
        """Whether the owner has released all."""
        return self._owner.closed

    def present(self) -> None:
        """Have the owner load again what a restart has taken."""
        self._owner.present()

    def again(self, lost: Any, error: LostPartitionError) -> Any:
        return replace(self._owner.again(lost, error), source=self)

    def spare(self) -> None:
        """Do nothing: the owner may want them at once."""

    def close(self) -> None:
        """Do nothing: that is the owner's to do."""


def derived(parent: L, make: Callable[[L], L]) -> L:
    """Return what `make` makes of partitions, which are loaded again first if they are lost.

    The result has an owner of its own; who asked for it closes it with ``release``. Where the
    parent belongs to the same fit, the cluster forgets it as soon as the result does without.
    """
    used = parent

    def load() -> L:
        nonlocal used
        if is_lost(used):
            used = loaded_again(used, LostPartitionError("the data, and what it became, are gone"))
        return made()

    def made() -> L:
        try:
            return replace(make(used), source=None)  # type: ignore[type-var]
        finally:
            spare(used)

    if parent.source is None:
        return made()
    now: L = Owner(made(), load).now
    return now


def derived_or_forgotten(parent: L, make: Callable[[L], L]) -> L:
    """Return what `derived` does; an error that is kept keeps nothing on the cluster."""
    try:
        return derived(parent, make)
    except BaseException as error:
        forget_locals(error)
        raise


def spare(partitions: Loaded) -> None:
    """Let the cluster forget the futures, if nobody else needs them."""
    if partitions.source is None:
        partitions.forget()
    else:
        partitions.source.spare()


def forget_locals(error: BaseException) -> None:
    """Empty the frames of this package and Dask that an error has passed, and what it came from.

    Whatever futures were in them go at once. Frames that still run keep what they have, and so do
    the user's, to be looked at in a debugger.
    """
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        each = errors.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            for frame, _ in traceback.walk_tb(each.__traceback__):
                if frame.f_globals.get("__name__", "").partition(".")[0] in _FRAMES_OF:
                    with suppress(RuntimeError):  # it still runs
                        frame.clear()
            errors += [each.__cause__, each.__context__]


def loaded_safely(executor: Executor | None, load: Callable[[], Any]) -> Any:
    """Load data; begin again when the cluster, if there is one, is restarted meanwhile.

    An error that is kept keeps nothing on the cluster.
    """
    try:
        return load() if executor is None else through_restarts(executor.client, load)
    except BaseException as error:
        # A traceback that somebody keeps, as notebooks do, would keep what was made so far.
        forget_locals(error)
        raise


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
