"""Sums by fixed chunks of rows have the same bits however rows are cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.kernels.factors.chunks import ROWS, chunk_sums, gram_nodes, rotated
from daskml_exec.kernels.fixed_tree import fold_siblings


def root(nodes, n):
    (found,) = fold_siblings(nodes, -(-n // ROWS), lambda left, right: left + right).values()
    return found


@given(
    n=st.integers(1, 400),
    k=st.integers(1, 17),
    cuts=st.sets(st.integers(0, 12)),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=60)
def test_sums_of_any_cut_equal_those_of_the_whole(n, k, cuts, dtype, seed):
    factors = np.random.default_rng(seed).normal(size=(n, k)).astype(dtype)
    values, basis = factors[:, 0].astype(np.float64), factors[: min(n, k)]
    basis = np.resize(basis, (k, k))
    ends = sorted({0, n, *(cut * ROWS for cut in cuts if cut * ROWS < n)})
    pieces = list(itertools.pairwise(ends))
    whole = root(gram_nodes(factors, 0, n), n)
    nodes = [gram_nodes(factors[a:b], a, n) for a, b in pieces]
    assert np.array_equal(whole, root({at: g for part in nodes for at, g in part.items()}, n))
    sums = [chunk_sums(values[a:b]) for a, b in pieces]
    assert np.array_equal(chunk_sums(values), np.concatenate(sums))
    turned = [rotated(factors[a:b], basis) for a, b in pieces]
    assert np.array_equal(rotated(factors, basis), np.concatenate(turned))
    double = factors.astype(np.float64)
    np.testing.assert_allclose(whole, double.T @ double, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(chunk_sums(values).sum(), values.sum(), rtol=1e-12, atol=1e-11)


def test_many_chunks():
    factors = np.random.default_rng(0).normal(size=(64 * ROWS * 3 + 5, 4)).astype(np.float32)
    n, cut = len(factors), 64 * ROWS + 2 * ROWS
    nodes = gram_nodes(factors[:cut], 0, n) | gram_nodes(factors[cut:], cut, n)
    assert len(nodes) < 12
    assert np.array_equal(root(nodes, n), root(gram_nodes(factors, 0, n), n))


def test_no_rows():
    assert gram_nodes(np.ones((0, 3)), 32, 32) == {}
    assert chunk_sums(np.ones(0)).shape == (0,)
    assert rotated(np.ones((0, 3)), np.eye(3)).shape == (0, 3)


def test_blocks_inside_a_chunk_are_refused():
    with pytest.raises(ValueError, match="first_row is 5: a block begins at a multiple of 32"):
        gram_nodes(np.ones((32, 2)), 5, 100)
    with pytest.raises(ValueError, match="rows 32 to 50 of 100: a block ends at a multiple of 32"):
        gram_nodes(np.ones((18, 2)), 32, 100)
    with pytest.raises(ValueError, match="rows 96 to 128 of 100"):
        gram_nodes(np.ones((32, 2)), 96, 100)
