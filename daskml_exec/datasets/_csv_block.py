"""One byte range of a CSV file: its rows, or the line to blame."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import pandas as pd

from daskml_exec.datasets._byte_ranges import ByteRange, TextFile, cut_by_size

# Of what stands before a range no more than this is held while its lines are counted.
_PIECE = 2**24


@dataclass(frozen=True)
class CsvColumns:
    """The columns of some CSV files, which all have the same ones.

    Attributes
    ----------
    header : bytes
        The line that names them, without its end.
    names : tuple of str
        All of them, as pandas tells those apart that have one name.
    chosen : tuple of str
        Those to read.
    file : str
        Whose header it is.
    """

    header: bytes
    names: tuple[str, ...]
    chosen: tuple[str, ...]
    file: str


def first_columns(file: TextFile) -> CsvColumns:
    """Return the columns that a file has, all of them chosen.

    Raises
    ------
    ValueError
        The file has no header, or one that is not UTF-8.
    """
    with file.open() as stream:
        found = _first_line(stream)
    header = _header(found, file)
    names = names_in(header)
    return CsvColumns(header, names, names, file.name)


def names_in(header: bytes) -> tuple[str, ...]:
    """Return the names in a header.

    Examples
    --------
    >>> names_in(b"age,size,age,")
    ('age', 'size', 'age.1', 'Unnamed: 3')
    """
    return tuple(map(str, pd.read_csv(io.BytesIO(header), nrows=0, index_col=False).columns))


def parse_block(
    block: ByteRange, columns: CsvColumns, dtypes: Mapping[str, type] | None = None
) -> pd.DataFrame:
    """Return the rows of a byte range, with the types that they alone ask for.

    Parameters
    ----------
    block : ByteRange
    columns : CsvColumns
    dtypes : mapping of str to type, optional
        Types of columns that are known.

    Raises
    ------
    ValueError
        A line has more fields than the header, or bytes that are not UTF-8, or a text has no end,
        or the file has other columns: with the file, and the line counted from 1.
    """
    data = block.read()
    start = 0 if block.start else _behind_header(data, block.file, columns)
    # Of what a line has too much, one field is read, to be found out: pandas passes over it where
    # columns are chosen, and for the first row in any case.
    surplus = len(columns.names)
    places = [columns.names.index(name) for name in columns.chosen]
    text = io.BytesIO(b"".join((columns.header, b",\n", memoryview(data)[start:])))
    try:
        frame = pd.read_csv(
            text,
            usecols=[*places, surplus],
            index_col=False,
            # Types of a whole block, and not of pieces of it, which may differ.
            low_memory=False,
            dtype=dict(dtypes or {}),
        )
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        lines, offset = _before(block)
        _require_utf8(data, block.file, lines, offset)
        raise _not_parsed(error, block, lines, lines + data.count(b"\n")) from error
    if frame.iloc[:, -1].notna().any():
        raise _long_line(block, data, start, columns)
    return frame.iloc[:, :-1]


def _behind_header(data: bytes, file: TextFile, columns: CsvColumns) -> int:
    """Return where the rows start in what a file begins with."""
    found = _first_line(io.BytesIO(data))
    header = _header(found, file)
    if header != columns.header and names_in(header) != columns.names:
        raise ValueError(
            f"{file.name} has the columns {', '.join(names_in(header))}, and {columns.file} has "
            f"{', '.join(columns.names)}; allowed are the same ones in the same order"
        )
    return found.offset + len(found.line)


class _Line(NamedTuple):
    """The first line with something in it, how many are in front of it, and how many bytes."""

    line: bytes
    number: int
    offset: int


def _first_line(stream: BinaryIO) -> _Line:
    offset = 0
    for number, line in enumerate(stream):
        if line.strip():
            return _Line(line, number, offset)
        offset += len(line)
    return _Line(b"", 0, offset)


def _header(found: _Line, file: TextFile) -> bytes:
    if not found.line:
        raise ValueError(
            f"{file.name} is empty; allowed is a line with the names of the columns, and a line "
            "for each row"
        )
    _require_utf8(found.line, file, found.number, found.offset)
    return found.line.rstrip(b"\r\n")


def _before(block: ByteRange) -> tuple[int, int]:
    """Return how many lines, and how many bytes, stand before a range."""
    if not block.start:
        return 0, 0
    lines = size = 0
    head = TextFile(
        block.file.fs, block.file.path, block.start, block.file.compression, block.file.fingerprint
    )
    for piece in cut_by_size([head], _PIECE):
        data = piece.read()
        lines, size = lines + data.count(b"\n"), size + len(data)
    return lines, size


def _require_utf8(data: bytes, file: TextFile, lines: int, offset: int) -> None:
    """Raise ValueError for bytes that are not UTF-8, of which so much stands before."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start
        line = lines + data.count(b"\n", 0, place) + 1
        raise ValueError(
            f"{file.name}, line {line}: the byte 0x{data[place]:02x} at offset {offset + place:,} "
            "is not UTF-8; allowed are files in UTF-8"
        ) from None


def _long_line(block: ByteRange, data: bytes, start: int, columns: CsvColumns) -> ValueError:
    """Return an error that names the first line with more fields than there are columns."""
    lines = _before(block)[0] + data.count(b"\n", 0, start)
    n = len(columns.names)
    reader = csv.reader(io.StringIO(data[start:].decode("utf-8", "replace"), newline=""))
    last = 0
    for fields in reader:
        if len(fields) > n and fields[n]:
            return ValueError(
                f"{block.file.name}, line {lines + last + 1}: {len(fields)} fields, and the header "
                f"names {n} columns; allowed are as many, with quotes around texts that have commas"
            )
        last = reader.line_num
    return ValueError(f"{block.file.name} has a line with more fields than its {n} columns")


def _not_parsed(error: Exception, block: ByteRange, first: int, last: int) -> ValueError:
    whole = block.start == 0 and block.stop in (None, block.file.size)
    hint = "" if whole else ": files are cut at ends of lines, so that longer texts want Parquet"
    reason = str(error).removeprefix("Error tokenizing data. C error: ")
    return ValueError(f"{block.file.name}, lines {first + 1} to {last}: {reason}{hint}")
