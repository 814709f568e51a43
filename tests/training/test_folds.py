"""Partitions that know the folds of their rows, as scikit-learn deals them."""

import dask.array as da
import numpy as np
import pytest
from sklearn import model_selection as sk

from daskml_exec import Executor
from daskml_exec.model_selection import GroupKFold, KFold, PredefinedSplit, StratifiedKFold
from daskml_exec.partitions import folded
from daskml_exec.training import load
from daskml_exec.training.folds import cross_validation

N = 53


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 3)), rng.integers(0, 3, N), rng.integers(0, 9, N)


def folds_of(partitions):
    parts = getattr(partitions, "partitions", None)
    if parts is None:
        parts = partitions.executor.client.gather(list(partitions.futures))
    return np.concatenate([part.fold for part in parts])


def want(splitter, *columns):
    found = np.full(N, 2**16 - 1)
    for k, (_, test) in enumerate(splitter.split(*columns)):
        found[test] = k
    return found


def column(executor, cv, X, y, groups=None, *, given=None):
    with load(X, y, target="labels") as data:
        cross = cross_validation(
            cv, X if given is None else data, y, data, classifier=True, groups=groups
        )
        made = folded(data.partitions, cross.column_of)
        found = folds_of(made)
        made.release()
    return found, cross.n_folds


@pytest.mark.parametrize("collection", [False, True])
@pytest.mark.parametrize(
    ("cv", "theirs"),
    [
        (None, sk.StratifiedKFold(5)),
        (3, sk.StratifiedKFold(3)),
        (KFold(4), sk.KFold(4)),
        (StratifiedKFold(3), sk.StratifiedKFold(3)),
        (sk.KFold(4, shuffle=True, random_state=1), sk.KFold(4, shuffle=True, random_state=1)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_folds_are_those_of_scikit_learn(executor, rows, cv, theirs, collection):
    X, y, _ = rows
    given = (
        (da.from_array(X, chunks=(17, 3)), da.from_array(y, chunks=20)) if collection else (X, y)
    )
    found, n_folds = column(executor, cv, *given)
    np.testing.assert_array_equal(found, want(theirs, X, y))
    assert n_folds == theirs.get_n_splits()


def test_groups_and_given_folds(executor, rows):
    X, y, groups = rows
    D, d = da.from_array(X, chunks=(17, 3)), da.from_array(y, chunks=20)
    found, _ = column(executor, GroupKFold(3), D, d, da.from_array(groups, chunks=30))
    np.testing.assert_array_equal(found, want(sk.GroupKFold(3), X, y, groups))
    test_fold = np.arange(N) % 4 - 1
    for given in (test_fold, da.from_array(test_fold, chunks=11)):
        found, n_folds = column(executor, PredefinedSplit(given), D, d)
        assert n_folds == 3
        np.testing.assert_array_equal(found, np.where(test_fold < 0, 2**16 - 1, test_fold))


def test_a_data_that_was_loaded_before(executor, rows):
    X, y, _ = rows
    D = da.from_array(X, chunks=(17, 3))
    found, _ = column(executor, None, D, y, given="data")
    np.testing.assert_array_equal(found, want(sk.StratifiedKFold(5), X, y))
    found, _ = column(executor, sk.StratifiedKFold(4), D, y, given="data")
    np.testing.assert_array_equal(found, want(sk.StratifiedKFold(4), X, y))
    shuffled, _ = column(executor, StratifiedKFold(4, shuffle=True, random_state=3), D, y)
    again, _ = column(
        executor, StratifiedKFold(4, shuffle=True, random_state=3), D, y, given="data"
    )
    np.testing.assert_array_equal(shuffled, again)
    assert (np.bincount(shuffled) >= N // 4 - 2).all()


@pytest.mark.parametrize(
    ("cv", "words"),
    [
        (1, "n_splits=1"),
        (N + 1, "n_splits"),
        ("five", "cv='five'"),
        (2.5, "cv=2.5"),
        ([], "0 pairs"),
        (sk.ShuffleSplit(2, random_state=0), "tested before|all others"),
        (sk.TimeSeriesSplit(3), "all others"),
        ([([0, 1], [N + 3])], f"row {N + 3} of {N}"),
        ([([0.5], [1])], "pair with"),
    ],
    ids=str,
)
def test_what_is_no_cross_validation_is_refused(executor, rows, cv, words):
    X, y, _ = rows
    with pytest.raises(ValueError, match=words):
        column(executor, cv, X, y)
