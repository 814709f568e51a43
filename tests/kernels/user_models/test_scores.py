"""The best items by the models of users are those of a sort of all scores."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskml_exec.kernels.block_sizes import sized_blocks
from daskml_exec.kernels.user_models.scores import best_items, scores_of_pairs


def case(b, m, seed, sparse):
    rng = np.random.default_rng(seed)
    known = rng.integers(-2, 3, (12, 4)).astype(np.float64)
    features = rng.integers(-2, 3, (m, 4)).astype(np.float64)
    dual = sp.csr_array(rng.integers(-2, 3, (b, 12)) * (rng.random((b, 12)) < 0.4), dtype=float)
    seen = sp.csr_array((rng.random((b, m)) < 0.3).astype(float))
    scores = dual.toarray() @ known @ features.T
    if sparse:
        known, features = sp.csr_array(known), sp.csr_array(features)
    return dual, known, features, seen, scores


@given(
    b=st.integers(1, 9),
    m=st.integers(1, 40),
    n=st.integers(1, 45),
    seed=st.integers(0, 2**32 - 1),
    sparse=st.booleans(),
)
def test_best_items_are_those_of_a_sort(b, m, n, seed, sparse):
    dual, known, features, seen, scores = case(b, m, seed, sparse)
    with sized_blocks(product_bytes=200):
        found = best_items(dual, known, features, n, seen)
    scores[seen.nonzero()] = -np.inf
    for user in range(b):
        order = np.argsort(-scores[user], kind="stable")
        order = order[scores[user, order] > -np.inf][:n]
        count = found.counts[user]
        assert_array_equal(found.items[user, :count], order)
        assert_array_equal(found.scores[user, :count], scores[user, order])
        assert_array_equal(found.items[user, count:], -1)


@pytest.mark.parametrize("sparse", [False, True])
def test_scores_of_pairs(sparse):
    dual, known, features, _, scores = case(7, 30, 3, sparse)
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 7, 200), rng.integers(0, 30, 200)
    with sized_blocks(product_bytes=200):
        found = scores_of_pairs(dual, known, features, users, items)
    assert_allclose(found, scores[users, items], atol=1e-12)
    none = np.zeros(0, int)
    assert scores_of_pairs(dual, known, features, none, none).shape == (0,)
