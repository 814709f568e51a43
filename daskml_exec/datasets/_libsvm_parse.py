"""Parsing one byte range, and finding the line to blame when that fails."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_svmlight_file

from daskml_exec.datasets._byte_ranges import ByteRange
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.moments import first_non_finite

_PARSER_ERRORS = (ValueError, OverflowError)


@dataclass(frozen=True)
class ParseOptions:
    """How to read the text, the same for every byte range of a call."""

    n_features: int
    dtype: np.dtype[Any]
    zero_based: bool
    multilabel: bool
    query_id: bool
    finite: bool = False
    """Whether values and labels must be finite: scikit-learn's parser takes any number."""


@dataclass(frozen=True)
class RowRange:
    """A byte range with what the scan found of it: its rows and the number of its first line."""

    bytes: ByteRange
    rows: int
    first_line: int


class ParsedRows(NamedTuple):
    """The rows of one partition; `query_id` is None unless it was asked for."""

    X: Any  # the class of load_svmlight_file: csr_matrix, or csr_array if so configured
    y: Array
    query_id: Array | None


def parse_range(row_range: RowRange, options: ParseOptions) -> ParsedRows:
    """Read and parse one byte range.

    Raises
    ------
    ValueError
        If a line cannot be parsed, or has a number that must be finite and is not; the message
        names the file and the line, and the cause is the parser's own error.
    RuntimeError
        If the file holds another number of rows than the scan saw.
    """
    file = row_range.bytes.file
    data = row_range.bytes.read()
    try:
        parsed = parse_text(data, options)
    except _PARSER_ERRORS as error:
        line, reason = find_bad_line(data, options, error)
        raise ValueError(f"{file.name}, line {row_range.first_line + line}: {reason}") from reason
    if len(parsed.y) != row_range.rows:
        raise RuntimeError(
            f"{file.name} has changed since read_libsvm was called: {len(parsed.y)} rows "
            f"where there were {row_range.rows}"
        )
    if options.finite:
        _require_finite(parsed, data, row_range, options)
    return parsed


def _require_finite(
    parsed: ParsedRows, data: bytes, row_range: RowRange, options: ParseOptions
) -> None:
    """Raise ValueError for the first number that is not finite, with its place in the file."""
    bad = np.flatnonzero(~np.isfinite(parsed.y))
    place = first_non_finite(parsed.X)
    if not (bad.size or place):
        return
    if place is None or (bad.size and bad[0] <= place[0]):
        row, found = int(bad[0]), f"the label is {parsed.y[bad[0]]:g}"
    else:
        row, column, value = place
        found = f"index {column if options.zero_based else column + 1} is {value}"
    line = row_range.first_line + _line_of_row(data, row)
    raise ValueError(
        f"{row_range.bytes.file.name}, line {line}: {found}; allowed are finite numbers"
    )


def _line_of_row(data: bytes, row: int) -> int:
    """Return the position (from 0) of the line that holds a row: comments and blanks hold none."""
    holding = (at for at, line in enumerate(io.BytesIO(data)) if line.partition(b"#")[0].strip())
    return next(itertools.islice(holding, row, None))


def parse_text(data: bytes, options: ParseOptions) -> ParsedRows:
    """Parse whole lines of text with scikit-learn's compiled parser."""
    X, labels, *rest = load_svmlight_file(
        io.BytesIO(data),
        n_features=options.n_features,
        dtype=options.dtype,
        zero_based=options.zero_based,
        multilabel=options.multilabel,
        query_id=options.query_id,
    )
    if not options.query_id:
        return ParsedRows(X, _label_array(labels), None)
    (query_id,) = rest
    if len(query_id) != len(labels):
        # The parser passes over such lines, and rows could not be matched with their queries.
        raise ValueError("no 'qid:' after the label; query_id=True needs one on every line")
    return ParsedRows(X, _label_array(labels), query_id)


def find_bad_line(data: bytes, options: ParseOptions, error: Exception) -> tuple[int, Exception]:
    """Return the position (from 0) of the first line that fails to parse, and its error.

    `error` is that of the whole text. Halving takes about as long as one parse of the text,
    where parsing every line by itself would take many times as long.
    """
    lines = list(io.BytesIO(data))
    low, high = 0, len(lines)  # the first bad line is in lines[low:high]
    while high - low > 1:
        middle = (low + high) // 2
        try:
            parse_text(b"".join(lines[low:middle]), options)
        except _PARSER_ERRORS as half_error:
            high, error = middle, half_error
        else:
            low = middle
    try:
        parse_text(b"".join(lines[low:high]), options)
    except _PARSER_ERRORS as line_error:
        error = line_error
    return low, error


def _label_array(labels: Array | list[tuple[float, ...]]) -> Array:
    if isinstance(labels, np.ndarray):
        return labels
    # np.array would make a matrix of tuples that happen to have equal lengths.
    return np.fromiter(labels, dtype=object, count=len(labels))
