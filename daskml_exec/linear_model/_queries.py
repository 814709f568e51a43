"""What the solvers of generalised linear models ask of rows, or of cells of rows and columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import scipy.sparse as sp

from daskml_exec.executor import Query
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.hessian_sums import HessianSums, hessian_sums
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.losses import Loss
from daskml_exec.kernels.moments import Moments as ColumnMoments
from daskml_exec.kernels.sparse_hessian_sums import sparse_hessian_sums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.linear_model._cell_sums import exchanged_gradient, pass_for_moments
from daskml_exec.linear_model._pool import pool_of
from daskml_exec.linear_model._problem import (
    MomentsAndPool,
    Parameters,
    partition_moments,
    partition_sums,
    sample_of,
)
from daskml_exec.partitions import Partition


@dataclass(frozen=True)
class Moments(Query[MomentsAndPool]):
    """Moments of columns and targets, and a sample of this share of all rows."""

    share: float = 0.0
    columns: ColumnMoments | None = None
    """Of all partitions, where they are known."""

    def partial(self, partition: Partition) -> MomentsAndPool:
        moments = partition_moments(partition, self.columns)
        return MomentsAndPool(moments, pool_of(partition, self.share))

    def over_cells(self, columns: Sequence[slice]) -> Any:
        return pass_for_moments(self.share)


@dataclass(frozen=True)
class Gradient(Query[LossSums]):
    """Sums of loss and gradient at some parameters."""

    loss: Loss
    at: Parameters

    def partial(self, partition: Partition) -> LossSums:
        return partition_sums(self.loss, partition, self.at)

    def over_cells(self, columns: Sequence[slice]) -> Any:
        return exchanged_gradient(self.loss, self.at, columns)


@dataclass(frozen=True)
class Refine(Gradient):
    """The gradient that says what a solution lacks."""


@dataclass(frozen=True)
class Project(Gradient):
    """Loss and gradient of targets that are all zero."""

    def partial(self, partition: Partition) -> LossSums:
        raise NotImplementedError("rows determine the solution of least norm by themselves")

    def over_cells(self, columns: Sequence[slice]) -> Any:
        return exchanged_gradient(self.loss, self.at, columns, homogeneous=True)


@dataclass(frozen=True)
class GradientAndHessian(FieldwiseSum):
    """The answer to `Hessian`."""

    sums: LossSums
    hessian: HessianSums


@dataclass(frozen=True)
class Hessian(Query[GradientAndHessian]):
    """The gradient, and the Hessian of a sample of this share of all rows."""

    loss: Loss
    at: Parameters
    point: Array
    """The same as `at`, in the coordinates."""
    coordinates: Standardisation
    share: float
    single: bool
    """Whether single precision will do."""
    features: Array | None = None
    """Of the Hessian, as are `point` and `coordinates`; None for all. Others have no part in z."""

    def partial(self, partition: Partition) -> GradientAndHessian:
        sample = sample_of(partition, self.share)
        sums = partition_sums(self.loss, partition, self.at)
        return GradientAndHessian(sums, self._hessian(sample.X, sample.sample_weight))

    def _hessian(self, X: Any, weight: Any) -> HessianSums:
        to, point = self.coordinates, self.point
        if self.features is not None:
            X = X[:, self.features]
            if sp.issparse(X) and self.loss.n_outputs == 1 and not to.far:
                return sparse_hessian_sums(self.loss, X, weight, to, point)
        return hessian_sums(self.loss, X, weight, to, point, single=self.single)
