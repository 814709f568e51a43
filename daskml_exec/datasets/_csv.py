"""CSV files as Dask dataframes, whose columns have the types that all rows together ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

from daskml_exec.datasets._byte_ranges import ByteRange, cut_by_size, find_files
from daskml_exec.datasets._csv_block import CsvColumns, first_columns, parse_block

_BLOCK_BYTES = 2**26
_TEXT, _GAPS = "text", "gaps"


def read_csv(
    url: str, choose: Callable[[Sequence[str]], Sequence[str]], texts: Sequence[str] = ()
) -> Any:
    """Return the rows of CSV files as a Dask dataframe.

    Each byte range is parsed once, on a Worker, and says what types it found; where another range
    found a wider one its column is converted, or read again as the texts that the file has.

    Parameters
    ----------
    url : str
        A path, a URL or a glob.
    choose : callable
        Given the names of all columns, returns those to read.
    texts : sequence of str
        Columns that are texts, whatever they look like.

    Raises
    ------
    ValueError
        A file is empty, has other columns than the first, or a line that cannot be parsed.
    """
    files = find_files(url)
    columns = first_columns(files[0])
    columns = replace(columns, chosen=tuple(choose(columns.names)))
    blocks = cut_by_size(files, _BLOCK_BYTES)
    parse, kinds_in, convert = map(dask.delayed, (parse_block, _kinds_in, _converted))
    parsed = dask.persist(*(parse(block, columns) for block in blocks))
    found = dask.compute(*map(kinds_in, parsed))
    known = {name: _TEXT for name in texts if name in columns.chosen}
    kinds = {
        name: reduce(_wider, (each[name] for each in found), known.get(name))
        for name in columns.chosen
    }
    rows = [
        convert(frame, block, columns, kinds) for frame, block in zip(parsed, blocks, strict=True)
    ]
    return dd.from_delayed(rows, meta=_described(kinds), prefix="csv", verify_meta=False)


def _kinds_in(block: pd.DataFrame) -> dict[str, str | None]:
    return {str(name): _kind(column) for name, column in block.items()}


def _kind(column: pd.Series) -> str | None:
    """Return the name of a column's type, or what stands for it; None where there are no rows.

    Examples
    --------
    >>> _kind(pd.Series([1, 2])), _kind(pd.Series([None, None])), _kind(pd.Series(["a", None]))
    ('int64', 'gaps', 'text')
    """
    if not len(column):
        return None
    if column.isna().all():
        return _GAPS
    # Integers of more than 64 bits are objects, and become the texts that they are in the file.
    return str(column.dtype) if column.dtype.kind in "biuf" else _TEXT


def _wider(left: str | None, right: str | None) -> str | None:
    """Return what holds the values of both, as if they had been read at once.

    Examples
    --------
    >>> _wider("int64", "gaps"), _wider("float64", "text"), _wider("bool", "int64")
    ('float64', 'text', 'text')
    """
    if left == right or right is None:
        return left
    if left is None:
        return right
    numbers = ["float64" if kind == _GAPS else kind for kind in (left, right)]
    if _TEXT in numbers or "bool" in numbers:
        return _TEXT
    return str(np.result_type(*numbers))


def _described(kinds: Mapping[str, str | None]) -> pd.DataFrame:
    """Return a frame without rows whose columns have the types."""
    empty = pd.DataFrame({name: pd.Series([], dtype=_dtype(kind)) for name, kind in kinds.items()})
    return empty[list(kinds)]


def _dtype(kind: str | None) -> Any:
    if kind == _TEXT:
        return pd.Series([""], dtype=str).dtype
    return np.dtype("float64" if kind in (None, _GAPS) else kind)


def _converted(
    frame: pd.DataFrame, block: ByteRange, columns: CsvColumns, kinds: Mapping[str, str | None]
) -> pd.DataFrame:
    """Return a block's rows with the types of the whole file."""
    again = tuple(
        name for name, kind in kinds.items() if kind == _TEXT and not _are_texts(frame[name])
    )
    if again:
        # A number no longer says how it was written: 007, or 1.0.
        read = parse_block(block, replace(columns, chosen=again), dict.fromkeys(again, str))
        frame = frame.assign(**{name: read[name] for name in again})
    numbers = {name: _dtype(kind) for name, kind in kinds.items() if kind != _TEXT}
    return frame.astype({name: t for name, t in numbers.items() if frame[name].dtype != t})


def _are_texts(column: pd.Series) -> bool:
    wanted = column.dtype == _dtype(_TEXT)
    return wanted and pd.api.types.infer_dtype(column, skipna=True) == "string"
