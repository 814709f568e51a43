"""Fingerprints of columns: the same for the same values in the same rows, however they are cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.kernels.fingerprints import fingerprint, hashes_of_numbers

VALUES = np.array([0.0, 1.0, np.nan, -2.5, 1.0, 1e300, 7.0, 7.0])


@given(cut=st.integers(0, len(VALUES)))
def test_any_cut(cut):
    hashes = hashes_of_numbers(VALUES)
    parts = fingerprint(hashes[:cut], 0) + fingerprint(hashes[cut:], cut)
    assert parts % 2**64 == fingerprint(hashes, 0)


@pytest.mark.parametrize("row", range(len(VALUES)))
def test_one_value_more_or_less(row):
    other = VALUES.copy()
    other[row] = 3.0
    assert fingerprint(hashes_of_numbers(other), 0) != fingerprint(hashes_of_numbers(VALUES), 0)


def test_the_order_counts_and_the_sign_of_zero_does_not():
    hashes = hashes_of_numbers(VALUES)
    assert fingerprint(hashes[::-1], 0) != fingerprint(hashes, 0)
    assert (
        hashes_of_numbers(np.array([0.0, np.nan])) == hashes_of_numbers(np.array([-0.0, -np.nan]))
    ).all()
