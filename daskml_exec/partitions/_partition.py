"""A row range of the data, and all of them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from distributed import Future

from daskml_exec.executor import Executor
from daskml_exec.kernels.arrays import Rows
from daskml_exec.kernels.even_addresses import at_even_address, at_even_addresses
from daskml_exec.kernels.moments import first_non_finite
from daskml_exec.partitions._places import Place
from daskml_exec.partitions._recipes import Source
from daskml_exec.partitions._relative import AS_GIVEN, TargetForm
from daskml_exec.partitions._row_trees import tree_nbytes, tree_rows, tree_taken
from daskml_exec.partitions._trees import is_node


@dataclass(frozen=True)
class Partition:
    """Aligned rows that live together on one worker.

    `X` is a C-ordered array or a canonical CSR matrix in float32 or float64; `y` holds targets
    or class codes, and is None where there are none; `sample_weight` is None for ones. `index`
    counts partitions in row order, `start` the rows of all partitions before this one. Data that
    was loaded with ``raw=True`` has X as it came. Samples have trees as X and y: dicts and tuples
    of arrays with one leading axis. `fold` has the number of the fold in which each row is tested,
    in uint16, and is None where there are no folds.
    """

    index: int
    start: int
    X: Any
    y: Any
    sample_weight: Any
    fold: Any = None

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return tree_rows(self.X)

    def take(self, rows: Rows) -> Partition:
        """Return these rows, as a partition of the same index and start."""
        X, y, weight = (tree_taken(part, rows) for part in (self.X, self.y, self.sample_weight))
        fold = None if self.fold is None else self.fold[rows]
        return replace(self, X=X, y=y, sample_weight=weight, fold=fold)

    def first_non_finite(self) -> Place | None:
        """Return the place of the first value that is not finite, if there is one."""
        where = first_non_finite(self.X)
        return None if where is None else (self.index, *where)

    def __post_init__(self) -> None:
        self._settle(dict(self.__dict__))

    def __setstate__(self, parts: dict[str, Any]) -> None:
        self._settle(parts)

    def _settle(self, parts: dict[str, Any]) -> None:
        # Where a Worker has rows from must not show in what is computed of them.
        for name, part in parts.items():
            # Only trees are looked into: a list may be of very many rows.
            even = at_even_addresses(part) if is_node(part) else at_even_address(part)
            object.__setattr__(self, name, even)

    def __sizeof__(self) -> int:
        """Return the bytes of the rows: Dask spills by what it is told that objects take."""
        return object.__sizeof__(self) + self.nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of X, y and weights, about."""
        return tree_nbytes((self.X, self.y, self.sample_weight, self.fold))


@dataclass(frozen=True)
class Partitions:
    """What the driver knows of the partitions: where they are and what they hold.

    Attributes
    ----------
    executor : Executor
    futures : tuple of Future
        One per partition, in row order, each of a `Partition`.
    rows : tuple of int
    n_features : int
    nonzeros : int or None
        Stored values of all sparse matrices together; None where X is dense.
    dtype : numpy.dtype
        Of X in all partitions: float32 or float64, or object where X is as it came.
    feature_names : tuple of str, or None
    workers_lost_before : int
        Workers that the cluster had lost before these partitions were asked for.
    form : TargetForm
        How targets and weights were changed; usual ones are left as they are.
    sizes : tuple of int, or None
        Bytes of each, where they were counted: of what is no matrix of numbers.
    source : Source or None
        Loads the same partitions anew, as after a restart of the cluster, and releases them.
    opened : callable, optional
        Makes a `Partition` of its index and what its future holds, for what was not loaded but is
        asked where it is; None where futures hold partitions.
    places : tuple of Future, or None
        Of partitions that are still being made: what they are made of, where that is.
    """

    executor: Executor
    futures: tuple[Future[Any], ...]
    rows: tuple[int, ...]
    n_features: int
    nonzeros: int | None
    dtype: np.dtype[Any]
    feature_names: tuple[str, ...] | None
    workers_lost_before: int
    form: TargetForm = AS_GIVEN
    sizes: tuple[int, ...] | None = None
    source: Source | None = None
    opened: Callable[[int, Any], Partition] | None = None
    places: tuple[Future[Any], ...] | None = None

    @property
    def held(self) -> tuple[Any, ...]:
        """The futures, which tell one load from the next."""
        return self.futures

    @property
    def futures_held(self) -> list[Future[Any]]:
        """All futures that are released together."""
        return list(self.futures)

    @property
    def nbytes(self) -> int:
        """Bytes of X: of all values if it is dense, else of stored ones with their columns."""
        if self.sizes is not None:
            return sum(self.sizes)
        return matrix_nbytes(sum(self.rows), self.n_features, self.nonzeros, self.dtype)

    @property
    def nbytes_each(self) -> list[int]:
        """About how much memory each takes, with a target and a weight per row."""
        if self.sizes is not None:
            return list(self.sizes)
        per_row = self.nbytes / max(1, sum(self.rows)) + 2 * self.dtype.itemsize
        return [int(rows * per_row) for rows in self.rows]

    def forget(self) -> None:
        """Let the cluster forget these futures, whoever still holds this object."""
        for future in self.futures_held:
            future.release()

    def release(self) -> None:
        """Let the cluster forget the partitions for good, if they belong to who asks."""
        if self.source is None:
            self.forget()
        else:
            self.source.close()


@dataclass(frozen=True)
class Pieces:
    """Partitions in the memory of this process, which needs no cluster to answer.

    Attributes
    ----------
    partitions : tuple of Partition
        In row order.
    rows, n_features, nonzeros, dtype, feature_names, form, sizes
        As of `Partitions`.
    """

    partitions: tuple[Partition, ...]
    n_features: int
    nonzeros: int | None
    dtype: np.dtype[Any]
    feature_names: tuple[str, ...] | None
    form: TargetForm = AS_GIVEN
    sizes: tuple[int, ...] | None = None
    source: Any = None
    """Whose they are."""

    held: ClassVar[tuple[Any, ...]] = ()
    """Nothing: no cluster has them."""
    futures_held: ClassVar[tuple[Any, ...]] = ()
    """Likewise."""

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of each."""
        return tuple(partition.n_rows for partition in self.partitions)

    @property
    def nbytes(self) -> int:
        """As of `Partitions`."""
        if self.sizes is not None:
            return sum(self.sizes)
        return matrix_nbytes(sum(self.rows), self.n_features, self.nonzeros, self.dtype)

    def forget(self) -> None:
        """Do nothing: the data is the user's own."""

    def release(self) -> None:
        """Do nothing: the data is the user's own."""


def matrix_nbytes(rows: int, columns: int, nonzeros: int | None, dtype: np.dtype[Any]) -> int:
    """Return the bytes of a matrix: of all values, or of stored ones with their columns."""
    if nonzeros is not None:
        return nonzeros * (dtype.itemsize + 4)
    return rows * columns * dtype.itemsize
