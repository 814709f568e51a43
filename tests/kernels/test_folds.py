"""Folds as functions of rows: exact sizes, any cuts, and those of scikit-learn in order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daskml_exec.kernels.folds import (
    NOWHERE,
    ByLabel,
    Hashed,
    HashedByLabel,
    InOrder,
    Ranges,
    last_hashes,
    row_hashes,
)


@pytest.mark.parametrize("n", [1, 7, 1000, 200_000])
def test_hashed_folds_have_exact_sizes(n):
    ends = np.unique(np.linspace(0, n, 6).astype(np.int64))
    last = last_hashes(5, n, ends)
    found = Hashed(5, last).folds(0, n)
    assert_array_equal(np.bincount(found, minlength=len(ends)), np.diff(ends, prepend=0))
    hashes = row_hashes(5, 0, n)
    for fold, end in enumerate(ends):
        assert ((hashes <= last[fold]).sum() if end else 0) == end


def test_rows_behind_all_folds_are_nowhere():
    found = Hashed(1, last_hashes(1, 100, np.array([30, 50]))).folds(0, 100)
    assert (found == NOWHERE).sum() == 50
    assert (Ranges(np.array([30, 50])).folds(40, 20) == NOWHERE).sum() == 10


def test_hashes_are_spread():
    hashes = row_hashes(0, 0, 100_000)
    assert abs(hashes.mean() / 2.0**64 - 0.5) < 0.01
    other = row_hashes(1, 0, 100_000)
    assert abs(np.corrcoef(hashes, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(hashes[1:], hashes[:-1])[0, 1]) < 0.02


LABELS = np.random.default_rng(0).choice(["a", "b", "c"], 60, p=[0.6, 0.3, 0.1])
VALUES, CODES = np.unique(LABELS, return_inverse=True)
SIZES = [[len(some) for some in np.array_split(range(n), 4)] for n in np.bincount(CODES)]
ENDS = np.cumsum(SIZES, axis=1)


def rules(before):
    hashes = row_hashes(9, 0, 60)
    last = np.array([[np.sort(hashes[k == CODES])[end - 1] for end in ENDS[k]] for k in range(3)])
    return {
        "ranges": Ranges(np.array([20, 41, 60])),
        "hashed": Hashed(9, last_hashes(9, 60, np.array([15, 60]))),
        "in order": InOrder(VALUES, ENDS, before),
        "hashed by label": HashedByLabel(9, VALUES, last),
        "by label": ByLabel(VALUES, np.array([0, 1, 0], np.uint16)),
    }


@given(cuts=st.lists(st.integers(0, 60), max_size=4))
@pytest.mark.parametrize("name", list(rules(np.zeros(3, np.int64))))
def test_any_cut_is_the_whole(name, cuts):
    whole = rules(np.zeros(3, np.int64))[name].folds(0, 60, LABELS)
    pieces = []
    for a, b in pairwise([0, *sorted(cuts), 60]):
        before = np.bincount(CODES[:a], minlength=3)
        pieces.append(rules(before)[name].folds(a, b - a, LABELS[a:b]))
    assert_array_equal(np.concatenate(pieces), whole)
    assert whole.dtype == np.uint16


@pytest.mark.parametrize("name", ["in order", "hashed by label"])
def test_each_label_is_in_each_fold_as_often_as_wanted(name):
    whole = rules(np.zeros(3, np.int64))[name].folds(0, 60, LABELS)
    for k in range(3):
        counts = np.bincount(whole[k == CODES], minlength=4)
        assert_array_equal(counts, np.diff(ENDS[k], prepend=0))
