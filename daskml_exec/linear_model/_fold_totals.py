"""What regressions of all folds and penalties are made of, asked of rows."""

from dataclasses import dataclass

from daskml_exec.executor import Query
from daskml_exec.kernels.cross_moments import CrossMoments
from daskml_exec.kernels.fold_moments import cross_moments_by_fold
from daskml_exec.kernels.leave_one_out import LeftOut, Ridges, leave_one_out
from daskml_exec.linear_model._least_squares import Totals
from daskml_exec.partitions import Partition, Place


@dataclass(frozen=True)
class FoldTotals:
    """Moments of the rows of each fold, and last those of rows in none."""

    by_fold: tuple[CrossMoments, ...]
    place: Place | None = None
    """Of the first value that is not finite; None if there is none."""

    def __add__(self, other: "FoldTotals") -> "FoldTotals":
        both = zip(self.by_fold, other.by_fold, strict=True)
        return FoldTotals(tuple(ours + theirs for ours, theirs in both), self.place or other.place)

    @property
    def all_rows(self) -> Totals:
        """Those of all rows together."""
        total, *others = self.by_fold
        for each in others:
            total = total + each
        return Totals(total, self.place)


@dataclass(frozen=True)
class NormalByFold(Query[FoldTotals]):
    """The query for them, in one pass."""

    n_folds: int

    def partial(self, partition: Partition) -> FoldTotals:
        moments = cross_moments_by_fold(
            partition.X, partition.y, partition.sample_weight, partition.fold, self.n_folds
        )
        finite = all(each.columns(slice(-1)).finite.all() for each in moments)
        return FoldTotals(moments, None if finite else partition.first_non_finite())


@dataclass(frozen=True)
class LeaveOneOut(Query[LeftOut]):
    """The query for squared errors of rows, each of models that were trained without it."""

    ridges: Ridges

    def partial(self, partition: Partition) -> LeftOut:
        return leave_one_out(self.ridges, partition.X, partition.y, partition.sample_weight)
