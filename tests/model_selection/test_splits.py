"""Splits of collections against scikit-learn's, for any chunks, and what they refuse."""

from itertools import pairwise

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn import model_selection as sk

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.metrics import accuracy_score
from daskml_exec.model_selection import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
    train_test_split,
)
from tests.estimator_kit import collection

pytestmark = pytest.mark.filterwarnings("ignore:The groups parameter is ignored")

RNG = np.random.default_rng(0)
N = 61
X = np.arange(N)[:, None] * 1.0
Y = RNG.choice(["a", "b", "c"], N, p=[0.5, 0.35, 0.15])
GROUPS = RNG.integers(0, 9, N)
TEST_FOLD = RNG.integers(-1, 3, N)


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def lazy(values, cuts=(20, 20, 33)):
    lengths = tuple(np.diff([0, *cuts, len(values)]).tolist())
    return da.from_array(values, chunks=(lengths, *values.shape[1:]))


def pairs_of(splitter, cuts=(20, 20, 33), label_cuts=(7, 50)):
    made = splitter.split(lazy(X, cuts), lazy(Y, label_cuts), lazy(GROUPS, label_cuts))
    return [(train.mask(), test.mask()) for train, test in made]


def wanted_of(splitter):
    masks = []
    for pair in splitter.split(X, Y, GROUPS):
        masks.append(tuple(np.isin(np.arange(N), rows) for rows in pair))
    return masks


IN_ORDER = {
    "k": (KFold(4), sk.KFold(4)),
    "stratified": (StratifiedKFold(4), sk.StratifiedKFold(4)),
    "groups": (GroupKFold(3), sk.GroupKFold(3)),
    "time": (TimeSeriesSplit(3, gap=2), sk.TimeSeriesSplit(3, gap=2)),
    "all time": (TimeSeriesSplit(4, max_train_size=0), sk.TimeSeriesSplit(4, max_train_size=0)),
    "recent time": (
        TimeSeriesSplit(3, max_train_size=9, test_size=5),
        sk.TimeSeriesSplit(3, max_train_size=9, test_size=5),
    ),
}


@pytest.mark.parametrize("name", IN_ORDER)
def test_folds_in_order_are_scikit_learns(name, executor):
    ours, theirs = IN_ORDER[name]
    assert_array_equal(pairs_of(ours), wanted_of(theirs))
    assert ours.get_n_splits() == theirs.get_n_splits()
    for (a, b), (c, d) in zip(ours.split(X, Y, GROUPS), theirs.split(X, Y, GROUPS), strict=True):
        assert_array_equal(a, c)
        assert_array_equal(b, d)


@pytest.mark.parametrize("name", IN_ORDER)
@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, N), max_size=3), others=st.lists(st.integers(0, N), max_size=3))
def test_whatever_the_chunks(name, cuts, others, executor):
    ours, theirs = IN_ORDER[name]
    assert_array_equal(pairs_of(ours, sorted(cuts), sorted(others)), wanted_of(theirs))


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("n", [2, 3, 7, 10])
@settings(max_examples=10)
@given(y=st.lists(st.integers(0, 3), min_size=10, max_size=40))
def test_classes_are_dealt_as_scikit_learn_deals_them(n, y, executor):
    y = np.array(y)
    try:
        wanted = [test for _, test in sk.StratifiedKFold(n).split(y, y)]
    except ValueError as error:
        with pytest.raises(ValueError, match="cannot be greater"):
            list(StratifiedKFold(n).split(lazy(y, (4, 9)), lazy(y, (4, 9))))
        assert "cannot be greater" in str(error)
        return
    found = [
        np.flatnonzero(test.mask())
        for _, test in StratifiedKFold(n).split(lazy(y, (4, 9)), lazy(y, (3,)))
    ]
    for mine, theirs in zip(found, wanted, strict=True):
        assert_array_equal(mine, theirs)


@settings(max_examples=20)
@given(groups=st.lists(st.integers(0, 12), min_size=12, max_size=60), n=st.integers(2, 4))
def test_groups_are_dealt_as_scikit_learn_deals_them(groups, n, executor):
    groups = np.array(groups)
    if len(np.unique(groups)) < n:
        return
    wanted = [test for _, test in sk.GroupKFold(n).split(groups, groups=groups)]
    rows = lazy(groups, (4, 9))
    found = [test.mask() for _, test in GroupKFold(n).split(rows, groups=lazy(groups, (3,)))]
    for mine, theirs in zip(found, wanted, strict=True):
        assert_array_equal(np.flatnonzero(mine), theirs)


def test_given_folds(executor):
    found = [test.mask() for _, test in PredefinedSplit(lazy(TEST_FOLD)).split()]
    wanted = [np.isin(np.arange(N), test) for _, test in sk.PredefinedSplit(TEST_FOLD).split()]
    assert_array_equal(found, wanted)
    assert PredefinedSplit(lazy(TEST_FOLD)).get_n_splits() == 3


SHUFFLED = {
    "k": KFold(4, shuffle=True, random_state=3),
    "stratified": StratifiedKFold(4, shuffle=True, random_state=3),
    "drawn": ShuffleSplit(3, test_size=0.3, random_state=3),
}


@pytest.mark.parametrize("name", SHUFFLED)
def test_shuffled_folds_depend_on_the_seed_alone(name, executor):
    splitter = SHUFFLED[name]
    first = pairs_of(splitter)
    assert_array_equal(pairs_of(splitter, (1, 2, 60), (30,)), first)
    sizes = [test.sum() for _, test in first]
    if name == "drawn":
        assert sizes == [19, 19, 19]
        assert not (first[0][1] == first[1][1]).all()
    else:
        assert sorted(sizes) == sorted(test.sum() for _, test in wanted_of(sk.KFold(4)))
        assert (np.sum([test for _, test in first], axis=0) == 1).all()
    assert all(not (train & test).any() for train, test in first)
    other = type(splitter)(**{**vars(splitter), "random_state": 4})
    assert not np.array_equal(pairs_of(other), first)


def test_shuffled_classes_have_their_shares(executor):
    for _, test in pairs_of(SHUFFLED["stratified"]):
        for label in "abc":
            assert abs((Y[test] == label).sum() - (label == Y).sum() / 4) < 1


@pytest.mark.parametrize("n_workers", [1, 4])
def test_the_same_on_any_workers(n_workers, executor):
    first = {name: pairs_of(splitter) for name, splitter in SHUFFLED.items()}
    with Executor(processes=False, n_workers=n_workers):
        for name, splitter in SHUFFLED.items():
            assert_array_equal(pairs_of(splitter), first[name])


def kinds(executor):
    frame = pd.DataFrame({"a": X[:, 0], "b": Y}, index=np.arange(N) * 3)
    wide = np.column_stack([X, -X])
    return {
        "array": (lazy(wide), wide),
        "columns": (da.from_array(wide, chunks=(20, 1)), wide),
        "column": (lazy(Y), Y),
        "csr": (collection(sp.csr_array(wide)), wide),
        "frame": (dd.from_pandas(frame, npartitions=3), frame),
        "unknown divisions": (dd.from_pandas(frame, npartitions=3).clear_divisions(), frame),
        "series": (dd.from_pandas(frame["a"], npartitions=2), frame["a"]),
        "unknown chunks": (lazy(wide)[da.from_array(np.ones(N, bool), chunks=20)], wide),
        "memory": (wide, wide),
        "futures": (executor.client.scatter([wide[:11], wide[11:]], hash=False), wide),
    }


KINDS = ["array", "columns", "column", "csr", "frame", "unknown divisions", "series"]
KINDS += ["unknown chunks", "memory", "futures"]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_each_kind(kind, executor):
    data, values = kinds(executor)[kind]
    train, test = next(KFold(4, shuffle=True, random_state=0).split(lazy(X)))
    for rows in (train, test):
        found = rows(data)
        if kind == "futures":
            found = np.concatenate(executor.client.gather(found))
        elif kind != "memory":
            if kind in ("array", "columns", "column", "csr"):
                assert sum(found.chunks[0]) == rows.mask().sum()
            found = found.compute()
        wanted = values[rows.mask()]
        if isinstance(values, pd.DataFrame):
            pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
        elif isinstance(values, pd.Series):
            pd.testing.assert_series_equal(found, wanted)
        else:
            assert_array_equal(found.toarray() if sp.issparse(found) else found, wanted)


def test_a_model_on_each_fold(executor):
    rows, y = RNG.normal(size=(200, 3)), None
    y = rows[:, 0] > 0
    scores = []
    for train, test in StratifiedKFold(3).split(lazy(rows, (90,)), lazy(y, (50,))):
        model = LogisticRegression().fit(train(lazy(rows, (90,))), train(lazy(y, (50,))))
        scores.append(model.score(test(lazy(rows, (90,))), test(lazy(y, (50,)))))
    wanted = [
        LogisticRegression().fit(rows[a], y[a]).score(rows[b], y[b])
        for a, b in sk.StratifiedKFold(3).split(rows, y)
    ]
    np.testing.assert_allclose(scores, wanted)


@pytest.mark.parametrize("options", [{}, {"test_size": 7}, {"train_size": 0.5, "test_size": 0.1}])
@pytest.mark.parametrize("stratify", [None, Y])
def test_one_split(options, stratify, executor):
    labels = None if stratify is None else lazy(stratify, (31,))
    made = train_test_split(lazy(X), lazy(Y, (9,)), random_state=1, stratify=labels, **options)
    X_train, X_test, y_train, y_test = (each.compute() for each in made)
    wanted = sk.train_test_split(X, Y, random_state=1, stratify=stratify, **options)
    assert [len(each) for each in (X_train, X_test)] == [len(each) for each in wanted[:2]]
    for rows, found in ((X_train, y_train), (X_test, y_test)):
        assert_array_equal(Y[rows[:, 0].astype(int)], found)
    assert not set(X_train[:, 0]) & set(X_test[:, 0])
    if stratify is not None:
        for mine, theirs in ((y_train, wanted[2]), (y_test, wanted[3])):
            for label in "abc":
                assert abs((mine == label).sum() - (theirs == label).sum()) <= 1


def test_one_split_in_order_and_in_memory(executor):
    X_train, X_test = train_test_split(lazy(X), shuffle=False, test_size=10)
    assert_array_equal(X_train.compute(), X[:-10])
    assert_array_equal(X_test.compute(), X[-10:])
    in_memory = train_test_split(X, Y, random_state=0)
    for mine, theirs in zip(in_memory, sk.train_test_split(X, Y, random_state=0), strict=True):
        assert_array_equal(mine, theirs)


MIXED = da.concatenate([lazy(Y[:30].astype(object), (9,)), lazy(X[30:, 0].astype(object), (9,))])
REFUSED = {
    "k above rows": (KFold(62), {}, "n_splits=62 greater than the number of samples"),
    "one fold": (KFold(1), {}, "n_splits=1"),
    "classes": (StratifiedKFold(40), {}, "cannot be greater than the number of members"),
    "groups": (GroupKFold(10), {}, "greater than the number of groups: 9"),
    "no groups": (GroupKFold(3), {"groups": None}, "'groups' parameter should not be None"),
    "no labels": (StratifiedKFold(3), {"y": None}, "y is None"),
    "length": (StratifiedKFold(3), {"y": lazy(Y[:50], (9,))}, "X has 61 rows, y has 50"),
    "fractions": (StratifiedKFold(3), {"y": lazy(X[:, 0] + 0.5)}, "fractions"),
    "missing": (GroupKFold(3), {"groups": lazy(np.where(X[:, 0] == 40, np.nan, 1.0))},
                "missing in row 7 of partition 3"),
    "texts and numbers": (GroupKFold(2), {"groups": MIXED}, "texts in some partitions and numbers"),
    "rows of time": (TimeSeriesSplit(61), {}, "number of folds=62 greater than the number of samp"),
    "gap": (TimeSeriesSplit(3, gap=30), {}, "Too many splits=3 .* with test_size=15 and gap=30"),
    "size": (ShuffleSplit(2, test_size=1.5), {}, "test_size=1.5"),
    "sizes": (ShuffleSplit(2, test_size=0.7, train_size=0.7), {}, "sum of test_size and train"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, executor):
    splitter, given, message = REFUSED[name]
    arguments = {"X": lazy(X), "y": lazy(Y), "groups": lazy(GROUPS)} | given
    with pytest.raises(ValueError, match=message):
        list(splitter.split(**arguments))


def test_a_class_with_few_members_is_named(executor):
    y = np.array(["a"] * 20 + ["b"])
    with pytest.warns(UserWarning, match="only 1 members, which is less than n_splits=3: .*'b'"):
        list(StratifiedKFold(3).split(lazy(y, (9,)), lazy(y, (9,))))
    with pytest.raises(ValueError, match=r"least populated class in stratify, .*'b'.* has only 1"):
        train_test_split(lazy(y, (9,)), stratify=lazy(y, (9,)))


def test_rows_of_other_lengths_are_refused(executor):
    train, _ = next(KFold(3).split(lazy(X)))
    with pytest.raises(ValueError, match="61"):
        train(lazy(X[:50], (9,)))
    with pytest.raises(ValueError, match="61"):
        train(X[:50])
    with pytest.raises(ValueError, match="61"):
        train_test_split(lazy(X), lazy(Y[:50], (9,)))


@pytest.mark.parametrize("splitter", [KFold(3), StratifiedKFold(3)])
def test_rows_in_memory_beside_labels_on_a_cluster(splitter, executor):
    found = [test.mask() for _, test in splitter.split(X, lazy(Y, (9,)))]
    wanted = [test for _, test in wanted_of(getattr(sk, type(splitter).__name__)(3))]
    assert_array_equal(found, wanted)


def test_no_group_is_in_two_folds(executor):
    folds = [set(GROUPS[test]) for _, test in pairs_of(GroupKFold(4))]
    assert all(not a & b for a, b in pairwise(sorted(folds, key=len)))
    assert len(set().union(*folds)) == sum(map(len, folds))


def test_how_they_are_shown():
    assert repr(KFold(3, shuffle=True, random_state=1)) == repr(
        sk.KFold(3, shuffle=True, random_state=1)
    )


@pytest.mark.parametrize("filtered", [False, True])
def test_labels_of_a_split_frame_go_with_predictions_that_are_an_array(executor, filtered):
    frame = pd.DataFrame({"a": X[:, 0], "label": Y})
    given = dd.from_pandas(frame, npartitions=3)
    given = given[given["a"] >= 0] if filtered else given
    train, test = train_test_split(given, test_size=0.3, random_state=0)
    predicted = test["a"].map_partitions(_first_label, meta=np.empty(0, object))
    found = accuracy_score(test["label"], predicted)
    assert found == np.mean(test["label"].compute() == "a")
    assert len(train) + len(test) == N


def _first_label(column):
    return np.full(len(column), "a", dtype=object)
