"""What a path of models asks of rows that know their folds: one pass for many models."""

from dataclasses import dataclass

import numpy as np

from daskml_exec.executor import Query
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.hessian_sums import (
    HessiansSums,
    HessianSums,
    hessian_sums,
    hessians_sums,
)
from daskml_exec.kernels.losses import Loss
from daskml_exec.kernels.many_models import FoldSums, ModelSums, Points, fold_sums, model_sums
from daskml_exec.kernels.moments import Moments as ColumnMoments
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.linear_model._pool import pool_of
from daskml_exec.linear_model._problem import MomentsAndPool, partition_moments, sample_of
from daskml_exec.partitions import Partition


@dataclass(frozen=True)
class FoldMoments(FieldwiseSum):
    """The answer to `PathMoments`."""

    whole: MomentsAndPool
    weights: Array
    """Of the rows of each class in each fold, of shape (F + 1, C); one class for numbers."""


@dataclass(frozen=True)
class PathMoments(Query[FoldMoments]):
    """Moments of columns and targets, a sample of the rows, and what folds weigh."""

    n_folds: int
    n_classes: int
    """One for numbers."""
    pool_share: float
    columns: ColumnMoments | None = None
    """Of all partitions, where they are known."""

    @property
    def step(self) -> str:
        return "moments"

    def partial(self, partition: Partition) -> FoldMoments:
        moments = partition_moments(partition, self.columns)
        whole = MomentsAndPool(moments, pool_of(partition, self.pool_share))
        shape = (self.n_folds + 1, self.n_classes)
        places = np.minimum(partition.fold, self.n_folds).astype(np.intp)
        if self.n_classes > 1:
            places = places * self.n_classes + partition.y
        weights = np.bincount(places, partition.sample_weight, minlength=shape[0] * shape[1])
        return FoldMoments(whole, weights.astype(np.float64).reshape(shape))


@dataclass(frozen=True)
class CommonSums(FieldwiseSum):
    """The answer to `CommonPoints`."""

    sums: FoldSums
    hessians: HessiansSums | None


@dataclass(frozen=True)
class CommonPoints(Query[CommonSums]):
    """Loss and gradient by fold at points that the models of all folds share; Hessians, too."""

    loss: Loss
    at: Points
    n_folds: int
    coordinates: Standardisation
    points: Array | None = None
    """The same as `at`, in the coordinates, where Hessians are wanted."""
    share: float = 0.0
    """Of the rows that Hessians come from."""
    single: bool = False
    """Whether single precision will do for them."""

    @property
    def step(self) -> str:
        return "common"

    def partial(self, partition: Partition) -> CommonSums:
        sums = fold_sums(
            self.loss,
            partition.X,
            partition.y,
            partition.sample_weight,
            partition.fold,
            self.n_folds,
            self.at,
        )
        if self.points is None:
            return CommonSums(sums, None)
        sample = sample_of(partition, self.share)
        hessians = hessians_sums(
            self.loss,
            sample.X,
            sample.sample_weight,
            self.coordinates,
            self.points,
            single=self.single,
        )
        return CommonSums(sums, hessians)

    def combine(self, left: CommonSums, right: CommonSums) -> CommonSums:
        if left.hessians is None or right.hessians is None:
            return CommonSums(left.sums + right.sums, None)
        return left + right


@dataclass(frozen=True)
class OwnSums(FieldwiseSum):
    """The answer to `OwnPoints`."""

    sums: ModelSums
    hessians: tuple[HessianSums, ...]

    def __add__(self, other: "OwnSums") -> "OwnSums":
        hessians = (a + b for a, b in zip(self.hessians, other.hessians, strict=True))
        return OwnSums(self.sums + other.sums, tuple(hessians))


@dataclass(frozen=True)
class WantedHessian:
    """A Hessian of one model.

    Attributes
    ----------
    point : ndarray of shape (K, p)
        Where, in the coordinates.
    left_out : int
        The fold that it does not train on.
    share : float
        Of the rows that it comes from.
    """

    point: Array
    left_out: int
    share: float


@dataclass(frozen=True)
class OwnPoints(Query[OwnSums]):
    """Gradients of models at points of their own, each over the rows that it trains on."""

    loss: Loss
    at: Points
    n_folds: int
    left_out: Array
    """The fold that each model does not train on; -1 for none."""
    coordinates: Standardisation
    hessians: tuple[WantedHessian, ...] = ()

    @property
    def step(self) -> str:
        return "own"

    def partial(self, partition: Partition) -> OwnSums:
        sums = model_sums(
            self.loss,
            partition.X,
            partition.y,
            partition.sample_weight,
            partition.fold,
            self.n_folds,
            self.at,
            self.left_out,
        )
        return OwnSums(sums, tuple(self._hessian(partition, each) for each in self.hessians))

    def _hessian(self, partition: Partition, wanted: WantedHessian) -> HessianSums:
        sample = sample_of(partition, wanted.share)
        trained = (sample.fold != wanted.left_out).astype(np.float64)
        weight = trained if sample.sample_weight is None else sample.sample_weight * trained
        return hessian_sums(self.loss, sample.X, weight, self.coordinates, wanted.point)
