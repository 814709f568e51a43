"""The sample of rows is a function of their number in the whole data, and of nothing else."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.kernels.row_sample import row_sample, take_rows


@given(
    start=st.integers(0, 2**40),
    n=st.integers(0, 2000),
    cuts=st.lists(st.integers(0, 2000), max_size=5),
    share=st.floats(0.0, 1.5),
)
def test_it_does_not_depend_on_the_cuts(start, n, cuts, share):
    bounds = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [a + row_sample(start + a, b - a, share) for a, b in itertools.pairwise(bounds)]
    assert np.array_equal(np.concatenate(parts), row_sample(start, n, share))


@given(start=st.integers(0, 2**40), n=st.integers(0, 500), share=st.floats(0.0, 1.5))
def test_rows_are_valid_in_order_and_once(start, n, share):
    rows = row_sample(start, n, share)
    assert rows.dtype == np.intp
    assert np.array_equal(rows, np.unique(rows))
    assert not len(rows) or (rows[0] >= 0 and rows[-1] < n)


@given(start=st.integers(0, 2**40), small=st.floats(0.0, 1.0), large=st.floats(0.0, 1.0))
def test_a_larger_sample_contains_a_smaller_one(start, small, large):
    small, large = sorted((small, large))
    assert set(row_sample(start, 300, small)) <= set(row_sample(start, 300, large))


@pytest.mark.parametrize("share", [1e-3, 1 / 64, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("start", [0, 12_345, 10**12])
def test_the_share_is_better_than_that_of_a_random_draw(share, start):
    n = 100_000
    found = len(row_sample(start, n, share))
    assert abs(found - share * n) <= 3 * np.sqrt(n * share * (1 - share))
    assert abs(found - share * n) <= 12  # multiples of the golden ratio are evenly spread


@pytest.mark.parametrize("share", [1.0, np.nextafter(1.0, 2.0), 7.0, np.inf])
def test_a_share_from_one_on_takes_all_rows(share):
    assert np.array_equal(row_sample(3, 50, share), np.arange(50))


def test_shares_next_to_one_and_to_zero():
    assert len(row_sample(0, 1000, np.nextafter(1.0, 0.0))) == 1000
    assert not len(row_sample(5, 1000, 0.0))
    assert not len(row_sample(1, 1000, 1e-300))


@pytest.mark.parametrize("period", [2, 7, 16, 24, 64, 365])
@pytest.mark.parametrize("share", [1 / 64, 1 / 16, 0.2, 0.5])
def test_data_with_a_period_is_not_in_step_with_it(period, share):
    n = 64 * 365 * 20
    rows = row_sample(0, n, share)
    count = np.bincount(rows % period, minlength=period)
    assert np.abs(count - len(rows) / period).max() <= 3 * np.sqrt(len(rows) / period) + 8


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, sp.csr_matrix])
def test_rows_are_taken_in_their_kind(kind):
    X, rows = np.arange(12.0).reshape(4, 3), np.array([0, 2])
    taken = take_rows(kind(X), rows)
    assert type(taken) is type(kind(X))
    assert np.array_equal(taken.toarray() if sp.issparse(taken) else taken, X[rows])
    assert take_rows(kind(X), rows[:0]).shape == (0, 3)
