"""Worker-side functions that make a `Partition` out of blocks."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from array_api_compat import device
from sklearn.utils import check_array, column_or_1d

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    concatenated,
    doubles,
    dtype_kind,
    has_doubles,
    is_host,
    is_on_device,
    number,
    same_place,
    somewhere,
    to_host,
)
from daskml_exec.partitions._gather import refusing
from daskml_exec.partitions._kinds import CHECKED, Reading
from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._refusals import naming_columns, refuse_unreadable
from daskml_exec.partitions._row_leaves import canonical, row_count
from daskml_exec.partitions._text_gaps import gaps_as_nan

Span = tuple[Any, int, int]
"""A block, or its future, and the row range to take of it."""


@refusing
def assemble(
    index: int,
    start: int,
    x_blocks: list[Any],
    y_spans: list[Span] | None,
    weight_spans: list[Span] | None,
    reading: Reading = CHECKED,
) -> Partition:
    """Join the blocks of one row range, checked and in the layout that kernels expect."""
    where = f"partition {index}"
    X = side_by_side(x_blocks)
    if not reading.raw:
        X = matrix(X, where=where)
    elif isinstance(X, tuple):
        X = list(X)  # of rows: a tuple in a partition would be a tree
    y = None if y_spans is None else target(y_spans, where, several=reading.several)
    weight = None if weight_spans is None else weights(weight_spans, where)
    rows = row_count(X)
    for name, column in (("y", y), ("sample_weight", weight)):
        if column is not None and len(column) != rows:
            raise ValueError(
                f"{where}: X has {rows} rows, {name} has {len(column)}; they must be the same"
            )
    return Partition(index, start, X, y, weight)


def matrix(block: Any, *, where: str, finite: bool = False) -> Any:
    """Return the block as a C-ordered float array or canonical CSR matrix.

    Values are checked to be finite only if asked for: training finds that out on the way.

    Raises
    ------
    ValueError, TypeError
        scikit-learn's own, with a note that says where the block is.
    """
    if is_on_device(block):
        return _device_floats(block, where)  # its layout is its owner's business
    try:
        refuse_unreadable(block, "X")
        block = gaps_as_nan(block)
        with naming_columns(block, "X"):
            checked = check_array(
                block,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                order="C",
                ensure_all_finite=finite,
                ensure_min_samples=0,
                input_name="X",
            )
    except (ValueError, TypeError) as error:
        error.add_note(f"in {where} of X")
        raise
    return canonical(checked)


def _device_floats(block: Any, where: str) -> Any:
    xp = array_namespace(block)
    if block.dtype in (xp.float32, xp.float64):
        return block
    if xp.isdtype(block.dtype, "complex floating"):
        raise ValueError(f"Complex data not supported: X has {block.dtype} in {where}")
    info = xp.__array_namespace_info__()
    floats = info.dtypes(device=device(block), kind="real floating")
    return xp.astype(block, floats.get("float64", xp.float32))


def check_no_gaps(y: Any, *, where: str) -> None:
    """Raise ValueError for missing values of any dtype, and for floats that are not finite."""
    bad = ~np.isfinite(y) if y.dtype.kind == "f" else pd.isna(y)
    if bad.any():
        row = int(np.flatnonzero(bad.reshape(len(y), -1).any(axis=1))[0])
        raise ValueError(f"Input y contains NaN or infinity in row {row} of {where}")


def check_weights(weights: Any, *, where: str) -> Any:
    """Return the weights as float64, or raise for one that is not finite or is negative."""
    try:
        if is_on_device(weights):
            weights = doubles(weights)
        else:
            weights = np.ascontiguousarray(weights, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"sample_weight is not numeric in {where}: {error}") from error
    bad = ~(array_namespace(weights).isfinite(weights) & (weights >= 0))
    if somewhere(bad):
        row = int(np.flatnonzero(to_host(bad))[0])
        raise ValueError(
            f"sample_weight has {number(weights[row]):g} in row {row} of {where}; allowed are "
            "finite values from 0. Negative values in data passed to `sample_weight` have no "
            "meaning here"
        )
    return weights


def astype(X: Any, dtype: np.dtype[Any]) -> Any:
    """Return X in the dtype: itself if it has it."""
    if is_host(X):
        return X.astype(dtype, copy=False)
    xp = array_namespace(X)
    return xp.astype(X, getattr(xp, dtype.name), copy=False)


def side_by_side(blocks: list[Any]) -> Any:
    """Return the column blocks of one row block as one block."""
    if len(blocks) == 1:
        return blocks[0]
    if any(sp.issparse(block) for block in blocks):
        return sp.hstack(blocks, format="csr")
    return np.concatenate(blocks, axis=1)


def joined(spans: list[Span], name: str, *, dates: bool) -> Any:
    """Return one array of the pieces, whose labels keep their types.

    Parameters
    ----------
    spans : list of Span
    name : str
        Of the argument, for messages.
    dates : bool
        Whether dates are refused.
    """
    pieces = []
    for block, start, stop in spans:
        refuse_unreadable(block, name, dates=dates)
        pieces.append(np.asarray(_rows_of(block)[start:stop]))
    if not pieces:
        return np.empty(0)
    if len(pieces) > 1 and _would_change({piece.dtype for piece in pieces if len(piece)}):
        pieces = [piece.astype(object) for piece in pieces]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def joined_there(spans: list[Span], name: str, *, dates: bool) -> Any:
    """As `joined`, but numbers that are all on one device are joined there.

    Those on several devices, and on one without float64, come to the host.
    """
    blocks = [block for block, _, _ in spans]
    if not blocks or not all(_counts(block) and same_place(block, blocks[0]) for block in blocks):
        return joined(spans, name, dates=dates)
    return concatenated([block[start:stop, ...] for block, start, stop in spans])


def _counts(block: Any) -> bool:
    """Whether a block is of numbers on a device with float64."""
    return is_on_device(block) and dtype_kind(block) in "biuf" and has_doubles(block)


def _would_change(dtypes: set[np.dtype[Any]]) -> bool:
    """Whether one array for labels of these dtypes makes others of some: texts of numbers."""
    return len({dtype.kind in "biuf" for dtype in dtypes}) > 1


def _rows_of(block: Any) -> Any:
    if isinstance(block, (pd.Series, pd.DataFrame)):
        return block.to_numpy()
    return to_host(block) if is_on_device(block) else np.asarray(block)


def target(spans: list[Span], where: str, *, several: bool = False) -> Any:
    """Return y of these pieces as one column, or as a matrix if it may have several."""
    try:
        y = joined(spans, "y", dates=False)
        if not (several and y.ndim == 2 and y.shape[1] > 1):
            y = column_or_1d(y)
    except (ValueError, TypeError) as error:
        error.add_note(f"in {where} of y")
        raise
    check_no_gaps(y, where=where)
    return y


def weights(spans: list[Span], where: str) -> Any:
    """Return the weights of these pieces as one column of float64."""
    try:
        found = np.asarray(joined(spans, "sample_weight", dates=True))
    except (ValueError, TypeError) as error:
        error.add_note(f"in {where} of sample_weight")
        raise
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise ValueError(f"sample_weight has {found.ndim} dimensions; allowed is one value per row")
    return check_weights(found, where=where)
