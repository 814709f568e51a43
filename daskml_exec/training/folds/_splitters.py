"""Splits of rows into training and test rows, of collections without bringing any of them here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import model_selection as sk
from sklearn.model_selection._split import _build_repr, _validate_shuffle_split

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.kernels.folds import (
    MOST_FOLDS,
    NOWHERE,
    ByLabel,
    Hashed,
    Ranges,
    even_ends,
    last_hashes,
    lightest_first,
)
from daskml_exec.partitions import (
    FoldColumn,
    FoldRows,
    fold_rows,
    is_collection,
    row_lengths,
)
from daskml_exec.training.folds._label_folds import (
    ClassesInOrder,
    FoldsBy,
    FoldsByRow,
    classes_in,
    hashed_by_label,
    in_order,
    labels_in,
)
from daskml_exec.training.folds._loaded_labels import (
    ends_by_class,
    loaded_labels,
    made_folds,
    require_rows,
    seed_of,
    target_of,
)
from daskml_exec.training.folds._rows import OneOf, Rows


class Splitter:
    """Base: in memory it is scikit-learn's splitter, over collections one of the same name."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:
        """Yield pairs of training and test rows.

        Parameters
        ----------
        X : array-like, dataframe, Dask collection or list of futures
            Rows.
        y : the same kinds, optional
            Labels, where folds depend on them.
        groups : the same kinds, optional
            Groups, where folds depend on them.

        Yields
        ------
        train, test : Rows, or ndarray of int
            For collections what to call with each of them: ``train(X)``, ``train(y)``. In memory
            scikit-learn's numbers of rows.
        """
        given = [as_dask_futures(each) for each in (X, y, groups)]
        if not any(map(is_collection, given)):
            yield from self._sklearn().split(X, y, groups)
            return
        yield from self._split(Executor.current(), *given)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return how many pairs there are.

        Parameters
        ----------
        X, y, groups : object
            Not used; there for scikit-learn.

        Returns
        -------
        int
            That many.
        """
        return int(self._sklearn().get_n_splits(X, y, groups))

    def _sklearn(self) -> Any:
        names = [name for name in vars(self) if not name.startswith("_")]
        kind = getattr(sk, type(self).__name__)
        return kind(**{name: getattr(self, name) for name in names})

    def _split(self, executor: Executor, X: Any, y: Any, groups: Any) -> Iterator[Any]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(_build_repr(self))


class Folded(Splitter):
    """Base of those in which each row is in one test fold."""

    n_splits: int

    def _require_allowed(self) -> None:
        """Raise what scikit-learn says of its arguments, and for too many folds."""
        self._sklearn()
        if self.n_splits > MOST_FOLDS:
            raise ValueError(f"n_splits={self.n_splits}; allowed are integers up to {MOST_FOLDS:,}")

    def _column_of(self, found: Any, data: Any, groups: Any) -> FoldColumn:
        """Return the folds of the rows of loaded partitions.

        Parameters
        ----------
        found : Partitions or Pieces
            With codes of classes, where folds depend on these.
        data : Data
            They are of.
        groups : object
            Of rows, where folds depend on these.
        """
        raise NotImplementedError

    def _split(self, executor: Executor, X: Any, y: Any, groups: Any) -> Iterator[Any]:
        self._require_allowed()
        folds = self._folds(executor, X, y, groups)
        for fold in range(self.n_splits):
            yield Rows(folds, OneOf(fold, others=True)), Rows(folds, OneOf(fold))

    def _folds(self, executor: Executor, X: Any, y: Any, groups: Any) -> FoldRows:
        raise NotImplementedError

    def _seed(self) -> int:
        return seed_of(getattr(self, "random_state", None))


class KFold(Folded):
    """Folds of consecutive rows, or of rows drawn by hashes of their numbers.

    Parameters
    ----------
    n_splits : int, default=5
        From 2.
    shuffle : bool, default=False
        Without it folds are scikit-learn's, row for row and whatever the chunks. With it they
        depend on the seed and the number of rows alone, and are others than scikit-learn's.
    random_state : int, RandomState or None, default=None
        The seed.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.model_selection import KFold
    >>> [test.tolist() for _, test in KFold(2).split(np.zeros(5))]
    [[0, 1, 2], [3, 4]]
    """

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = False, random_state: Any = None
    ) -> None:
        self.n_splits, self.shuffle, self.random_state = n_splits, shuffle, random_state

    def _folds(self, executor: Executor, X: Any, y: Any, groups: Any) -> FoldRows:
        lengths = row_lengths(executor, X)
        return fold_rows(executor, self._rule(sum(lengths)), lengths)

    def _column_of(self, found: Any, data: Any, groups: Any) -> FoldColumn:
        """As of `Folded`."""
        return FoldsByRow(self._rule(sum(found.rows)))

    def _rule(self, n: int) -> Ranges | Hashed:
        require_rows(self.n_splits, n)
        ends = even_ends(n, self.n_splits)
        if not self.shuffle:
            return Ranges(ends)
        seed = self._seed()
        return Hashed(seed, last_hashes(seed, n, ends))


class StratifiedKFold(Folded):
    """Folds in which each class has its share.

    Parameters
    ----------
    n_splits, shuffle, random_state : as of `KFold`
        Without shuffling folds are scikit-learn's, row for row.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.model_selection import StratifiedKFold
    >>> y = np.array([0, 0, 0, 0, 1, 1])
    >>> [test.tolist() for _, test in StratifiedKFold(2).split(y, y)]
    [[0, 1, 4], [2, 3, 5]]
    """

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = False, random_state: Any = None
    ) -> None:
        self.n_splits, self.shuffle, self.random_state = n_splits, shuffle, random_state

    def _folds(self, executor: Executor, X: Any, y: Any, groups: Any) -> FoldRows:
        with loaded_labels(y, "y", X, executor) as data:
            labels = labels_in(data)
            if labels.values.dtype.kind == "f" and (labels.values % 1).any():
                raise ValueError(
                    "y has numbers with fractions; supported target types are ('binary', "
                    "'multiclass'): labels of classes"
                )
            require_rows(self.n_splits, int(labels.totals.sum()))
            ends = ends_by_class(labels, self.n_splits)
            if not self.shuffle:
                return made_folds(data, in_order(data, labels, ends))
            rule = hashed_by_label(data, labels, ends, self._seed())
            return made_folds(data, FoldsBy(rule))

    def _column_of(self, found: Any, data: Any, groups: Any) -> FoldColumn:
        """As of `Folded`."""
        if data.classes is None:
            raise ValueError("StratifiedKFold needs labels of classes; allowed is KFold")
        if self.shuffle:
            y = found.executor.client.map(target_of, found.futures, pure=False, key="codes")
            return self._folds(found.executor, None, y, None)
        labels, before = classes_in(found, data.classes)
        require_rows(self.n_splits, int(labels.totals.sum()))
        return ClassesInOrder(ends_by_class(labels, self.n_splits), before)


class GroupKFold(Folded):
    """Folds in which no group is in two, of about the same size.

    Parameters
    ----------
    n_splits : int, default=5
        From 2, up to the number of groups. Folds are scikit-learn's, row for row.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.model_selection import GroupKFold
    >>> groups = np.array(["a", "a", "b", "c"])
    >>> [test.tolist() for _, test in GroupKFold(2).split(groups, groups=groups)]
    [[0, 1], [2, 3]]
    """

    def __init__(self, n_splits: int = 5) -> None:
        self.n_splits = n_splits

    def _folds(self, executor: Executor, X: Any, y: Any, groups: Any) -> FoldRows:
        if groups is None:
            raise ValueError("The 'groups' parameter should not be None: give a group for each row")
        with loaded_labels(groups, "groups", X, executor) as data:
            labels = labels_in(data)
            if self.n_splits > len(labels.values):
                raise ValueError(
                    f"Cannot have number of splits n_splits={self.n_splits} greater than the number"
                    f" of groups: {len(labels.values)}."
                )
            of_value = lightest_first(labels.totals, self.n_splits)
            return made_folds(data, FoldsBy(ByLabel(labels.values, of_value)))

    def _column_of(self, found: Any, data: Any, groups: Any) -> FoldColumn:
        """As of `Folded`."""
        folds = self._folds(found.executor, None, None, as_dask_futures(groups))
        if sum(folds.rows) != sum(found.rows):
            raise ValueError(
                f"groups has {sum(folds.rows)} rows, X has {sum(found.rows)}; they must be the same"
            )
        return folds


class PredefinedSplit(Splitter):
    """The folds that are given.

    Parameters
    ----------
    test_fold : array-like, Dask array or series, or list of futures, of int
        The test fold of each row; -1 for those that are always trained on.

    Examples
    --------
    >>> from daskml_exec.model_selection import PredefinedSplit
    >>> [test.tolist() for _, test in PredefinedSplit([0, 1, -1, 1]).split()]
    [[0], [1, 3]]
    """

    def __init__(self, test_fold: Any) -> None:
        self.test_fold = test_fold

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:
        """Yield pairs of training and test rows.

        Parameters
        ----------
        X, y, groups : object
            Not used; there for scikit-learn.

        Yields
        ------
        train, test : Rows, or ndarray of int
            As of the other splitters.
        """
        given = as_dask_futures(self.test_fold)
        if not is_collection(given):
            yield from self._sklearn().split()
            return
        made, n_folds = self._given_folds()
        for fold in range(n_folds):
            yield Rows(made, OneOf(fold, others=True)), Rows(made, OneOf(fold))

    def _given_folds(self) -> tuple[FoldRows, int]:
        """Return the fold of each row, where Workers are, and how many there are."""
        given = as_dask_futures(self.test_fold)
        with loaded_labels(given, "test_fold", None, Executor.current()) as data:
            values = labels_in(data).values
            if values.dtype.kind not in "iu" or (values < -1).any():
                raise ValueError(
                    f"test_fold has {values.tolist()[:5]}; allowed are integers from 0, and -1"
                )
            folds = np.unique(values[values >= 0])
            of_value = np.where(values >= 0, np.searchsorted(folds, values), int(NOWHERE))
            made = made_folds(data, FoldsBy(ByLabel(values, of_value.astype(np.uint16))))
        return made, len(folds)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return how many test folds there are.

        Parameters
        ----------
        X, y, groups : object
            Not used; there for scikit-learn.

        Returns
        -------
        int
            That many.
        """
        return sum(1 for _ in self.split())


class ShuffleSplit(Splitter):
    """Training and test rows drawn by hashes of their numbers, again for each split.

    Parameters
    ----------
    n_splits : int, default=10
        From 1.
    test_size, train_size : float, int or None, default=None
        A share of the rows, or how many; None for what the other leaves, and 0.1 to test with.
    random_state : int, RandomState or None, default=None
        The seed.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.model_selection import ShuffleSplit
    >>> [len(test) for _, test in ShuffleSplit(2, test_size=0.3).split(np.zeros(10))]
    [3, 3]
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: Any = None,
        train_size: Any = None,
        random_state: Any = None,
    ) -> None:
        self.n_splits = n_splits
        self.test_size, self.train_size = test_size, train_size
        self.random_state = random_state

    def _split(self, executor: Executor, X: Any, y: Any, groups: Any) -> Iterator[Any]:
        self._sklearn()
        lengths = row_lengths(executor, X)
        n = sum(lengths)
        n_train, n_test = _validate_shuffle_split(
            n, self.test_size, self.train_size, default_test_size=0.1
        )
        seeds = np.random.SeedSequence(seed_of(self.random_state)).generate_state(
            self.n_splits, np.uint64
        )
        ends = np.cumsum([n_train, n_test])
        for seed in seeds.tolist():
            made = fold_rows(executor, Hashed(seed, last_hashes(seed, n, ends)), lengths)
            yield Rows(made, OneOf(0)), Rows(made, OneOf(1))


class TimeSeriesSplit(Splitter):
    """Test rows that follow one another, each time after those to train on.

    Parameters
    ----------
    n_splits : int, default=5
        From 2.
    max_train_size, test_size : int or None, default=None
        Of rows; None for all that came before, and for equal parts.
    gap : int, default=0
        Rows left out in front of those to test with.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.model_selection import TimeSeriesSplit
    >>> [(len(train), test.tolist()) for train, test in TimeSeriesSplit(2).split(np.zeros(6))]
    [(2, [2, 3]), (4, [4, 5])]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        max_train_size: int | None = None,
        test_size: int | None = None,
        gap: int = 0,
    ) -> None:
        self.n_splits, self.max_train_size = n_splits, max_train_size
        self.test_size, self.gap = test_size, gap

    def _split(self, executor: Executor, X: Any, y: Any, groups: Any) -> Iterator[Any]:
        self._sklearn()
        lengths = row_lengths(executor, X)
        n = sum(lengths)
        size = n // (self.n_splits + 1) if self.test_size is None else self.test_size
        self._require_room(n, size)
        for start in range(n - self.n_splits * size, n, size):
            stop = start - self.gap
            least = stop - self.max_train_size if self.max_train_size else 0
            ends = np.array([max(0, least), stop, start, start + size])
            made = fold_rows(executor, Ranges(ends), lengths)
            yield Rows(made, OneOf(1)), Rows(made, OneOf(3))

    def _require_room(self, n: int, size: int) -> None:
        if self.n_splits + 1 > n:
            raise ValueError(
                f"Cannot have number of folds={self.n_splits + 1} greater than the number of "
                f"samples={n}."
            )
        if n - self.gap - size * self.n_splits <= 0:
            raise ValueError(
                f"Too many splits={self.n_splits} for number of samples={n} with test_size={size} "
                f"and gap={self.gap}."
            )
