"""A row range of the data, and all of them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from distributed import Future

from daskml_exec.executor import Executor
from daskml_exec.kernels.row_sample import take_rows
from daskml_exec.partitions._relative import AS_GIVEN, TargetForm


@dataclass(frozen=True)
class Partition:
    """Aligned rows that live together on one worker.

    `X` is a C-ordered array or a canonical CSR matrix in float32 or float64; `y` holds targets
    or class codes; `sample_weight` is None for ones. `index` counts partitions in row order,
    `start` the rows of all partitions before this one.
    """

    index: int
    start: int
    X: Any
    y: Any
    sample_weight: Any

    def take(self, rows: np.ndarray[Any, np.dtype[np.intp]]) -> Partition:
        """Return these rows, as a partition of the same index and start."""
        weight = self.sample_weight
        return replace(
            self,
            X=take_rows(self.X, rows),
            y=take_rows(self.y, rows),
            sample_weight=None if weight is None else take_rows(weight, rows),
        )

    def __sizeof__(self) -> int:
        """Return the bytes of the rows: Dask spills by what it is told that objects take."""
        X = self.X
        parts = [self.y, self.sample_weight]
        parts += [X.data, X.indices, X.indptr] if sp.issparse(X) else [X]
        return object.__sizeof__(self) + sum(getattr(part, "nbytes", 0) for part in parts)


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
        Of X in all partitions: float32 or float64.
    feature_names : tuple of str, or None
    workers_lost_before : int
        Workers that the cluster had lost before these partitions were asked for.
    form : TargetForm
        How targets and weights were changed; usual ones are left as they are.
    recipe : callable or None
        Loads the same partitions anew, as after a restart of the cluster.
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
    recipe: Callable[[], Partitions] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of X: of all values if it is dense, else of stored ones with their columns."""
        if self.nonzeros is not None:
            return self.nonzeros * (self.dtype.itemsize + 4)
        return sum(self.rows) * self.n_features * self.dtype.itemsize

    @property
    def nbytes_each(self) -> list[int]:
        """About how much memory each takes, with a target and a weight per row."""
        per_row = self.nbytes / max(1, sum(self.rows)) + 2 * self.dtype.itemsize
        return [int(rows * per_row) for rows in self.rows]

    def release(self) -> None:
        """Let the cluster forget the partitions, whoever still holds this object."""
        for future in self.futures:
            future.release()
