"""What is asked of all partitions about the order of each column's values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host, to_host
from daskml_exec.kernels.order_statistics import ROOM, OrderSketch, order_sketch
from daskml_exec.partitions import Partition, number_blocks
from daskml_exec.preprocessing._questions import Questions
from daskml_exec.preprocessing._summaries import Form, marked, refuse_infinite, single_precision
from daskml_exec.training import Query

_KEPT = 2**20
GROUP_BYTES = 2**23
"""Answers of so many bytes are asked for at once, and one column at least: there are as many again
where two are added, and where they leave."""


@dataclass(frozen=True)
class OrderAnswer:
    """The form of the rows, and a sketch of each column.

    Attributes
    ----------
    form : Form
    columns : tuple of OrderSketch
    """

    form: Form
    columns: tuple[OrderSketch, ...]

    def __add__(self, other: OrderAnswer) -> OrderAnswer:
        pairs = zip(self.columns, other.columns, strict=True)
        return OrderAnswer(self.form + other.form, tuple(left + right for left, right in pairs))


@dataclass(frozen=True)
class Orders(Query[OrderAnswer]):
    """Sketches of some columns, with NaN left out; infinities are refused.

    Attributes
    ----------
    start, stop : int
        Which columns.
    missing : float
        What else is missing. If it is not NaN, NaN is refused.
    """

    start: int
    stop: int
    missing: float = np.nan

    def partial(self, partition: Partition) -> OrderAnswer:
        """Go once through these columns."""
        X, width = partition.X, self.stop - self.start
        columns: list[list[Any]] = [[] for _ in range(width)]
        implicit = np.zeros(width, np.int64)
        some = _columns_between(X, self.start, self.stop)
        floats = isinstance(some, np.ndarray) and some.dtype.kind == "f" and some.ndim == 2
        where = f"partition {partition.index}"
        # A few columns of floats are copied at once: they are kept anyway.
        blocks = [(slice(0, len(some)), some)] if floats else number_blocks(some, where=where)
        for rows, block in blocks:
            block = marked(block, self.missing, partition.index, rows.start, self.start)
            if sp.issparse(block):
                block = block.tocsc()
                if np.isinf(block.data).any():
                    refuse_infinite(block.tocsr(), partition.index, rows.start, self.start)
                ends = block.indptr
                implicit += block.shape[0] - np.diff(ends)
                parts = [block.data[a:b] for a, b in itertools.pairwise(ends)]
            else:
                block = np.array((block if is_host(block) else to_host(block)).T, order="C")
                with np.errstate(over="ignore", invalid="ignore"):
                    finite = np.isfinite(block.sum())
                if not finite:
                    refuse_infinite(block.T, partition.index, rows.start, self.start)
                parts = list(block)
            for column, part in zip(columns, parts, strict=True):
                column.append(part)
        form = Form(partition.n_rows, single_precision(X), sp.issparse(X))
        return OrderAnswer(
            form,
            tuple(
                order_sketch(
                    parts[0] if len(parts) == 1 else np.concatenate(parts), implicit=int(zeros)
                )
                for parts, zeros in zip(columns, implicit, strict=True)
            ),
        )


@dataclass(frozen=True)
class Condensed:
    """What was wanted of each column, where there is no room for all sketches.

    Attributes
    ----------
    form : Form
    found : tuple
        What a function made of each column's sketch.
    """

    form: Form
    found: tuple[Any, ...]


OfColumn = Callable[[OrderSketch, Form], Any]


def orders_of(
    partitions: Any, *, condense: OfColumn | None = None, missing: float = np.nan
) -> Questions[OrderAnswer | Condensed]:
    """Ask for the answer of all columns, in groups that this process has room for.

    Parameters
    ----------
    partitions : Partitions, Pieces or Columns
    condense : callable, optional
        What is wanted of a column. If there is such, sketches are kept up to 1 MB alone.
    missing : float
        As of `Orders`.
    """
    rows, width = sum(partitions.rows), partitions.n_features
    if condense is None or 8 * rows * width <= _KEPT:
        answers = []
        for start, stop in _groups(rows, width):
            answers.append((yield Orders(start, stop, missing)))
        return OrderAnswer(answers[0].form, tuple(each for one in answers for each in one.columns))
    found: list[Future[Condensed]] = []
    with ThreadPoolExecutor(1) as behind:  # Workers need not wait for what is done here
        for start, stop in _groups(rows, width):
            answer: OrderAnswer = yield Orders(start, stop, missing)
            if found:
                found[-1].result()  # of two there is room
            found.append(behind.submit(_condensed, answer, condense))
    all_ = [each.result() for each in found]
    return Condensed(all_[0].form, tuple(each for one in all_ for each in one.found))


def _condensed(answer: OrderAnswer, condense: OfColumn) -> Condensed:
    return Condensed(answer.form, tuple(of_columns(answer, condense)))


def of_columns(answer: OrderAnswer | Condensed, condense: OfColumn) -> Sequence[Any]:
    """Return what is wanted of each column."""
    if isinstance(answer, Condensed):
        return answer.found
    return [condense(each, answer.form) for each in answer.columns]


def room_for(query: Query[Any], rows: int) -> int:
    """Return the bytes that an answer takes at most, where it grows with the number of rows.

    Questions that are asked together are to take no more than `GROUP_BYTES`.
    """
    return (query.stop - query.start) * _most(rows) if isinstance(query, Orders) else 0


def _most(rows: int) -> int:
    """Return the bytes of a sketch of a column of so many rows."""
    levels = max(0, (rows // ROOM.level).bit_length())
    return 8 * min(max(rows, 1), ROOM.exact + levels * ROOM.level)


def _groups(rows: int, n_features: int) -> Iterator[tuple[int, int]]:
    at_once = max(1, GROUP_BYTES // _most(rows))
    for start in range(0, n_features, at_once):
        yield start, min(start + at_once, n_features)


def _columns_between(X: Any, start: int, stop: int) -> Any:
    if isinstance(X, list):
        return [row[start:stop] for row in X]
    if start == 0 and stop == X.shape[1]:
        return X
    return X.iloc[:, start:stop] if hasattr(X, "iloc") else X[:, start:stop]
