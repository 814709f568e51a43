"""Which samples are held out of a pipeline, and in which pieces they go through its stages."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """Samples held out that go through the stages together.

    Attributes
    ----------
    partition : int
    number : int
        Among the pieces of the partition.
    first, last : int
        The samples, among those that are held out of the partition.
    """

    partition: int
    number: int
    first: int
    last: int


@dataclass(frozen=True)
class HeldOut:
    """Samples that are not trained on, and by which a model is scored.

    Attributes
    ----------
    fraction : float
        Of all samples.
    rows : tuple of int
        Held out of each partition.
    size : int
        Samples of a piece, at most: those of a micro-batch, for which a stage has room.
    replicas : tuple of tuple of int
        The partitions of each replica, which scores what is held out of them.
    """

    fraction: float
    rows: tuple[int, ...]
    size: int
    replicas: tuple[tuple[int, ...], ...]

    @property
    def n_pieces(self) -> int:
        """Of the replica that has most."""
        return max(sum(-(-self.rows[i] // self.size) for i in own) for own in self.replicas)

    def pieces(self, replica: int, first: int, n: int) -> Sequence[Piece]:
        """Return so many pieces of a replica, in the order in which they are scored.

        Examples
        --------
        >>> for each in HeldOut(0.1, (3, 0, 2), 2, ((0, 1, 2),)).pieces(0, 1, 2):
        ...     print(each)
        Piece(partition=0, number=1, first=2, last=3)
        Piece(partition=2, number=0, first=0, last=2)
        """
        found = [
            Piece(partition, number, begin, min(begin + self.size, self.rows[partition]))
            for partition in self.replicas[replica]
            for number, begin in enumerate(range(0, self.rows[partition], self.size))
        ]
        return found[first : first + n]
