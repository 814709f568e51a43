"""A target of which the data says whether it is of labels or of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from daskml_exec.partitions._classification import Labels
from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._regression import Numbers
from daskml_exec.partitions._target import Settled


@dataclass(frozen=True)
class LabelsOrNumbers:
    """Labels, unless there are numbers that are not whole; as scikit-learn tells them apart."""

    kind: ClassVar[str | None] = "labels or numbers"
    several: ClassVar[bool] = False

    def describe(self, partition: Partition, where: str) -> tuple[Any, Any]:
        """Look at both, as far as the dtype allows."""
        y = partition.y
        broken = y.dtype.kind == "f" and bool((y % 1 != 0).any())
        labels = None if broken else Labels().describe(partition, where)
        numeric = y.dtype.kind in "biuf"
        return labels, Numbers(several=False).describe(partition, where) if numeric else None

    def settle(self, found: list[tuple[Any, Any]], rows: int, *, weighted: bool) -> Settled:
        """Decide."""
        labels, numbers = ([pair[part] for pair in found] for part in (0, 1))
        if all(each is not None for each in labels):
            return Labels().settle(labels, rows, weighted=weighted)
        if any(each is None for each in numbers):
            raise TypeError("y has texts and numbers; allowed is one of them")
        return Numbers(several=False).settle(numbers, rows, weighted=weighted)

    def require_of(self, loaded: Any, settled: Settled, who: str) -> None:
        """Accept any."""
