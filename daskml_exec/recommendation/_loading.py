"""From what users hold to blocks of users and items: on Workers, or in memory without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.executor import Executor, as_dask_futures, cluster_is_meant
from daskml_exec.executor._raised import Raised, guarded, original
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.chunks import ROWS
from daskml_exec.kernels.factors.cuts import cut_by_cost
from daskml_exec.partitions import (
    ARRAY,
    Data,
    Partition,
    Partitions,
    Pieces,
    exchanged,
    is_collection,
    kind_of,
    made_of,
    mapped_blocks,
    refuse_unreadable,
)
from daskml_exec.recommendation._blocks import Block, Code, Cuts, MakeBlock, block_of
from daskml_exec.recommendation._encoding import Encoding
from daskml_exec.recommendation._ids import Distinct, index_of
from daskml_exec.recommendation._triples import (
    ALLOWED,
    OF_TRIPLES,
    Columns,
    Triples,
    triples_of,
)
from daskml_exec.training import Query, reduce

_LEAST_BLOCKS, _BLOCKS_PER_WORKER = 4, 2
_SIDES = ("user", "item")
_MOST_ROWS = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Cutting:
    """How rows are cut into blocks.

    Attributes
    ----------
    costs : callable
        Of the entries of each row: about how long it takes.
    n_blocks : int or None
        None for a number that suits the cluster.
    """

    costs: Callable[[Array], Array]
    n_blocks: int | None


@dataclass(frozen=True)
class Loaded:
    """Interactions in blocks.

    Attributes
    ----------
    partitions : Partitions or Pieces
        To `train` on and to `reduce`: each has a `Block` as its X.
    users, items : ndarray
        The sorted ids.
    user_counts, item_counts : ndarray of int64
        Entries of each.
    n_entries : int
    n_zeros : int
        Rows with a rating of zero that were left out.
    cuts : Cuts
        Where blocks begin.
    """

    partitions: Any
    users: Array
    items: Array
    user_counts: Array
    item_counts: Array
    n_entries: int
    n_zeros: int
    cuts: Cuts


@contextmanager
def loaded_blocks(interactions: Any, how: Encoding, cutting: Cutting) -> Iterator[Loaded]:
    """Yield interactions in blocks, which are released in the end.

    Parameters
    ----------
    interactions : dataframe, tuple of arrays, sparse matrix, Dask collection or list of futures
    how : Encoding
    cutting : Cutting

    Raises
    ------
    TypeError
        They are none of these, or have ids that are none.
    ValueError
        There are none, or values are missing; the message names the column.
    """
    given = _given(interactions)
    partitions: Partitions | Pieces
    if is_collection(given) or cluster_is_meant():
        partitions, found = _on_cluster(Executor.current(), given, how, cutting)
    else:
        partitions, found = _in_memory(given, how, cutting)
    try:
        yield _checked(partitions, found, how)
    finally:
        partitions.release()


@dataclass(frozen=True)
class _Found:
    """What is known of ids before there are blocks."""

    users: Array
    items: Array
    n_rows: int
    n_zeros: int
    cuts: Cuts


def _given(interactions: Any) -> Any:
    if isinstance(interactions, Data):
        raise TypeError(f"interactions are a Data; allowed are {ALLOWED}")
    given = as_dask_futures(interactions)
    if sp.issparse(given):
        _shape_of(given)
    if isinstance(given, (str, bytes)) or given is None:
        raise TypeError(f"interactions are of {type(given).__name__}; allowed are {ALLOWED}")
    if not isinstance(given, tuple):
        refuse_unreadable(given, "interactions", dates=False)
    return given


def _in_memory(given: Any, how: Encoding, cutting: Cutting) -> tuple[Pieces, _Found]:
    triples = triples_of(given, how.columns)
    found = _found(_CountIds().partial(triples), given, how, cutting, _LEAST_BLOCKS)
    coded = _code(given, found, how).partial(triples)
    make = MakeBlock(found.cuts, how.duplicates, how.zeros)
    pieces = []
    for index in range(found.cuts.n_blocks):
        mine = coded.take(np.flatnonzero(coded.X.block == index))
        pieces.append(make.partial(Partition(index, 0, mine.X, None, None)))
    sizes = tuple(piece.X.nbytes for piece in pieces)
    return Pieces(tuple(pieces), 0, None, np.dtype(object), None, sizes=sizes), found


def _on_cluster(
    executor: Executor, given: Any, how: Encoding, cutting: Cutting
) -> tuple[Partitions, _Found]:
    sent, columns = given, how.columns
    if sp.issparse(given) and given.format in ("csr", "csc"):
        sent = given.tocsr()
    elif not is_collection(given):  # of other formats, too: a conversion would add what comes twice
        sent, columns = triples_of(given, columns).frame(), OF_TRIPLES
    read = mapped_blocks(executor, sent, _Read(columns))
    n_blocks = max(_LEAST_BLOCKS, _BLOCKS_PER_WORKER * len(executor.check_workers()))
    with ExitStack() as stack:
        stack.callback(read.release)
        found = _found(reduce(_CountIds(), read), given, how, cutting, n_blocks)
        coded = made_of(read, _code(given, found, how))
        # Nobody asks for rows as they were read any more: Workers need not hold them both ways.
        stack.pop_all().close()
        stack.callback(coded.release)
        dealt = exchanged(coded, block_of, found.cuts.n_blocks)
        stack.pop_all().close()
        stack.callback(dealt.release)
        return made_of(dealt, MakeBlock(found.cuts, how.duplicates, how.zeros)), found


def _code(given: Any, found: _Found, how: Encoding) -> Code:
    if _shape_of(given) is not None:
        return Code(None, None, found.cuts, how.dtype)
    return Code(index_of(found.users), index_of(found.items), found.cuts, how.dtype)


def _found(counts: _IdCounts, given: Any, how: Encoding, cutting: Cutting, n_blocks: int) -> _Found:
    """Return the ids in order, and where rows are cut."""
    if counts.error is not None:
        raise original(counts.error)
    if not counts.n_rows:
        raise ValueError("interactions have no rows; allowed is at least one")
    most = np.sqrt(float(np.finfo(how.dtype).max))
    if counts.largest > most:
        raise ValueError(
            f"column {how.columns.rating or 'rating'!r} of ratings goes to {counts.largest:.3g}; "
            f"allowed are numbers whose squares are finite in {np.dtype(how.dtype).name}, up to "
            f"{most:.3g}"
        )
    user = counts.user.sorted(how.columns.user)
    item = counts.item.sorted(how.columns.item)
    shape = _shape_of(given)
    if shape is not None:
        user, item = _all_codes(user, shape[0]), _all_codes(item, shape[1])
    for name, ids in (("users", user.values), ("items", item.values)):
        if len(ids) > _MOST_ROWS:
            raise ValueError(f"there are {len(ids):,} {name}; allowed are {_MOST_ROWS:,} at most")
    longer = max(len(user.values), len(item.values))
    n = min(cutting.n_blocks or n_blocks, -(-longer // ROWS))
    cuts = Cuts(*(cut_by_cost(cutting.costs(each.counts), n) for each in (user, item)))
    return _Found(user.values, item.values, counts.n_rows, counts.n_zeros, cuts)


def _shape_of(given: Any) -> tuple[int, int] | None:
    """Return the shape of a matrix, whose rows and columns are the ids; None for triples."""
    if sp.issparse(given) or kind_of(given) == ARRAY:
        if len(given.shape) != 2:
            raise ValueError(
                f"interactions have {len(given.shape)} dimensions; allowed are users x items"
            )
        return given.shape[0], given.shape[1]
    return None


def _all_codes(found: Distinct, n: int) -> Distinct:
    counts = np.zeros(n, dtype=np.int64)
    counts[found.values] = found.counts
    return Distinct(np.arange(n), counts)


def _checked(partitions: Any, found: _Found, how: Encoding) -> Loaded:
    """Return what was loaded, with the entries of each row; refuse pairs that came twice."""
    parts = reduce(_CountEntries(), partitions).parts
    first = next((part.repeated for part in parts if part.repeated is not None), None)
    how.require_once(sum(part.n_repeated for part in parts), first, found.users, found.items)
    users, items = (np.concatenate([getattr(part, name) for part in parts]) for name in _SIDES)
    n_entries = int(users.sum())
    if not n_entries:
        raise ValueError(
            f"all {found.n_rows:,} rows of interactions have a rating of zero, which implicit "
            "feedback leaves out; allowed is at least one other"
        )
    n_zeros = 0 if how.zeros else found.n_zeros
    return Loaded(
        partitions, found.users, found.items, users, items, n_entries, n_zeros, found.cuts
    )


@dataclass(frozen=True)
class _Read(Query[Any]):
    """Read a block of interactions, or bring what is wrong with it."""

    columns: Columns

    def partial(self, block: Any) -> Any:
        where = f" in partition {block.index}"
        return guarded(triples_of, block.X, self.columns, block.start, where)


@dataclass(frozen=True)
class _IdCounts:
    """The ids of some rows, how many rows there are, and what is wrong with the first of them."""

    user: Distinct
    item: Distinct
    n_rows: int
    n_zeros: int
    largest: float
    error: Any = None

    def __add__(self, other: _IdCounts) -> _IdCounts:
        if self.error is not None or other.error is not None:
            return self if self.error is not None else other
        return _IdCounts(
            self.user + other.user,
            self.item + other.item,
            self.n_rows + other.n_rows,
            self.n_zeros + other.n_zeros,
            max(self.largest, other.largest),
        )


@dataclass(frozen=True)
class _CountIds(Query[_IdCounts]):
    def partial(self, triples: Triples | Raised) -> _IdCounts:
        if isinstance(triples, Raised):
            none = Distinct(np.empty(0, np.int64), np.empty(0, np.int64))
            return _IdCounts(none, none, 0, 0, 0.0, triples)
        return _IdCounts(
            Distinct.of(triples.user),
            Distinct.of(triples.item),
            len(triples),
            int(np.count_nonzero(triples.rating == 0)),
            float(np.abs(triples.rating).max(initial=0.0)),
        )


@dataclass(frozen=True)
class InOrder:
    """Answers of partitions behind one another, not joined yet.

    Attributes
    ----------
    parts : tuple
    """

    parts: tuple[Any, ...]

    def __add__(self, other: InOrder) -> InOrder:
        return InOrder(self.parts + other.parts)


@dataclass(frozen=True)
class _Entries:
    user: Array
    item: Array
    n_repeated: int
    repeated: tuple[int, int] | None


@dataclass(frozen=True)
class _CountEntries(Query[InOrder]):
    def partial(self, partition: Partition) -> InOrder:
        block: Block = partition.X
        user, item = block.user, block.item
        repeated = user.pairs.repeated
        if repeated is not None:
            repeated = (repeated[0] + user.start, repeated[1])
        return InOrder((_Entries(user.counts, item.counts, user.pairs.n_repeated, repeated),))
