"""Arrays that came out of a message may lie at odd addresses: no kernel may answer otherwise."""

from dataclasses import astuple

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.kernels.cross_moments import cross_moments
from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.hessian_sums import hessian_sums
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial
from daskml_exec.kernels.moments import column_moments, first_non_finite
from daskml_exec.kernels.row_sample import take_rows
from daskml_exec.kernels.standardisation import standardisation

LOSSES = [BinaryLogistic(), Multinomial(3), Gaussian(), Poisson()]


def odd(array):
    """Return the array at an odd address, read-only, as messages give it."""
    there = np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)
    assert not there.flags.aligned and not there.flags.writeable
    return there


def odd_csr(X):
    there = sp.csr_array(X.shape, dtype=X.dtype)
    there.data, there.indices, there.indptr = X.data, X.indices, X.indptr
    there.data = odd(X.data)
    return there


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def same_bits(one, other):
    for a, b in zip(astuple(one), astuple(other), strict=True):
        assert np.array_equal(a, b)


@pytest.fixture(params=["double", "single", "single-without-numba", "sparse"])
def rows(request, monkeypatch):
    """X, y, weight at even and at odd addresses."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(70, 4)) * (rng.random((70, 4)) < 0.7)
    y, weight = rng.integers(0, 2, 70), rng.exponential(size=70)
    if "single" in request.param:
        X = X.astype(np.float32)
    if "without-numba" in request.param:
        for module in ("loss_sums", "moments"):
            monkeypatch.setattr(f"daskml_exec.kernels.{module}.compiled_loops", lambda: None)
    if request.param != "sparse":
        return (X, y, weight), tuple(map(odd, (X, y, weight)))
    X = sp.csr_array(X)
    return (X, y, weight), (odd_csr(X), odd(y), odd(weight))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("centred", [False, True])
def test_loss_sums(rows, loss, centred):
    coef, intercept = np.full((loss.n_outputs, 4), 0.3), np.arange(loss.n_outputs) / 7
    center = np.full(4, 0.1) if centred else None
    if centred and sp.issparse(rows[0][0]):
        return
    same_bits(*(loss_sums(loss, *part, coef, intercept, center) for part in rows))
    same_bits(*(loss_sums(loss, *part[:2], None, coef, intercept, center) for part in rows))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_hessian_sums(rows, loss, single, weighted):
    moments = column_moments(rows[0][0], None)
    to = standardisation(moments, curvature=0.25, penalty=0.1, fit_intercept=True)
    point = np.full((loss.n_outputs, 5), 0.2)
    same_bits(
        *(
            hessian_sums(loss, X, weight if weighted else None, to, point, single=single)
            for X, _, weight in rows
        )
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("far", [False, True])
def test_moments(rows, weighted, far):
    (X, y, weight), there = rows
    if far:
        X = (sp.csr_array if sp.issparse(X) else np.asarray)(np.full(X.shape, 1e9, X.dtype) + X)
        there = ((odd_csr if sp.issparse(X) else odd)(X), *there[1:])
    for kernel in (
        lambda X, y, w: column_moments(X, w if weighted else None),
        lambda X, y, w: cross_moments(X, y, w if weighted else None),
    ):
        same_bits(kernel(X, y, weight), kernel(*there))
    assert first_non_finite(there[0]) is None


def test_rows_are_taken(rows):
    (X, _, _), (there, _, _) = rows
    chosen = np.array([0, 5, 69])
    taken = [take_rows(part, chosen) for part in (X, there)]
    same = [part.toarray() if sp.issparse(part) else part for part in taken]
    assert np.array_equal(*same)


def test_arrays_that_must_not_be_written_are_not(rows):
    """Messages are read-only, too."""
    (X, y, weight), _ = rows
    if sp.issparse(X):
        X = sp.csr_array((read_only(X.data), read_only(X.indices), read_only(X.indptr)), X.shape)
    else:
        X = read_only(X)
    y, weight = read_only(y), read_only(weight)
    loss_sums(BinaryLogistic(), X, y, weight, np.ones((1, 4)), np.zeros(1))
    cross_moments(X, y, weight)
    column_moments(X, weight)
