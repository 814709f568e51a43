"""Blocks of interactions: a range of users with their items, and one of items with their users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.even_addresses import at_even_addresses
from daskml_exec.kernels.factors.pairs import Duplicates, SortedPairs, sorted_pairs
from daskml_exec.partitions import Partition
from daskml_exec.recommendation._ids import codes_of
from daskml_exec.recommendation._triples import Triples
from daskml_exec.training import Query

SideName = Literal["user", "item"]


@dataclass(frozen=True)
class Side:
    """Rows of one side of a block, with what they interacted with.

    Attributes
    ----------
    start : int
        The first row, among all of this side.
    pairs : SortedPairs
    n_columns : int
        Rows of the other side.
    """

    start: int
    pairs: SortedPairs
    n_columns: int

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.pairs.indptr) - 1

    @property
    def counts(self) -> Array:
        """How many entries each row has."""
        return np.diff(self.pairs.indptr)

    @property
    def matrix(self) -> Any:
        """The rows as a CSR matrix, with all columns; it shares their memory."""
        pairs = self.pairs
        shape = (self.n_rows, self.n_columns)
        made = sp.csr_array((pairs.values, pairs.columns, pairs.indptr), shape=shape)
        made.has_canonical_format = True
        return made


class Block:
    """What a Worker holds of interactions; to partitions it is one row.

    Parameters
    ----------
    user, item : Side
    """

    shape: ClassVar[tuple[int, ...]] = (1,)

    def __init__(self, user: Side, item: Side) -> None:
        # What came in a message may lie at odd addresses.
        self.user: Side = at_even_addresses(user)
        self.item: Side = at_even_addresses(item)

    def side(self, name: SideName) -> Side:
        """Return one of the two."""
        return self.user if name == "user" else self.item

    @property
    def nbytes(self) -> int:
        """Bytes of both sides."""
        return sum(
            array.nbytes
            for side in (self.user, self.item)
            for array in (side.pairs.indptr, side.pairs.columns, side.pairs.values)
        )

    def __reduce__(self) -> Any:
        return Block, (self.user, self.item)


@dataclass(frozen=True)
class Cuts:
    """Where both sides are cut into blocks.

    Attributes
    ----------
    user, item : ndarray of int64 of shape (n_blocks + 1,)
        The first row of each block, and the number of rows.
    """

    user: Array
    item: Array

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return len(self.user) - 1

    def sides(self) -> tuple[tuple[SideName, Array, int], ...]:
        """Return of each side its name, its cuts and the number of rows of the other."""
        return ("user", self.user, int(self.item[-1])), ("item", self.item, int(self.user[-1]))


@dataclass(frozen=True)
class Coded:
    """Interactions by codes, each of them twice: for the block of its user, and of its item.

    Attributes
    ----------
    of_item : ndarray of bool of shape (n,)
        Whether `row` is an item and `column` a user; else it is the other way round.
    row, column : ndarray of int32 of shape (n,)
    value : ndarray of shape (n,)
    block : ndarray of int16 of shape (n,)
        Where it goes.
    """

    of_item: Array
    row: Array
    column: Array
    value: Array
    block: Array


@dataclass(frozen=True)
class Code(Query[Any]):
    """Make `Coded` of `Triples`; where they are matrices, ids are codes already.

    Attributes
    ----------
    users, items : pandas.Index or None
    cuts : Cuts
    dtype : numpy.dtype
    """

    users: Any
    items: Any
    cuts: Cuts
    dtype: Any

    def partial(self, triples: Triples) -> Partition:
        """Return the partition that rows are exchanged from."""
        user = _codes(self.users, triples.user)
        item = _codes(self.items, triples.item)
        value = triples.rating.astype(self.dtype, copy=False)
        blocks = [
            np.searchsorted(cuts[1:-1], codes, side="right").astype(np.int16)
            for cuts, codes in ((self.cuts.user, user), (self.cuts.item, item))
        ]
        n = len(user)
        coded = Coded(
            np.repeat([False, True], n),
            np.concatenate([user, item]),
            np.concatenate([item, user]),
            np.concatenate([value, value]),
            np.concatenate(blocks),
        )
        return Partition(0, 0, coded, None, None)


def block_of(partition: Partition) -> Array:
    """Return, of each row of a partition of `Coded`, the block that it goes to."""
    found: Array = partition.X.block
    return found


@dataclass(frozen=True)
class MakeBlock(Query[Any]):
    """Make a `Block` of all rows of `Coded` that go to it.

    Attributes
    ----------
    cuts : Cuts
    duplicates : {"sum", "mean", "last"}
    zeros : bool
        Whether entries with the value zero stay.
    """

    cuts: Cuts
    duplicates: Duplicates
    zeros: bool

    def partial(self, partition: Partition) -> Partition:
        """Return a partition whose X is the block of its index."""
        coded, index = partition.X, partition.index
        sides = {}
        for name, cuts, n_columns in self.cuts.sides():
            mine = coded.of_item if name == "item" else ~coded.of_item
            start, stop = int(cuts[index]), int(cuts[index + 1])
            pairs = sorted_pairs(
                coded.row[mine] - np.int32(start),
                coded.column[mine],
                coded.value[mine],
                (stop - start, n_columns),
                duplicates=self.duplicates,
                zeros=self.zeros,
            )
            sides[name] = Side(start, pairs, n_columns)
        return Partition(index, index, Block(**sides), None, None)


def _codes(index: Any, ids: Array) -> Array:
    return (ids if index is None else codes_of(index, ids)).astype(np.int32)
