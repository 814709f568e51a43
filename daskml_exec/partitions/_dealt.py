"""Deal the rows anew over the partitions, so that sorted data no longer is."""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskml_exec.kernels.arrays import Rows
from daskml_exec.partitions._derived import keep_for, placed_on
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._recipes import derived
from daskml_exec.partitions._row_trees import tree_stacked

# Keeps the order of dealing apart from those of training, which have the same seed.
_DEALING = 0x6465616C
# Up to so many partitions, each one takes rows of every other.
_ALL_TO_ALL = 16
# Beyond, each one takes so many slices. With those that the border of two partitions cuts in two
# they are fewer than 16 pieces a partition.
_SLICES = 15


def dealt(partitions: Partitions, seed: int) -> Partitions:
    """Return as many partitions of the same rows in another order.

    The rows, shuffled within each partition, form a line and are dealt like cards, in turn:

    - one by one to up to 16 partitions: of the rows of each given partition, every new one gets
      an even share, to within one row, at random;
    - in slices to K > 16 partitions, 15 to each, at even distances. Of any range of the line, a
      new partition gets the K-th part to within one slice, which is a fifteenth of its rows. So
      it does of each label or month, if the rows were sorted by that, up to the luck of the
      shuffling at the two ends.

    Sizes differ by at most one row, whatever they were. There are fewer than 16 K pieces (K² if
    that is less, up to 16 partitions); each is taken from its partition by a task of its own, and
    travels once.

    Parameters
    ----------
    partitions : Partitions
    seed : int
        From 0. The new order depends on it and on the sizes of the partitions, and on nothing
        else.

    Returns
    -------
    Partitions
        They may be on their way still, as after loading. The cluster forgets each of the given
        ones when all its rows have been taken, unless they belong to somebody else.
    """
    return derived(partitions, lambda parent: _submit(parent, seed))


def _submit(partitions: Partitions, seed: int) -> Partitions:
    executor, rows = partitions.executor, partitions.rows
    client, workers, n = executor.client, executor.check_workers(), len(partitions.rows)
    deal = Deal(n, sum(rows))
    hands: list[list[int]] = [[] for _ in range(n)]
    pieces = deal.pieces(rows)  # by source, so that one source after the other can go
    for source, target in pieces:
        hands[target].append(source)
    name = uuid.uuid4().hex
    # The pieces of a target are a group to the scheduler: one that is too small to be spread over
    # idle workers, to which whole partitions would then travel.
    taken = client.map(
        _piece,
        [partitions.futures[source] for source, _ in pieces],
        [target for _, target in pieces],
        [deal] * len(pieces),
        [seed] * len(pieces),
        key=[(f"deal-{name}-{target}", source) for source, target in pieces],
        pure=False,
    )
    piece = dict(zip(pieces, taken, strict=True))
    sizes = deal.sizes()
    futures = placed_on(
        executor,
        workers,
        _joined,
        range(n),
        [0, *itertools.accumulate(sizes[:-1])],
        [[piece[source, target] for source in hand] for target, hand in enumerate(hands)],
        keys=[f"dealt-{name}-{target}" for target in range(n)],
    )
    for future in futures:
        keep_for(future, partitions.futures)
    return replace(partitions, futures=tuple(futures), rows=tuple(sizes))


@dataclass(frozen=True)
class Deal:
    """Which row of the line goes to which of `n` partitions.

    Examples
    --------
    >>> Deal(2, 5).targets(0, 5)
    array([0, 1, 0, 1, 0])
    >>> Deal(17, 600).targets(0, 8)
    array([0, 0, 0, 1, 1, 1, 2, 2])
    """

    n: int
    total: int

    def targets(self, start: int, stop: int) -> Rows:
        """Return the target of each row from `start` up to `stop`."""
        short, longer = self._slices()
        line = np.arange(start, stop)
        edge = longer * (short + 1)  # the first slices are longer by a row
        slices = np.where(line < edge, line // (short + 1), (line - edge) // max(1, short) + longer)
        return slices % self.n

    def sizes(self) -> list[int]:
        """Return the number of rows of each target."""
        return [self.total // self.n + (t < self.total % self.n) for t in range(self.n)]

    def pieces(self, rows: Sequence[int]) -> list[tuple[int, int]]:
        """Return the sources and targets of all pieces, in order; no target is without.

        Parameters
        ----------
        rows : sequence of int
            The sizes of the sources.
        """
        ends = np.cumsum(rows)
        if self.n <= _ALL_TO_ALL:
            firsts = [
                range(end - size, min(end, end - size + self.n))
                for size, end in zip(rows, ends.tolist(), strict=True)
            ]
            starts = np.array(list(itertools.chain(*firsts)), dtype=np.intp)
        else:
            short, longer = self._slices()
            cuts = np.arange(min(self.total, self.n * _SLICES))
            starts = np.union1d(cuts * short + np.minimum(cuts, longer), ends - rows)
            starts = starts[starts < self.total]
        sources = np.searchsorted(ends, starts, side="right")
        targets = np.array([self.targets(at, at + 1)[0] for at in starts.tolist()], dtype=np.intp)
        pairs = set(zip(sources.tolist(), targets.tolist(), strict=True))
        # Even without rows, a partition is of the kind of the others.
        kind = int(np.argmax(rows))
        empty = set(range(self.n)) - {target for _, target in pairs}
        return sorted(pairs | {(kind, target) for target in empty})

    def _slices(self) -> tuple[int, int]:
        """Return the rows of the shorter slices, and how many slices have one more."""
        slices = self.total
        if self.n > _ALL_TO_ALL:
            slices = min(slices, self.n * _SLICES)
        return divmod(self.total, max(1, slices))


def _piece(partition: Partition, target: int, deal: Deal, seed: int) -> Partition:
    """Take a target's rows. To draw the order for each piece is cheaper than to keep it."""
    n = partition.n_rows
    rng = np.random.default_rng(np.random.SeedSequence((seed, partition.index, _DEALING)))
    start = partition.start
    rows = rng.permutation(n)[deal.targets(start, start + n) == target]
    return partition.take(rows)


def _joined(index: int, start: int, pieces: list[Partition]) -> Partition:
    return replace(tree_stacked(pieces), index=index, start=start)
