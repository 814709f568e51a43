"""Worker-side functions that make a `Partition` out of blocks, and describe it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from array_api_compat import device
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from daskml_exec.kernels.array_namespace import array_namespace, is_host, to_host
from daskml_exec.partitions._gather import Refused
from daskml_exec.partitions._partition import Partition

Span = tuple[Any, int, int]
"""A block, or its future, and the row range to take of it."""


def assemble(
    index: int, x_blocks: list[Any], y_spans: list[Span], weight_spans: list[Span] | None
) -> Partition | Refused:
    """Join the blocks of one row range, checked and in the layout that kernels expect."""
    try:
        return _assemble(index, x_blocks, y_spans, weight_spans)
    except (ValueError, TypeError) as error:
        return Refused(error)


def _assemble(
    index: int, x_blocks: list[Any], y_spans: list[Span], weight_spans: list[Span] | None
) -> Partition:
    X = matrix(_side_by_side(x_blocks), where=f"partition {index}")
    y = _labels(y_spans, index)
    weight = None if weight_spans is None else _weights(weight_spans, index)
    for name, column in (("y", y), ("sample_weight", weight)):
        if column is not None and len(column) != X.shape[0]:
            raise ValueError(
                f"partition {index}: X has {X.shape[0]} rows, {name} has {len(column)}; they must "
                "be the same"
            )
    return Partition(index, X, y, weight)


def matrix(block: Any, *, where: str, finite: bool = False) -> Any:
    """Return the block as a C-ordered float array or canonical CSR matrix.

    Values are checked to be finite only if asked for: training finds that out on the way.

    Raises
    ------
    ValueError, TypeError
        scikit-learn's own, with a note that says where the block is.
    """
    if not _is_checkable(block):
        return _device_floats(block, where)  # its layout is its owner's business
    try:
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


def canonical(X: Any) -> Any:
    """Return a CSR matrix with sorted indices and without duplicates; dense arrays as they are."""
    if sp.issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


@dataclass(frozen=True)
class Summary:
    """What the driver needs to know of one partition of a classification problem."""

    rows: int
    n_features: int
    dtype: np.dtype[Any]
    columns: list[Any] | None
    """Of a dataframe."""
    classes: Any
    """Sorted labels of the rows with a positive weight."""
    class_weights: Any
    """Sum of the weights of each class."""


def summarise(partition: Partition | Refused, first_block: Any) -> Summary | Refused:
    """Describe one partition; the labels are checked to be labels."""
    if isinstance(partition, Refused):
        return partition
    try:
        return _summarise(partition, first_block)
    except (ValueError, TypeError) as error:
        return Refused(error)


def _summarise(partition: Partition, first_block: Any) -> Summary:
    weight = partition.sample_weight
    y = partition.y if weight is None else partition.y[weight > 0]
    counted = None if weight is None else weight[weight > 0]
    classes, codes = unique_labels(y, where=f"partition {partition.index}")
    return Summary(
        rows=partition.X.shape[0],
        n_features=partition.X.shape[1],
        dtype=np.dtype(str(partition.X.dtype).rpartition(".")[2]),
        columns=list(first_block.columns) if isinstance(first_block, pd.DataFrame) else None,
        classes=classes,
        class_weights=np.bincount(codes, counted, minlength=len(classes)),
    )


def unique_labels(y: Any, *, where: str) -> tuple[Any, Any]:
    """Return the sorted labels and each row's index among them."""
    try:
        classes, codes = np.unique(y, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in y})
        raise TypeError(
            f"y has labels of types that have no order in {where}: {', '.join(kinds)}; allowed "
            "are labels of one type"
        ) from error
    if len(classes):
        try:
            check_classification_targets(classes)
        except ValueError as error:
            error.add_note(f"in {where} of y")
            raise
    return classes, codes


def encode(partition: Partition, classes: Any, class_weight: Any, dtype: Any) -> Partition:
    """Replace labels by their index in `classes`, and multiply in the class weights.

    Rows of weight zero may have labels that are no class; they get code 0, which their weight
    silences.
    """
    y, weight = partition.y, partition.sample_weight
    codes = np.zeros(len(y), dtype=np.intp)
    counted = np.ones(len(y), dtype=bool) if weight is None else weight > 0
    if counted.any():  # without labels, y may have a dtype that does not compare with the classes
        codes[counted] = np.searchsorted(classes, y[counted])
    codes, weight = weigh(codes, weight, class_weight)
    return Partition(partition.index, _astype(partition.X, dtype), codes, weight)


def weigh(codes: Any, sample_weight: Any, class_weight: Any) -> tuple[Any, Any]:
    """Return codes among the classes of positive weight, and the products of row and class weights.

    Rows of the other classes get code 0, which their weight silences. The weights are None where
    all are one.
    """
    if class_weight is None:
        return codes, sample_weight
    weight = class_weight[codes]
    present = class_weight > 0
    renumbered = np.where(present, np.cumsum(present) - 1, 0)
    return renumbered[codes], weight if sample_weight is None else weight * sample_weight


def check_weights(weights: Any, *, where: str) -> Any:
    """Return the weights as float64, or raise for one that is not finite or is negative."""
    try:
        weights = np.ascontiguousarray(weights, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"sample_weight is not numeric in {where}: {error}") from error
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"sample_weight has {weights[row]:g} in row {row} of {where}; allowed are finite "
            "values from 0. Negative values in data passed to `sample_weight` have no meaning here"
        )
    return weights


def _astype(X: Any, dtype: np.dtype[Any]) -> Any:
    if is_host(X):
        return X.astype(dtype, copy=False)
    xp = array_namespace(X)
    return xp.astype(X, getattr(xp, dtype.name), copy=False)


def _is_checkable(block: Any) -> bool:
    return is_host(block) or isinstance(block, (pd.DataFrame, pd.Series, list))


def _side_by_side(blocks: list[Any]) -> Any:
    if len(blocks) == 1:
        return blocks[0]
    if any(sp.issparse(block) for block in blocks):
        return sp.hstack(blocks, format="csr")
    return np.concatenate(blocks, axis=1)


def _joined(spans: list[Span]) -> Any:
    pieces = [np.asarray(_rows_of(block)[start:stop]) for block, start, stop in spans]
    if not pieces:
        return np.empty(0)
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _rows_of(block: Any) -> Any:
    if isinstance(block, (pd.Series, pd.DataFrame)):
        return block.to_numpy()
    return block if _is_checkable(block) else to_host(block)


def _labels(spans: list[Span], index: int) -> Any:
    y = column_or_1d(_joined(spans))
    bad = pd.isna(y) | np.isinf(y) if y.dtype.kind == "f" else pd.isna(y)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"Input y contains NaN or infinity in row {row} of partition {index}")
    return y


def _weights(spans: list[Span], index: int) -> Any:
    weights = np.asarray(_joined(spans))
    if weights.ndim != 1:
        raise ValueError(
            f"sample_weight has {weights.ndim} dimensions; allowed is one value per row"
        )
    return check_weights(weights, where=f"partition {index}")
