"""Factors of rows that come after a fit, given those of the other side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskml_exec.executor import single_threaded_blas
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.half_steps import half_step
from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.kernels.factors.ratings import Ratings
from daskml_exec.recommendation._half_steps import Solving, gram_of, worth_compiling
from daskml_exec.recommendation._seen import Seen


@dataclass(frozen=True)
class FoldIn:
    """Solves rows exactly, as an exact half-step does.

    Attributes
    ----------
    objective : Objective
    nonnegative : bool
    """

    objective: Objective
    nonnegative: bool

    def __call__(self, rows: Seen, other: Array) -> Array:
        """Return the factors of rows.

        Parameters
        ----------
        rows : Seen
            Their entries, by the rows of `other`.
        other : ndarray of shape (m, k)
            Factors of the other side.
        """
        if not rows.n_rows:
            return np.empty((0, other.shape[1]), dtype=other.dtype)
        with single_threaded_blas():
            loops = worth_compiling(len(rows.columns), other.shape[1])
            solving = Solving(self.objective, "exact", self.nonnegative, loops)
            prepared = solving.prepared(other, gram_of(other))
            values = rows.values.astype(other.dtype, copy=False)
            solved, _ = half_step(Ratings(rows.indptr, rows.columns, values), prepared, None)
        return solved
