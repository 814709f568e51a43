"""Splits of interactions that leave every user something to train on."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from daskml_exec.kernels.arrays import Rows
from daskml_exec.kernels.folds import row_hashes
from daskml_exec.recommendation._rows_of_users import rows_of_users

TEST_SIZE, MIN_TRAIN = 0.2, 1
_SEEDS = 2**31 - 1


def split_interactions(
    interactions: Any,
    *,
    test_size: float | int = TEST_SIZE,
    user: str = "user",
    time: str | None = None,
    min_train: int = MIN_TRAIN,
    n_splits: int | None = None,
    random_state: Any = None,
) -> Any:
    """Split the rows of each user into rows to train on and rows to test with.

    A user of `n` rows has ``test_size * n`` of them in the test, rounded to the nearest number, or
    `test_size` of them where that is an integer; and fewer if else not `min_train` were left. A
    user of few rows may have none.

    Parameters
    ----------
    interactions : dataframe, tuple of arrays, or sparse matrix
        Of pandas, Polars or Dask; (user, item) or (user, item, rating), of which each may be an
        array, a list or a series; or of SciPy, where each entry that is stored is a row, users are
        the rows of the matrix, and both parts have its shape.
    test_size : float or int, default=0.2
        Share of each user's rows, between 0 and 1, or how many, at least 1: with 1, all but one row
        are trained on.
    user : str, default="user"
        The column of users of a dataframe.
    time : str, optional
        A column of a dataframe, of numbers, dates or texts: the last rows of a user are tested
        with, of those at the same time the ones further down. None means that they are drawn.
    min_train : int, default=1
        Rows of a user that are trained on at least, if there are so many.
    n_splits : int, optional
        Instead of one split, so many folds to be tested with in turn, at least 2: the `cv` of a
        search of scikit-learn. Each row of a dataframe or tuple in memory is in one of them. The
        rows of a user are dealt to folds in turn, at random; a user with a single row has none to
        train on where it is tested with.
    random_state : int, RandomState or None, default=None
        The seed. What is drawn depends on it and on the users of all rows alone, not on partitions
        and the kind of data.

    Returns
    -------
    train, test : of the kind of `interactions`
        Rows keep their order. Dask dataframes are lazy, with the partitions that they had; the
        columns of users and times are computed for them, and brought to the driver.
    folds : list of (train, test), instead of these with `n_splits`
        Pairs of row numbers, ndarrays of int64.

    Raises
    ------
    TypeError
        `interactions` are nothing of these, or users are dates.
    ValueError
        A size is out of range or does not go with another argument; a column is missing or has
        missing values; there are no rows, or no user has enough of them for a test.

    Examples
    --------
    >>> import pandas as pd
    >>> from daskml_exec.recommendation import split_interactions
    >>> data = pd.DataFrame({"user": ["a", "a", "b", "a"], "item": [1, 2, 2, 3]})
    >>> train, test = split_interactions(data.assign(day=[3, 1, 2, 2]), test_size=1, time="day")
    >>> test.index.tolist(), train.index.tolist()
    ([0], [1, 2, 3])
    >>> [fold.tolist() for _, fold in split_interactions(data, n_splits=2, random_state=0)]
    [[0, 3], [1, 2]]
    """
    _require_sizes(test_size, min_train)
    if n_splits is not None:
        _require_folds(n_splits, test_size, min_train, time)
    given = rows_of_users(interactions, user, time, n_splits)
    users, times = given.columns()
    if not len(users):
        raise ValueError("interactions have no rows; allowed is at least one")
    codes, ids = pd.factorize(users)
    if times is None:
        seed = int(check_random_state(random_state).randint(_SEEDS))
        times = row_hashes(seed, 0, len(users))
    by_user = np.lexsort((times, codes))
    if n_splits is not None:
        return _folds(by_user, int(n_splits))
    counts = np.bincount(codes)
    chosen = test_size if isinstance(test_size, Integral) else np.floor(test_size * counts + 0.5)
    n_train = counts - np.clip(counts - min_train, 0, chosen).astype(np.int64)
    if (n_train == counts).all():
        raise ValueError(
            f"interactions have {len(users):,} rows of {len(ids):,} users, at most "
            f"{counts.max():,} of each, and test_size={test_size} with min_train={min_train} takes "
            "none of them for the test; allowed are sizes that take some"
        )
    places = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    in_test = np.empty(len(users), bool)
    in_test[by_user] = places >= np.repeat(n_train, counts)
    return given.parts(in_test)


def _folds(order: Rows, n_splits: int) -> list[tuple[Rows, Rows]]:
    """Return pairs of rows to train on and to test with; rows are dealt to folds in this order."""
    if len(order) < n_splits:
        raise ValueError(
            f"n_splits={n_splits} and interactions have {len(order)} rows; allowed are as many "
            "folds as rows, at most"
        )
    dealt = np.empty(len(order), np.int64)
    dealt[order] = np.arange(len(order)) % n_splits
    return [
        (np.flatnonzero(dealt != fold), np.flatnonzero(dealt == fold)) for fold in range(n_splits)
    ]


def _require_sizes(test_size: Any, min_train: Any) -> None:
    whole = isinstance(test_size, Integral) and not isinstance(test_size, bool)
    share = isinstance(test_size, Real) and not isinstance(test_size, Integral)
    if not ((whole and test_size >= 1) or (share and 0 < test_size < 1)):
        raise ValueError(
            f"test_size={test_size!r}; allowed are shares between 0 and 1, and integers from 1"
        )
    if not isinstance(min_train, Integral) or isinstance(min_train, bool) or min_train < 0:
        raise ValueError(f"min_train={min_train!r}; allowed are integers from 0")


def _require_folds(n_splits: Any, test_size: Any, min_train: Any, time: str | None) -> None:
    if not isinstance(n_splits, Integral) or isinstance(n_splits, bool) or n_splits < 2:
        raise ValueError(f"n_splits={n_splits!r}; allowed are integers from 2, and None")
    given = {"test_size": test_size != TEST_SIZE, "min_train": min_train != MIN_TRAIN}
    others = [name for name, other in {**given, "time": time is not None}.items() if other]
    if others:
        raise ValueError(
            f"n_splits={n_splits} and {' and '.join(others)} are given, and with folds every row "
            "is tested with once; allowed is n_splits alone"
        )
