"""Blocks of a Dask array as partitions that nothing was done with: for a question or two.

To load rows takes a round trip and two tasks a block, for what Dask has said of such an array
already. Where one look at the rows is all that is wanted, that takes longer than the look.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskml_exec.partitions._blocks import blocks_of
from daskml_exec.partitions._given import Given
from daskml_exec.partitions._kinds import ARRAY, Reading, kind_of
from daskml_exec.partitions._load import ROWS
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._row_leaves import row_count
from daskml_exec.partitions._target import UNSETTLED, Settled


@dataclass(frozen=True)
class WhereTheyAre:
    """How X is cut for a look at raw rows: as `Rows`, but loaded only where it must be.

    It need not be where it is NumPy's numbers, in chunks of known sizes with all columns, and there
    are neither y nor weights.
    """

    kind: ClassVar[str] = "rows"

    def placed(self, given: Given) -> tuple[Any, Settled]:
        """Return `Partitions`, and what is known of their targets."""
        if given.raw and given.y is None and given.sample_weight is None and _is_known(given.X):
            return _blocks(given), UNSETTLED
        return ROWS.placed(given)

    def require_of(self, partitions: Any, who: str) -> None:
        """Accept any rows."""


@dataclass(frozen=True)
class Opened:
    """Makes partitions of blocks.

    Attributes
    ----------
    bounds : tuple of int
        The first row of each, and the row behind the last one.
    n_features : int
    """

    bounds: tuple[int, ...]
    n_features: int

    def __call__(self, index: int, block: Any) -> Partition:
        """Return a partition.

        Raises
        ------
        ValueError
            The block has another shape than Dask was told.
        """
        start, stop = self.bounds[index : index + 2]
        expected = (stop - start, self.n_features)
        found = (row_count(block), *getattr(block, "shape", ())[1:])
        if found != expected:
            raise ValueError(
                f"partition {index} of X has the shape {found}, and its Dask array says "
                f"{expected}; they must be the same"
            )
        return Partition(index, start, block, None, None)


WHERE_THEY_ARE = WhereTheyAre()


def _is_known(X: Any) -> bool:
    return bool(
        kind_of(X) == ARRAY
        and X.ndim == 2
        and X.numblocks[1] == 1
        and type(X._meta) is np.ndarray
        and X.dtype.kind in "biuf"
        and not np.isnan([*X.chunks[0], *X.chunks[1]]).any()
    )


def _blocks(given: Given) -> Partitions:
    executor, X = given.executor, given.X
    workers_lost_before = len(executor.events.workers_lost)
    executor.check_workers()
    blocks = blocks_of(executor.client, {"X": X}, Reading(raw=True, several=False))["X"]
    width, rows = int(X.shape[1]), tuple(blocks.rows)
    return Partitions(
        executor=executor,
        futures=tuple(future for (future,) in blocks.grid),
        rows=rows,
        n_features=width,
        nonzeros=None,
        dtype=np.dtype(object),
        feature_names=None,
        workers_lost_before=workers_lost_before,
        sizes=tuple(n * width * X.dtype.itemsize for n in rows),
        opened=Opened((0, *itertools.accumulate(rows)), width),
    )
