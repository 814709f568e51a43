"""Questions whose failures are answers: of one transformer, or of several about the same rows.

A task that raises has its worker log the traceback, also of what the user is told by an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle

from daskml_exec.executor import takes_prepared
from daskml_exec.executor._raised import Raised, guarded
from daskml_exec.partitions import Partition
from daskml_exec.training import Query

BlockMap = Callable[[Any], Any]


@dataclass(frozen=True)
class Part:
    """The question of one transformer, which asks as if its columns were all that there is.

    Attributes
    ----------
    columns : tuple of int
        Where its columns are in the frame.
    maps : bytes
        A pickle of what made what it asks of these columns, block by block, or nothing.
    query : Query
        It prepares nothing.
    """

    columns: tuple[int, ...]
    maps: bytes
    query: Query[Any]

    @classmethod
    def of(cls, columns: tuple[int, ...], maps: tuple[BlockMap, ...], query: Query[Any]) -> Part:
        """Return the part of these block maps, one after the other."""
        return cls(columns, cloudpickle.dumps(maps) if maps else b"", query)

    def opened(self) -> tuple[BlockMap, ...]:
        """Return the block maps."""
        maps: tuple[BlockMap, ...] = cloudpickle.loads(self.maps) if self.maps else ()
        return maps


@dataclass(frozen=True)
class AskParts(Query[tuple[Any, ...]]):
    """The questions of several transformers, each answered with the bits that it has alone.

    What the question of one raises is its answer, so that the driver knows the failures of all.
    Of its failures that of the first partition stays.

    Attributes
    ----------
    parts : tuple of Part
    """

    parts: tuple[Part, ...]

    def prepare(self) -> tuple[tuple[BlockMap, ...], ...]:
        """Unpickle block maps, once for many partitions."""
        return tuple(part.opened() for part in self.parts)

    def partial(
        self, partition: Partition, prepared: tuple[tuple[BlockMap, ...], ...]
    ) -> tuple[Any, ...]:
        """Answer each with a partition of its own columns."""
        return tuple(
            guarded(_partial, part, maps, partition)
            for part, maps in zip(self.parts, prepared, strict=True)
        )

    def combine(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        """Combine the answers to each."""
        return tuple(
            guarded(_combined, part.query, *pair)
            for part, *pair in zip(self.parts, left, right, strict=True)
        )


@dataclass(frozen=True)
class Guarded(Query[Any]):
    """A question whose failure is its answer: of several, that of the first partition.

    Attributes
    ----------
    query : Query
    """

    query: Query[Any]

    @property
    def step(self) -> str:
        """As of the question."""
        return self.query.step

    def prepare(self) -> Any:
        """As the question does."""
        return self.query.prepare()

    def partial(self, partition: Any, prepared: Any) -> Any:
        """Answer, or return what was raised."""
        given = (prepared,) if takes_prepared(type(self.query)) else ()
        return guarded(self.query.partial, partition, *given)

    def combine(self, left: Any, right: Any) -> Any:
        """Combine two answers."""
        return guarded(_combined, self.query, left, right)


def _partial(part: Part, maps: tuple[BlockMap, ...], partition: Partition) -> Any:
    X = partition.X.iloc[:, list(part.columns)]
    for each in maps:
        X = each(X)
    return part.query.partial(Partition(partition.index, partition.start, X, None, None))


def _combined(query: Query[Any], left: Any, right: Any) -> Any:
    if isinstance(left, Raised):
        return left
    return right if isinstance(right, Raised) else query.combine(left, right)
