"""Settings of this process that a block of code may change for all of its threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class InForce(Generic[T]):
    """The settings that are in force: the usual ones, with the changes of the blocks under way.

    Parameters
    ----------
    usual : frozen dataclass

    Attributes
    ----------
    now : frozen dataclass
        The settings in force.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Sizes:
    ...     block: int = 8
    >>> sizes = InForce(Sizes())
    >>> with sizes.changed(block=2):
    ...     sizes.now
    Sizes(block=2)
    >>> sizes.now
    Sizes(block=8)
    """

    def __init__(self, usual: T) -> None:
        self.now = usual
        self._usual = usual
        self._changes: dict[object, dict[str, Any]] = {}
        self._lock = Lock()

    @contextmanager
    def changed(self, **changes: Any) -> Iterator[None]:
        """Change fields inside the block; blocks may be nested, and overlap in several threads.

        Of two that change the same field the one that began last has its way.
        """
        block = object()
        try:
            with self._lock:
                self._changes[block] = changes
                self._renew()
            yield
        finally:
            # What one that overlaps has changed stays, so that no former settings are restored.
            with self._lock:
                del self._changes[block]
                self._renew()

    def _renew(self) -> None:
        now: Any = self._usual
        for changes in self._changes.values():
            now = replace(now, **changes)
        self.now = now
