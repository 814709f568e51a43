"""What `cv` stands for, for models that are trained one after another: any pairs of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import (
    Data,
    FoldColumn,
    is_collection,
    known_folds,
    row_lengths,
    to_memory,
)
from daskml_exec.partitions._row_pieces import Chosen
from daskml_exec.training.folds._cross_validation import (
    CrossValidation,
    cross_validation,
    labels_of,
)
from daskml_exec.training.folds._rows import OneOf, Rows
from daskml_exec.training.folds._splitters import (
    Folded,
    KFold,
    PredefinedSplit,
    Splitter,
    StratifiedKFold,
)

_TRAIN, _TEST = 1, 2
_ALLOWED = (
    "an integer from 2; a splitter of daskml_exec.model_selection or scikit-learn; or pairs of "
    "rows to train on and to test"
)


@dataclass(frozen=True)
class Marked:
    """Rows with a mark: a split may train on some, test others, and leave out the rest."""

    mark: int

    def rows(self, folds: Array) -> Array:
        """Return whether each row has it."""
        wanted: Array = (folds & np.uint16(self.mark)) != 0
        return wanted


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to train on, and others to test.

    Attributes
    ----------
    column_of : callable
        As of `CrossValidation`: the same object in splits that share it.
    train, test : Chosen
    """

    column_of: Callable[[Any], FoldColumn]
    train: Chosen
    test: Chosen


@dataclass(frozen=True, eq=False)
class Splits:
    """All splits of a search.

    Attributes
    ----------
    each : tuple of Split
    folds : CrossValidation or None
        Where each row is tested at most once, and trained on in all other splits.
    """

    each: tuple[Split, ...]
    folds: CrossValidation | None


def require_splits(cv: Any) -> None:
    """Raise ValueError for a `cv` that stands for no splits, as far as that is known without rows.

    Parameters
    ----------
    cv : object
        What a user has given.
    """
    number = isinstance(cv, Integral) and not isinstance(cv, bool)
    named = isinstance(cv, (str, bytes))
    splits = not named and (hasattr(cv, "split") or isinstance(cv, Iterable))
    if not (cv is None or (number and cv >= 2) or splits):
        raise ValueError(f"cv={cv!r}; allowed are {_ALLOWED}")


def splits_of_data(
    cv: Any, X: Any, y: Any, data: Data, *, classifier: bool, groups: Any = None
) -> Splits:
    """Return the splits of loaded data that `cv` stands for.

    Parameters
    ----------
    cv, X, y, data, classifier, groups
        As of `cross_validation`; pairs may be any.

    Raises
    ------
    ValueError
        `cv` is none of what is allowed, or names rows that there are not.
    """
    given, pairs = cv, None
    n = sum(data.rows)
    elsewhere = isinstance(X, Data) or is_collection(as_dask_futures(X))
    known = isinstance(cv, PredefinedSplit) or (elsewhere and isinstance(cv, Folded))
    if hasattr(cv, "split") and not known:
        labels = labels_of(y, data) if elsewhere else y
        given = pairs = list(cv.split(np.empty((n, 0)), labels, groups))
    elif isinstance(cv, Iterable) and not known:
        given = pairs = list(cv)
    if pairs is not None and not _are_folds(pairs, n):
        return Splits(tuple(_marked(train, test, n, cv) for train, test in _some(pairs, cv)), None)
    folds = cross_validation(given, X, y, data, classifier=classifier, groups=groups)
    each = tuple(
        Split(folds.column_of, OneOf(fold, others=True), OneOf(fold))
        for fold in range(folds.n_folds)
    )
    return Splits(each, folds)


def splits_of_rows(
    cv: Any, X: Any, y: Any, *, classifier: bool, groups: Any = None
) -> list[tuple[Any, Any]]:
    """Return the rows to train on and to test, of data that was not loaded.

    Parameters
    ----------
    cv, X, y, classifier, groups
        As of `cross_validation`; pairs may be any.

    Returns
    -------
    list of pairs
        Of `Rows` if X is on a cluster, else of arrays of row numbers.
    """
    if cv is None or (isinstance(cv, Integral) and not isinstance(cv, bool)):
        cv = (StratifiedKFold if classifier else KFold)(5 if cv is None else int(cv))
    elsewhere = is_collection(as_dask_futures(X))
    if not elsewhere or isinstance(cv, Splitter):
        found = list(cv.split(X, y, groups) if hasattr(cv, "split") else cv)
        return _some(found, cv)
    executor = Executor.current()
    lengths = row_lengths(executor, X)
    n = sum(lengths)
    if hasattr(cv, "split"):
        labels = None if y is None else to_memory(as_dask_futures(y), executor, "y")
        pairs = list(cv.split(np.empty((n, 0)), labels, groups))
    else:
        pairs = list(cv)
    made = []
    for train, test in _some(pairs, cv):
        column = _marks(train, test, n, cv)
        folds = known_folds(executor, column, lengths)
        made.append((Rows(folds, Marked(_TRAIN)), Rows(folds, Marked(_TEST))))
    return made


def _some(pairs: list[Any], cv: Any) -> list[Any]:
    if not pairs:
        raise ValueError(f"cv={cv!r} has no pairs of rows; allowed are {_ALLOWED}")
    return pairs


def _are_folds(pairs: list[Any], n: int) -> bool:
    tested = np.zeros(n, np.intp)
    for train, test in pairs:
        train, test = _numbers(train, n, pairs), _numbers(test, n, pairs)
        tested[test] += 1
        others = np.ones(n, bool)
        others[test] = False
        trained = np.zeros(n, bool)
        trained[train] = True
        if not np.array_equal(others, trained):
            return False
    return len(pairs) > 1 and bool((tested <= 1).all())


def _marked(train: Any, test: Any, n: int, cv: Any) -> Split:
    numbers = _numbers(train, n, cv), _numbers(test, n, cv)
    return Split(partial(_column, numbers, n, cv), Marked(_TRAIN), Marked(_TEST))


def _column(numbers: tuple[Array, Array], n: int, cv: Any, found: Any) -> Array:
    return _marks(*numbers, n, cv)


def _marks(train: Any, test: Any, n: int, cv: Any) -> Array:
    column = np.zeros(n, np.uint16)
    for rows, mark in ((train, _TRAIN), (test, _TEST)):
        column[_numbers(rows, n, cv)] |= np.uint16(mark)
    return column


def _numbers(rows: Any, n: int, cv: Any) -> Array:
    numbers = np.asarray(rows)
    if numbers.dtype == bool and numbers.shape == (n,):
        return np.flatnonzero(numbers)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not len(numbers):
        raise ValueError(f"cv has a pair with {rows!r:.200}; allowed are {_ALLOWED}")
    if numbers.min() < -n or numbers.max() >= n:
        worst = int(numbers.min() if numbers.min() < -n else numbers.max())
        raise ValueError(f"cv has row {worst} of {n}; allowed are {_ALLOWED}")
    if len(np.unique(numbers % n)) < len(numbers):
        raise ValueError(f"cv has a pair in which a row comes twice; allowed are {_ALLOWED}")
    return numbers % n
