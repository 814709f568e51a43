"""One split of several aligned collections."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import model_selection as sk
from sklearn.model_selection._split import _validate_shuffle_split
from sklearn.utils import check_random_state
from sklearn.utils.extmath import _approximate_mode

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.kernels.folds import Hashed, Ranges, last_hashes
from daskml_exec.partitions import FoldRows, fold_rows, is_collection, row_lengths
from daskml_exec.training.folds._label_folds import FoldsBy, hashed_by_label, labels_in
from daskml_exec.training.folds._loaded_labels import loaded_labels, made_folds, seed_of
from daskml_exec.training.folds._rows import OneOf

_TRAIN, _TEST = 0, 1


def train_test_split(
    *arrays: Any,
    test_size: Any = None,
    train_size: Any = None,
    random_state: Any = None,
    shuffle: bool = True,
    stratify: Any = None,
) -> list[Any]:
    """Split data into rows to train on and rows to test with.

    Parameters
    ----------
    *arrays : array-like, dataframe, Dask collection or list of futures
        With as many rows each, such as X, y and weights; their chunks may differ. If all are in
        memory this is `sklearn.model_selection.train_test_split`.
    test_size, train_size : float, int or None, default=None
        A share of the rows, or how many; None for what the other leaves, and 0.25 to test with.
    random_state : int, RandomState or None, default=None
        The seed. Which rows are drawn depends on it and on the number of rows alone, or, with
        `stratify`, on the labels: not on chunks and Workers.
    shuffle : bool, default=True
        Whether test rows are drawn; else they are the last ones. Rows keep their order, anyway.
    stratify : the same kinds, optional
        Labels, of which both sides have the same shares.

    Returns
    -------
    list
        For each of `arrays` its training and its test rows: of collections lazily, with the row
        chunks that are left, in known sizes for arrays.

    Raises
    ------
    ValueError
        Sizes leave a side without rows, numbers of rows differ, or a class is too small.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec import Executor
    >>> from daskml_exec.model_selection import train_test_split
    >>> with Executor(processes=False, n_workers=1):
    ...     X, y = da.arange(10, chunks=4).reshape(10, 1), da.arange(10, chunks=5)
    ...     X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    ...     X_test.shape, bool((X_test[:, 0] == y_test.rechunk(X_test.chunks[0])).all().compute())
    ((3, 1), True)
    """
    if not arrays:
        raise ValueError("At least one array required as input")
    given = [as_dask_futures(each) for each in arrays]
    stratify = as_dask_futures(stratify)
    if not any(map(is_collection, [*given, stratify])):
        return list(
            sk.train_test_split(
                *arrays,
                test_size=test_size,
                train_size=train_size,
                random_state=random_state,
                shuffle=shuffle,
                stratify=stratify,
            )
        )
    executor = Executor.current()
    first = next((each for each in [*given, stratify] if is_collection(each)), None)
    lengths = row_lengths(executor, first)
    sizes = _validate_shuffle_split(sum(lengths), test_size, train_size, default_test_size=0.25)
    if stratify is not None:
        if not shuffle:
            raise ValueError("Stratified train/test split is not implemented for shuffle=False")
        folds = _stratified(executor, first, stratify, sizes, random_state)
    else:
        folds = _plain(executor, lengths, sizes, random_state, shuffle=shuffle)
    return [
        folds.picked(each, OneOf(fold), f"array {index}")
        for index, each in enumerate(given)
        for fold in (_TRAIN, _TEST)
    ]


def _plain(
    executor: Executor,
    lengths: list[int],
    sizes: tuple[int, int],
    random_state: Any,
    *,
    shuffle: bool,
) -> FoldRows:
    ends = np.cumsum(sizes)
    if not shuffle:
        return fold_rows(executor, Ranges(ends), lengths)
    seed = seed_of(random_state)
    return fold_rows(executor, Hashed(seed, last_hashes(seed, sum(lengths), ends)), lengths)


def _stratified(
    executor: Executor, X: Any, stratify: Any, sizes: tuple[int, int], random_state: Any
) -> FoldRows:
    n_train, n_test = sizes
    with loaded_labels(stratify, "stratify", X, executor) as data:
        labels = labels_in(data)
        totals, n_classes = labels.totals, len(labels.values)
        if totals.min() < 2:
            rare = labels.values.tolist()[int(totals.argmin())]
            raise ValueError(
                f"The least populated class in stratify, {rare!r}, has only {totals.min()} member, "
                "which is too few. The minimum number of groups for any class cannot be less than 2"
            )
        for name, size in (("train_size", n_train), ("test_size", n_test)):
            if size < n_classes:
                raise ValueError(
                    f"The {name} = {size} should be greater or equal to the number of classes = "
                    f"{n_classes}"
                )
        seed = seed_of(random_state)
        generator = check_random_state(seed % 2**32)
        train = _approximate_mode(totals, n_train, generator)
        test = _approximate_mode(totals - train, n_test, generator)
        ends = np.cumsum([train, test], axis=0).T.astype(np.int64)
        return made_folds(data, FoldsBy(hashed_by_label(data, labels, ends, seed)))
