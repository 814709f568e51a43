"""Rows that scikit-learn's users hand in: checked as its own estimators check them."""

from collections.abc import Mapping
from typing import Any

import scipy.sparse as sp
from sklearn.utils.validation import _check_feature_names, _check_n_features, validate_data

from daskml_exec.executor import Executor, as_dask_futures, cluster_is_meant
from daskml_exec.partitions import (
    Data,
    DatasetSamples,
    TokenWindows,
    frame_meta,
    is_collection,
    leaves_of,
    naming_columns,
)


def executor_for(*given: Any) -> Executor | None:
    """Return the Executor to bring data to; None if it is in memory, and nothing names one."""
    if cluster_is_meant() or any(map(_elsewhere, given)):
        return Executor.current()
    return None


def _elsewhere(given: Any) -> bool:
    if sp.issparse(given):  # one kind of which is a dict
        return False
    if isinstance(given, Mapping):
        return any(map(_elsewhere, given.values()))
    if isinstance(given, tuple):
        return any(map(_elsewhere, given))
    if isinstance(given, TokenWindows):
        return _elsewhere(given.array)
    return isinstance(given, (Data, DatasetSamples)) or is_collection(as_dask_futures(given))


def is_plain(X: Any) -> bool:
    """Whether X is one array, list or frame in memory, and no tree, tensor or collection."""
    if sp.issparse(X):
        return True  # to be refused in words that scikit-learn's users know
    if isinstance(X, (Mapping, tuple, Data, TokenWindows, DatasetSamples)) or _elsewhere(X):
        return False
    return not hasattr(X, "detach")


def checked_rows(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Return X as an array of numbers, and remember its columns or compare them."""
    with naming_columns(X, "X"):
        return validate_data(estimator, X, reset=reset, allow_nd=True, dtype="numeric")


def check_columns(estimator: Any, X: Any, *, reset: bool) -> None:
    """Remember the columns of X, or compare them, where it is one array or frame of rows.

    A collection tells them without its blocks; a Data has no names.
    """
    loaded = isinstance(X, Data) and X.like is not None
    rows = X.like.X if loaded else X
    if getattr(rows, "ndim", 0) != 2:
        return
    meta = frame_meta(rows)
    if not loaded:
        _check_feature_names(estimator, meta, reset=reset)
    _check_n_features(estimator, meta, reset=reset)


def checked_rows_and_target(estimator: Any, X: Any, y: Any, *, reset: bool, numbers: bool) -> Any:
    """Return X and y as arrays."""
    with naming_columns(X, "X"):
        return validate_data(
            estimator,
            X,
            y,
            reset=reset,
            allow_nd=True,
            dtype="numeric",
            multi_output=numbers,
            y_numeric=numbers,
        )


def has_its_own_y(X: Any) -> bool:
    """Whether X may come with a y: a Data, or samples of a dataset, whose items may be pairs."""
    return isinstance(X, (Data, DatasetSamples))


def require_y(who: str, X: Any, y: Any) -> None:
    """Raise ValueError unless there is a y, or X may have its own."""
    if y is None and not has_its_own_y(X):
        raise ValueError(
            f"{who} requires y to be passed, but the target y is None; allowed is one value per "
            "sample, and None beside a Data or from_dataset"
        )


def target_in_words(y: Any) -> str:
    """Return what y of samples is, for messages: y without its samples, which has its dtypes."""
    if y is None:
        return "y is None"
    told = (f"{path} is {leaf.dtype}{list(leaf.shape[1:])}" for path, leaf in leaves_of(y, "y"))
    return " and ".join(told).replace("[]", "")


def refuse_texts(tree: Any) -> None:
    """Raise TypeError if samples of y have texts, which no tensor can hold."""
    for path, leaf in leaves_of(tree, "y"):
        if leaf is not None and leaf.dtype.kind == "U":
            raise TypeError(
                f"{path} has dtype {leaf.dtype}; allowed are numbers and booleans: a "
                "TorchClassifier takes texts as labels"
            )
