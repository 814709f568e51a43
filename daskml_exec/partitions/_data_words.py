"""Parts of what a Data is printed as."""

from collections.abc import Sequence

from distributed import Client

from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._sample_trees import in_words

# Leaves of X that are named.
_SHOWN = 6


def leaves_in_words(like: Partition) -> list[str]:
    """Return the arrays that a sample is made of, with their shapes; of very many the first."""
    leaves = in_words(like.X, "X")
    more = [f"{len(leaves) - _SHOWN:,} more of X"] if len(leaves) > _SHOWN else []
    return [*leaves[:_SHOWN], *more, *([] if like.y is None else in_words(like.y, "y"))]


def on_workers(client: Client) -> str:
    """Return on how many Workers it is; nothing where the cluster is gone."""
    if client.status != "running":
        return ""
    n = len(client.nthreads())
    return f" on {n:,} worker{'s' * (n != 1)}"


def some(values: Sequence[object], most: int = 12) -> str:
    """Return the first values, and how many there are if not all are shown."""
    shown = ", ".join(str(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown}, ... ({len(values):,})"
