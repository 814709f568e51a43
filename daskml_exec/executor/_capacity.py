"""What fits on workers, in bytes, and what is sent in tasks or shared; arithmetic never asks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from distributed import get_worker

from daskml_exec.executor._tuning import tuning
from daskml_exec.executor._units import bytes_text

SHARE_OF_DATA = 0.3
"""Of a worker's memory, what data in use may take.

The inputs of a task are all in memory at once, also those that Dask had spilled to disk. It spills
from 0.6 of a worker's memory limit and kills at 0.95: this share fits in between.
"""
IDLE_BYTES = 235_000_000
"""Of a worker process that has done nothing yet: Python, Dask, NumPy, SciPy and this package."""

# Dask pauses a worker at this share of its memory limit.
_MOST = 0.8
# Blocks of less are not what a worker would be lost for.
_LITTLE = 0.3
# What a worker with blocks was measured to need beside them: libraries, compiled code, messages.
_BESIDE_BLOCKS = 300_000_000
# What messages between members may take until they are taken.
_SHARE_OF_MESSAGES = 0.5

# Dask advises against larger graphs, with a warning: the scheduler would hold and copy them.
_GRAPH_BYTES = 10_000_000
PIECE_BYTES = 8_000_000
"""What is larger than a graph may be is cut into pieces of this size, one graph each."""


@dataclass(frozen=True)
class Capacity:
    """The memory of the smallest of some workers.

    Attributes
    ----------
    limit : int
        Bytes that it may use; 0 where none has a limit.

    Examples
    --------
    >>> Capacity.smallest([4_000, 0, 2_000]), Capacity.smallest([0])
    (Capacity(limit=2000), Capacity(limit=0))
    >>> Capacity(2_000).for_data, Capacity(0).for_data
    (600.0, None)
    """

    limit: int = 0

    @classmethod
    def smallest(cls, limits: Iterable[int | None]) -> Self:
        """Return the capacity of workers with these limits; 0 and None are for no limit."""
        return cls(min((limit for limit in limits if limit), default=0))

    @classmethod
    def of_workers(cls, workers: Iterable[Mapping[str, Any]]) -> Self:
        """Return the capacity of workers, of which the scheduler says this."""
        return cls.smallest(worker.get("memory_limit") for worker in workers)

    @classmethod
    def here(cls) -> Self:
        """Return the capacity of the worker that runs this task."""
        return cls(get_worker().memory_manager.memory_limit or 0)

    @property
    def for_data(self) -> float | None:
        """Bytes that the data of tasks may take at once; None for as many as there are."""
        return SHARE_OF_DATA * self.limit if self.limit else None

    @property
    def for_messages(self) -> int | None:
        """Bytes that messages from other members may take; None for as many as there are."""
        return int(_SHARE_OF_MESSAGES * self.limit) if self.limit else None

    @property
    def for_answers(self) -> float:
        """Bytes that answers may take which a task holds at once."""
        return _MOST * self.limit if self.limit else sys.float_info.max

    def holds_blocks(self, nbytes: int) -> bool:
        """Return whether a worker has room for blocks of so many bytes.

        Examples
        --------
        >>> [Capacity(900_000_000).holds_blocks(n) for n in (250_000_000, 500_000_000)]
        [True, False]
        >>> Capacity(0).holds_blocks(500_000_000)
        True
        """
        if not self.limit or nbytes <= _LITTLE * self.limit:
            return True
        return nbytes + _BESIDE_BLOCKS <= _MOST * self.limit

    def holds(self, nbytes: float) -> bool:
        """Return whether a worker can use so many bytes in all."""
        return not self.limit or nbytes <= self.limit

    def __str__(self) -> str:
        return bytes_text(self.limit)


UNLIMITED = Capacity()


def travels_in_tasks(nbytes: float, n_tasks: int) -> bool:
    """Return whether a message of so many bytes travels in each of so many tasks, or once."""
    return travel_in_tasks([nbytes], [n_tasks], tuning().literals_bytes)


def travel_in_tasks(sizes: Sequence[float], copies: Sequence[int], most: int) -> bool:
    """Return whether messages travel in tasks, of which each is for so many, or once each.

    Parameters
    ----------
    sizes : sequence of float
        Bytes of each message.
    copies : sequence of int
        How many tasks each is for.
    most : int
        Bytes of all copies together that may travel in tasks.
    """
    together = sum(size * n for size, n in zip(sizes, copies, strict=True))
    return max(sizes) <= tuning().literal_bytes and together <= most


def fits_in_a_graph(nbytes: int) -> bool:
    """Return whether so many bytes may go to the scheduler at once."""
    return nbytes <= _GRAPH_BYTES
