"""What is asked of all partitions about each column, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import array_namespace, to_host
from daskml_exec.kernels.column_summaries import (
    ColumnCounts,
    ColumnExtremes,
    ColumnMoments,
    column_counts,
    present_extremes,
    present_means,
    present_moments,
)
from daskml_exec.partitions import Partition, not_finite, number_blocks, scaled
from daskml_exec.training import Query

Kind = Literal["moments", "means", "extremes", "counts"]

_OF_BLOCK: Mapping[Kind, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "moments": present_moments,
        "means": lambda X, sample_weight: present_means(X),
        "extremes": lambda X, sample_weight: present_extremes(X),
        "counts": lambda X, sample_weight: column_counts(X),
    }
)


@dataclass(frozen=True)
class Form:
    """What kind of matrix the rows are.

    Attributes
    ----------
    rows : int
    single : bool
        Whether all values are in single precision.
    sparse : bool
        Whether any rows are sparse.
    weight : float or None
        Of all rows, where any have weights.
    """

    rows: int
    single: bool
    sparse: bool
    weight: float | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is made of them."""
        return np.dtype(np.float32 if self.single else np.float64)

    @property
    def total(self) -> float:
        """Weights of all rows; how many there are, where they have none."""
        return float(self.rows) if self.weight is None else self.weight

    def __add__(self, other: Form) -> Form:
        single = [each.single for each in (self, other) if each.rows]
        unweighted = self.weight is None and other.weight is None
        return Form(
            self.rows + other.rows,
            all(single),
            self.sparse or other.sparse,
            None if unweighted else self.total + other.total,
        )


@dataclass(frozen=True)
class Summary:
    """The answer: what was asked for, and the form of the rows.

    Attributes
    ----------
    form : Form
    found : dict
        A `ColumnMoments`, `ColumnExtremes` or `ColumnCounts` by its kind.
    """

    form: Form
    found: Mapping[Kind, Any]

    @property
    def moments(self) -> ColumnMoments:
        found: ColumnMoments = self.found["moments"]
        return found

    @property
    def means(self) -> ColumnMoments:
        found: ColumnMoments = self.found["means"]
        return found

    @property
    def extremes(self) -> ColumnExtremes:
        found: ColumnExtremes = self.found["extremes"]
        return found

    @property
    def counts(self) -> ColumnCounts:
        found: ColumnCounts = self.found["counts"]
        return found

    def __add__(self, other: Summary) -> Summary:
        return Summary(
            self.form + other.form,
            {kind: found + other.found[kind] for kind, found in self.found.items()},
        )


@dataclass(frozen=True)
class Summaries(Query[Summary]):
    """Summaries of each column, with NaN left out; infinities are refused.

    Attributes
    ----------
    kinds : tuple of {"moments", "means", "extremes", "counts"}
        Means are without weights.
    exponent : int
        Weights of the partitions are to be taken times ``2**exponent``.
    missing : float
        What else is missing. If it is not NaN, NaN is refused.
    """

    kinds: tuple[Kind, ...]
    exponent: int = 0
    missing: float = np.nan

    def partial(self, partition: Partition) -> Summary:
        """Go once through the rows, in blocks that are read from memory once."""
        X, weight = partition.X, scaled(partition.sample_weight, -self.exponent)
        blocks = number_blocks(X, where=f"partition {partition.index}")
        found: dict[Kind, Any] = {}
        for rows, block in blocks:
            some = None if weight is None else weight[rows]
            block = marked(block, self.missing, partition.index, rows.start)
            for kind in self.kinds:
                new = _OF_BLOCK[kind](block, some)
                if not new.finite:
                    refuse_infinite(block, partition.index, rows.start)
                found[kind] = found[kind] + new if kind in found else new
        total = None if weight is None else float(to_host(weight).sum())
        form = Form(partition.n_rows, single_precision(X), sp.issparse(X), total)
        return Summary(form, found)


def single_precision(X: Any) -> bool:
    """Whether all columns of a block are float32."""
    dtypes = X.dtypes if hasattr(X, "dtypes") else [getattr(X, "dtype", None)]
    return all(str(each).rpartition(".")[2] == "float32" for each in dtypes)


def refuse_infinite(block: Any, partition: int, start: int, first_column: int = 0) -> None:
    """Raise for the first infinity of a block, if there is one, with its row and column."""
    _refuse("infinity", block, partition, start, first_column)


def marked(block: Any, missing: float, partition: int, start: int, first_column: int = 0) -> Any:
    """Return a block with NaN where a number says that a value is missing; others must be there."""
    if np.isnan(missing):
        return block
    _refuse("NaN", block, partition, start, first_column)
    if sp.issparse(block):
        block = block.copy()
        block.data[block.data == missing] = np.nan
        return block
    xp = array_namespace(block)
    return xp.where(block == missing, xp.full_like(block, float("nan")), block)


def _refuse(what: str, block: Any, partition: int, start: int, first_column: int) -> None:
    values = block.data if sp.issparse(block) else block
    xp = array_namespace(values)
    bad = to_host(xp.isinf(values) if what == "infinity" else xp.isnan(values))
    if not bad.any():
        return
    if sp.issparse(block):
        first = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(block.indptr, first, "right")) - 1
        column = int(block.indices[first])
    else:
        row, column = map(int, np.argwhere(bad)[0])
    raise not_finite((partition, start + row, first_column + column, what))
