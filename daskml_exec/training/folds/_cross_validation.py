"""What `cv` stands for: in which fold each row is tested, for models that share passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from daskml_exec.executor import as_dask_futures
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.folds import MOST_FOLDS, NOWHERE
from daskml_exec.partitions import Data, FoldColumn, is_collection, to_memory
from daskml_exec.training.folds._loaded_labels import target_of
from daskml_exec.training.folds._splitters import Folded, KFold, PredefinedSplit, StratifiedKFold

_ALLOWED = (
    "an integer from 2; KFold, StratifiedKFold, GroupKFold or PredefinedSplit; or pairs of rows to "
    "train on and to test, in which each row is tested at most once, and trained on in all others"
)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Folds in which rows are tested.

    Attributes
    ----------
    n_folds : int
    column_of : callable
        Returns the folds of loaded partitions' rows, as of `daskml_exec.partitions.folded`.
    """

    n_folds: int
    column_of: Callable[[Any], FoldColumn]


def cross_validation(
    cv: Any, X: Any, y: Any, data: Data, *, classifier: bool, groups: Any = None
) -> CrossValidation:
    """Return the folds that `cv` stands for.

    Parameters
    ----------
    cv : int, splitter, iterable of pairs, or None
        As scikit-learn's; None means five folds. Integers mean `StratifiedKFold` for classifiers.
    X, y : object
        As given, with what is in memory checked.
    data : Data
        They were loaded to, or X itself.
    classifier : bool
    groups : object, optional
        Of rows, for splitters that want some.

    Raises
    ------
    ValueError
        It is none of these, or stands for splits that are no folds.
    """
    if cv is None or (isinstance(cv, Integral) and not isinstance(cv, bool)):
        cv = (StratifiedKFold if classifier else KFold)(5 if cv is None else int(cv))
    elsewhere = isinstance(X, Data) or is_collection(as_dask_futures(X))
    if elsewhere and isinstance(cv, Folded):
        cv._require_allowed()
        return CrossValidation(cv.n_splits, lambda found: cv._column_of(found, data, groups))
    if isinstance(cv, PredefinedSplit) and is_collection(as_dask_futures(cv.test_fold)):
        return CrossValidation(cv.get_n_splits(), lambda found: cv._given_folds()[0])
    n = sum(data.rows)
    if hasattr(cv, "split") and not isinstance(cv, (str, bytes)):
        pairs = cv.split(np.empty((n, 0)), labels_of(y, data) if elsewhere else y, groups)
    elif isinstance(cv, Iterable) and not isinstance(cv, (str, bytes)):
        pairs = iter(cv)
    else:
        raise ValueError(f"cv={cv!r}; allowed are {_ALLOWED}")
    n_folds, column = _column_of_pairs(pairs, n, cv)
    return CrossValidation(n_folds, lambda found: column)


def labels_of(y: Any, data: Data) -> Any:
    """Return the labels on the driver, where a splitter of scikit-learn wants them."""
    if y is None:
        client = data.executor.client
        return np.concatenate(client.gather(client.map(target_of, data.partitions.futures)))
    return to_memory(as_dask_futures(y), data.executor, "y")


def _column_of_pairs(pairs: Iterable[Any], n: int, cv: Any) -> tuple[int, Array]:
    """Return how many pairs there are, and in which each row is tested."""
    column = np.full(n, NOWHERE)
    n_folds = 0
    for pair in pairs:
        if n_folds == MOST_FOLDS:
            raise ValueError(
                f"cv={cv!r} has more than {MOST_FOLDS:,} pairs; allowed are {_ALLOWED}"
            )
        train, test = (_rows(rows, n, cv) for rows in pair)
        others = np.ones(n, bool)
        others[test] = False
        trained = np.zeros(n, bool)
        trained[train] = True
        if (column[test] != NOWHERE).any() or not np.array_equal(others, trained):
            raise ValueError(
                f"cv={cv!r} has a pair {n_folds} whose rows to test were tested before, or whose "
                f"rows to train on are not all others; allowed are {_ALLOWED}. GridSearchCV takes "
                "any pairs"
            )
        column[test] = n_folds
        n_folds += 1
    if n_folds < 2:
        raise ValueError(f"cv={cv!r} has {n_folds} pairs of rows; allowed are {_ALLOWED}")
    return n_folds, column


def _rows(rows: Any, n: int, cv: Any) -> Array:
    numbers = np.asarray(rows)
    if numbers.dtype == bool and numbers.shape == (n,):
        return np.flatnonzero(numbers)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not len(numbers):
        raise ValueError(f"cv={cv!r} has a pair with {rows!r}; allowed are {_ALLOWED}")
    if numbers.min() < -n or numbers.max() >= n:
        raise ValueError(f"cv={cv!r} has row {int(numbers.max())} of {n}; allowed are {_ALLOWED}")
    return numbers
