"""Products of non-zeros give what blocks of dense rows give."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.hessian_sums import hessian_sums
from daskml_exec.kernels.losses import BinaryLogistic
from daskml_exec.kernels.moments import column_moments
from daskml_exec.kernels.sparse_hessian_sums import sparse_hessian_sums
from daskml_exec.kernels.standardisation import standardisation


@pytest.mark.parametrize("loss", [BinaryLogistic(), Gaussian(), Poisson()])
@given(
    n=st.integers(0, 40),
    d=st.integers(1, 8),
    weighted=st.booleans(),
    intercept=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_as_dense_rows(loss, n, d, weighted, intercept, seed):
    rng = np.random.default_rng(seed)
    dense = rng.normal(1.0, size=(n, d)) * (rng.random((n, d)) < 0.4)
    weight = rng.exponential(size=n) if weighted else None
    whole = rng.normal(1.0, size=(60, d))
    to = standardisation(
        column_moments(whole, None), curvature=0.25, penalty=0.1, fit_intercept=intercept
    )
    point = rng.normal(size=(1, to.size))
    found = sparse_hessian_sums(loss, sp.csr_array(dense), weight, to, point)
    expected = hessian_sums(loss, dense, weight, to, point)
    assert found.weight == pytest.approx(expected.weight)
    scale = np.abs(expected.matrix).max(initial=1.0)
    assert_allclose(found.matrix, expected.matrix, atol=1e-11 * scale)
