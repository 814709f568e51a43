"""Summaries of columns: against NumPy, for any cuts, on devices."""

from functools import reduce
from itertools import pairwise
from operator import add

import array_api_strict as xp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskml_exec.kernels.column_summaries import (
    column_counts,
    present_extremes,
    present_means,
    present_moments,
)


def with_gaps(n=40, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(3.0, 2.0, size=(n, d))
    X[rng.random((n, d)) < 0.2] = np.nan
    X[rng.random((n, d)) < 0.2] = 0.0
    X[:, 1] = np.nan
    return X


def weighted(X, w):
    present = ~np.isnan(X)
    w = present * (np.ones(len(X)) if w is None else w)[:, None]
    weight, filled = w.sum(axis=0), np.nan_to_num(X)
    mean = np.divide((w * filled).sum(axis=0), weight, out=np.zeros(X.shape[1]), where=weight > 0)
    return weight, mean, (w * (filled - mean) ** 2).sum(axis=0)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("has_weights", [False, True])
def test_moments_are_those_of_what_is_there(make, has_weights):
    X = with_gaps()
    w = np.random.default_rng(1).random(len(X)) if has_weights else None
    found = present_moments(make(X), w)
    for got, wanted in zip((found.weight, found.mean, found.spread), weighted(X, w), strict=True):
        assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "make", [np.asarray, sp.csr_array, xp.asarray], ids=["dense", "csr", "device"]
)
def test_means_are_those_of_what_is_there(make):
    for X in (with_gaps(), with_gaps()[:, 2:3] * 1e200, with_gaps()[:0], np.ones((3, 2))):
        found, (weight, mean, _) = present_means(make(X)), weighted(X / 1e200, None)
        assert_array_equal(found.weight, weight)
        assert_allclose(found.mean / 1e200, mean, rtol=1e-12, atol=1e-300)
        assert not found.spread.any()
    parts = with_gaps()[:7], with_gaps()[7:]
    both = present_means(make(parts[0])) + present_means(make(parts[1]))
    assert_allclose(both.mean, weighted(with_gaps(), None)[1], rtol=1e-14, atol=1e-14)


def test_extremes_and_counts():
    X = with_gaps()
    for made in (X, sp.csr_array(X)):
        extremes, counts = present_extremes(made), column_counts(made)
        assert_array_equal(extremes.least, np.fmin.reduce(X))
        assert_array_equal(extremes.largest, np.fmax.reduce(X))
        assert_array_equal(counts.zeros, (X == 0).sum(axis=0))
        assert_array_equal(counts.missing, np.isnan(X).sum(axis=0))


@given(
    cuts=st.lists(st.integers(0, 40), max_size=5),
    offset=st.sampled_from([0.0, 1e8]),
    has_weights=st.booleans(),
)
def test_any_cuts_add_up_to_the_whole(cuts, offset, has_weights):
    X = with_gaps() + offset
    w = np.random.default_rng(1).integers(0, 3, len(X)).astype(float) if has_weights else None
    bounds = [0, *sorted(cuts), len(X)]
    pieces = [slice(a, b) for a, b in pairwise(bounds)]
    moments = reduce(add, [present_moments(X[p], None if w is None else w[p]) for p in pieces])
    weight, mean, spread = weighted(X, w)
    assert_allclose(moments.weight, weight)
    assert_allclose(moments.mean, mean, rtol=1e-13)
    assert_allclose(moments.spread, spread, rtol=1e-12 if not offset else 1e-8)
    extremes = reduce(add, [present_extremes(X[p]) for p in pieces])
    assert_array_equal(extremes.least, np.fmin.reduce(X))
    assert_array_equal(extremes.largest, np.fmax.reduce(X))
    counts = reduce(add, [column_counts(X[p]) for p in pieces])
    assert counts.rows == len(X)
    assert_array_equal(counts.missing, np.isnan(X).sum(axis=0))


def test_what_is_far_from_zero_keeps_its_digits():
    X = 1e9 + np.random.default_rng(0).random((10_000, 2))
    found = reduce(
        add, [present_moments(X[start : start + 7], None) for start in range(0, 10_000, 7)]
    )
    assert_allclose(found.variance, (X - 1e9).var(axis=0), rtol=1e-13)


def test_a_constant_column_has_no_spread():
    assert_array_equal(present_moments(np.full((1000, 1), 0.1), None).spread, [0.0])


def test_infinities_are_noticed():
    X = np.array([[1.0, np.inf], [2.0, 3.0]])
    for made in (X, sp.csr_array(X)):
        assert not present_moments(made, None).finite
        assert not present_extremes(made).finite
        assert_array_equal(column_counts(made).infinite, [0, 1])
    assert present_moments(X[:, :1], None).finite


@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1", "no_float64"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_a_device(device, dtype):
    if device == "no_float64" and dtype == np.float64:
        return
    X = with_gaps().astype(dtype)
    w = np.random.default_rng(1).random(len(X)).astype(dtype)
    there = xp.asarray(X, device=xp.Device(device))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for weights in (None, w):
        found = present_moments(there, weights)
        for got, wanted in zip(
            (found.weight, found.mean, found.spread), weighted(X, weights), strict=True
        ):
            assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
    assert_array_equal(present_extremes(there).least, np.fmin.reduce(X))
    assert_array_equal(present_extremes(there).largest, np.fmax.reduce(X))
    assert_array_equal(column_counts(there).missing, np.isnan(X).sum(axis=0))
