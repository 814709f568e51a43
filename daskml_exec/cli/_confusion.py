"""Which labels were taken for which, as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.cli._text import count, label
from daskml_exec.executor import Table
from daskml_exec.kernels.arrays import Array

# Of more labels than this, the most frequent ones have a row and a column each.
_MOST = 10


@dataclass(frozen=True)
class Confusion:
    """What became of the rows of each label.

    Attributes
    ----------
    labels : sequence
        That the model knows.
    matrix : array of int, shape (n_labels, n_labels)
        Rows by their true label, and by the predicted one.
    n_rows : int
        Of all labels.
    """

    labels: Sequence[Any]
    matrix: Array
    n_rows: int

    def lines(self) -> Iterator[str]:
        """Return the lines of a table, true labels downwards."""
        names, matrix = [label(each) for each in self.labels], self.matrix
        if len(names) > _MOST:
            names, matrix = self._largest(names)
        yield "rows of the test file by label: true downwards, predicted across"
        cells = [(name, *(f"{n:,}" for n in row)) for name, row in zip(names, matrix, strict=True)]
        yield from Table(("", *names), cells, words=("",)).lines()
        unknown = self.n_rows - int(self.matrix.sum())
        if unknown:
            yield f"... and {count(unknown, 'row')} of labels that the training file has not"

    def _largest(self, names: list[str]) -> tuple[list[str], Array]:
        """Return the most frequent labels, with all others as one."""
        order = np.argsort(-self.matrix.sum(axis=1), kind="stable")[:_MOST]
        place = np.full(len(names), _MOST)
        place[order] = np.arange(_MOST)
        folded = np.zeros((_MOST + 1, _MOST + 1), dtype=self.matrix.dtype)
        np.add.at(folded, (place[:, None], place), self.matrix)
        others = count(len(names) - _MOST, "other")
        return [*(names[k] for k in order), others], folded
