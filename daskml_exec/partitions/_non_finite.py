"""Say where data is not finite, in words for whoever has to mend it."""

from daskml_exec.kernels.moments import first_non_finite
from daskml_exec.partitions._partition import Partition


def describe_non_finite(partition: Partition, feature_names: tuple[str, ...] | None) -> str:
    """Return where X has its first value that is not finite; an empty text if it has none."""
    where = first_non_finite(partition.X)
    if where is None:
        return ""
    row, column, what = where
    name = f" ({feature_names[column]!r})" if feature_names else ""
    return (
        f"Input X contains {what} in partition {partition.index}, column {column}{name} "
        f"(row {row} of the partition)"
    )
