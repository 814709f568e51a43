"""All rows of a `Data` as one partition, which travels to where a model is trained alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from daskml_exec.executor import gather
from daskml_exec.partitions._data import Data
from daskml_exec.partitions._partition import Partition, Pieces
from daskml_exec.partitions._recipes import Owner
from daskml_exec.partitions._row_trees import tree_stacked
from daskml_exec.partitions._target import Settled, Target


@dataclass(frozen=True)
class OnePiece:
    """All rows, checked and in their last form, and what is known of them. Picklable.

    Attributes
    ----------
    pieces : Pieces
        Of one partition.
    target : Target
    settled : Settled
    like : Partition or None
        Of samples.
    """

    pieces: Pieces
    target: Target
    settled: Settled
    like: Partition | None

    @property
    def nbytes(self) -> int:
        """Bytes of X, y and weights, about."""
        return self.pieces.partitions[0].nbytes

    def data(self) -> Data:
        """Return the rows as a `Data` in the memory of this process."""
        return Data(Owner(self.pieces, None), self.target, None, self.settled, like=self.like)

    def given(self) -> tuple[Any, Any, Any]:
        """Return X, and y and weights as the user gave them; weights are None where there are none.

        Arrays are those of the partition, which must not be changed.
        """
        (partition,) = self.pieces.partitions
        y, sample_weight = self.settled.columns.given(partition)
        return partition.X, y, sample_weight


def in_one_piece(data: Data, what: str) -> OnePiece:
    """Bring all rows to the driver, in the order of their partitions.

    Parameters
    ----------
    data : Data
        Of rows, in memory or on a cluster.
    what : str
        Needs them, for messages.

    Raises
    ------
    ValueError
        It is of cells, or was released.
    LostPartitionError
        As of `Data.lent`.
    """
    if data.in_memory:
        partitions, about = list(data.partitions.partitions), data.partitions
    else:
        about = data.whole_rows(what)
        partitions = gather(about.executor.client, about.futures)
    filled = [each for each in partitions if each.n_rows] or partitions[:1]
    rows = filled[0] if len(filled) == 1 else tree_stacked(filled)
    pieces = Pieces(
        partitions=(replace(rows, index=0, start=0),),
        n_features=about.n_features,
        nonzeros=about.nonzeros,
        dtype=about.dtype,
        feature_names=about.feature_names,
        form=about.form,
        sizes=None if about.sizes is None else (sum(about.sizes),),
    )
    return OnePiece(pieces, data.target, data.settled, data.like)
