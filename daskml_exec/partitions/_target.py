"""What y is to be, if there is one: the interface, and data without y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.moments import Moments
from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._relative import AS_GIVEN, TargetForm, scaled, weight_exponent


class Columns(Protocol):
    """How y and weights are brought into their last form, and back. Picklable."""

    def __call__(self, partition: Partition) -> tuple[Any, Any]:
        """Return the last form of a partition's y and weights."""

    def given(self, partition: Partition) -> tuple[Any, Any]:
        """Return the y and weights as they were given, of a partition that has their last form.

        Raises
        ------
        ValueError
            The last form does not tell.
        """


@dataclass(frozen=True)
class Settled:
    """What is known once all partitions were described.

    Attributes
    ----------
    columns : callable
        Brings the y and weights of a partition into their last form.
    form : TargetForm
    weighted : bool
        Whether rows have weights.
    classes : ndarray or None
        Of labels.
    moments : Moments or None
        Of numbers.
    least : float
        Of numbers.
    n_targets : int or None
        Columns of y, where it is a matrix.
    """

    columns: Columns
    form: TargetForm
    weighted: bool
    classes: Array | None = None
    moments: Moments | None = None
    least: float = 0.0
    n_targets: int | None = None


class Target(Protocol):
    """What y is to be: a frozen record, which travels to partitions."""

    kind: ClassVar[str | None]

    @property
    def several(self) -> bool:
        """Whether y may have several columns."""

    def describe(self, partition: Partition, where: str) -> Any:
        """Check y as the user gave it; return what the driver needs to know of it."""

    def settle(self, found: list[Any], rows: int, *, weighted: bool) -> Settled:
        """Put together what partitions have described."""

    def require_of(self, loaded: Any, settled: Settled, who: str) -> None:
        """Raise ValueError unless data that was loaded with another such record will do."""


@dataclass(frozen=True)
class NoTarget:
    """There is no y."""

    kind: ClassVar[str | None] = None
    several: ClassVar[bool] = False

    def describe(self, partition: Partition, where: str) -> float:
        """Return the weight of all rows."""
        weight = partition.sample_weight
        return float(partition.n_rows if weight is None else weight.sum())

    def settle(self, found: list[float], rows: int, *, weighted: bool) -> Settled:
        """Bring weights to a usual size."""
        form = TargetForm(weight_exponent(float(sum(found)), rows)) if weighted else AS_GIVEN
        return Settled(_Weights(form.exponent), form, weighted)

    def require_of(self, loaded: Any, settled: Settled, who: str) -> None:
        """Accept any."""


@dataclass(frozen=True)
class _Weights:
    exponent: int

    def __call__(self, partition: Partition) -> tuple[Any, Any]:
        return partition.y, scaled(partition.sample_weight, self.exponent)

    def given(self, partition: Partition) -> tuple[Any, Any]:
        return partition.y, scaled(partition.sample_weight, -self.exponent)


NO_TARGET = NoTarget()
UNCHANGED = _Weights(0)
"""The last form of y and weights is that in which they were given."""
UNSETTLED = Settled(UNCHANGED, AS_GIVEN, weighted=False)


def require_weight(rows: int, weight: float, *, needed: str) -> None:
    """Raise ValueError unless the weight of all rows together is positive."""
    if not weight > 0:
        raise ValueError(
            f"all sample weights are zero: {needed} with a positive weight"
            if rows
            else f"X has 0 rows: {needed}"
        )
