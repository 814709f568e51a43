"""Numbers as a target: finite, in float64, one per row or several."""

import operator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskml_exec.kernels.distributions import Distribution
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.kernels.moments import Moments, column_moments
from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._relative import TargetForm, weight_exponent
from daskml_exec.partitions._target import Settled, require_weight
from daskml_exec.partitions._targets import NUMBERS, out_of_range, real_target

NEEDED = "a fit needs at least one row"


@dataclass(frozen=True)
class Numbers:
    """Finite real numbers.

    Parameters
    ----------
    distribution : Distribution, default=Gaussian()
        It says which values there may be.
    several : bool, default=True
        Whether there may be several for each row, in a matrix.
    """

    distribution: Distribution = NUMBERS
    several: bool = True

    kind: ClassVar[str | None] = "numbers"

    def describe(self, partition: Partition, where: str) -> "_Found":
        """Check the numbers of a partition, and return their moments."""
        y = real_target(partition.y, where=where, distribution=self.distribution)
        n_targets = y.shape[1] if y.ndim == 2 else None
        moments = column_moments(y if y.ndim == 2 else y[:, None], partition.sample_weight)
        return _Found(len(y), moments, float(y.min(initial=np.inf)), n_targets)

    def settle(self, found: "list[_Found]", rows: int, *, weighted: bool) -> Settled:
        """Bring weights to a usual size."""
        n_targets = _one_width(found)
        total: Moments = fold([each.of_width(n_targets) for each in found], operator.add)
        require_weight(rows, total.weight, needed=NEEDED)
        form = TargetForm(weight_exponent(total.weight, rows))
        return Settled(
            _Columns(form, n_targets),
            form,
            weighted,
            moments=total,
            least=min(each.least for each in found),
            n_targets=n_targets,
        )

    def require_of(self, loaded: "Numbers", settled: Settled, who: str) -> None:
        """Raise ValueError for several numbers a row where one is needed, or too small ones."""
        if settled.n_targets is not None and not self.several:
            raise ValueError(
                f"y has 2 dimensions and {settled.n_targets} columns, in the Data that {who} was "
                "given as X; allowed is one value per row"
            )
        if settled.least < self.distribution.y_min:
            where = f"the Data that {who} was given as X"
            raise ValueError(out_of_range(settled.least, where, self.distribution))


@dataclass(frozen=True)
class _Found:
    rows: int
    moments: Moments
    least: float
    n_targets: int | None

    def of_width(self, n_targets: int | None) -> Moments:
        """Return the moments, of as many columns where there are no rows to tell."""
        if self.rows or n_targets is None:
            return self.moments
        return Moments(0.0, np.zeros(n_targets), np.zeros(n_targets))


def _one_width(found: list[_Found]) -> int | None:
    widths = {each.n_targets: index for index, each in enumerate(found) if each.rows}
    if len(widths) > 1:
        told = ", ".join(f"{width or 1} in partition {index}" for width, index in widths.items())
        raise ValueError(f"y has another number of columns: {told}; all must have the same")
    return next(iter(widths), None)


@dataclass(frozen=True)
class _Columns:
    """The last form of a partition's y and weights."""

    form: TargetForm
    n_targets: int | None

    def __call__(self, partition: Partition) -> tuple[Any, Any]:
        y = real_target(partition.y, where="a partition")
        if self.n_targets is not None and not len(y):
            y = np.empty((0, self.n_targets))
        return self.form(y, partition.sample_weight)

    def given(self, partition: Partition) -> tuple[Any, Any]:
        return self.form.given(partition.y, partition.sample_weight)
