"""Gradients of many models in one pass, against those of each by itself."""

import itertools

import array_api_strict as strict
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.kernels.block_sizes import sized_blocks
from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.hessian_sums import hessian_sums, hessians_sums
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial
from daskml_exec.kernels.many_models import Points, fold_sums, model_sums
from daskml_exec.kernels.moments import column_moments
from daskml_exec.kernels.standardisation import standardisation

LOSSES = [BinaryLogistic(), Multinomial(3), Gaussian(), Poisson()]
N_FOLDS = 3


def example(loss, n=60, d=4, models=6, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(dtype)
    classes = {BinaryLogistic: 2, Multinomial: 3}.get(type(loss))
    y = rng.integers(0, classes or 5, n)
    fold = rng.integers(0, N_FOLDS + 1, n).astype(np.uint16)
    fold[fold == N_FOLDS] = 2**16 - 1
    K = loss.n_outputs
    at = Points(rng.normal(size=(models, K, d)), rng.normal(size=(models, K)))
    return X, y if classes else y.astype(float), rng.random(n) + 0.5, fold, at


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["dense", "float32", "sparse"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_each_model_as_by_itself(loss, kind, weighted):
    X, y, weight, fold, at = example(loss, dtype=np.float32 if kind == "float32" else np.float64)
    given = sp.csr_matrix(X) if kind == "sparse" else X
    w = weight if weighted else None
    left_out = np.array([0, 1, 2, -1, 0, 1])
    with sized_blocks(product_bytes=700):
        by_fold = fold_sums(loss, given, y, w, fold, N_FOLDS, at)
        by_model = model_sums(loss, given, y, w, fold, N_FOLDS, at, left_out)
    for m in range(6):
        for k in range(N_FOLDS + 1):
            rows = fold == (k if k < N_FOLDS else 2**16 - 1)
            one = loss_sums(
                loss, X[rows], y[rows], None if w is None else w[rows], at.coef[m], at.intercept[m]
            )
            assert by_fold.weight[k] == pytest.approx(one.weight, rel=1e-13)
            assert by_fold.loss[k, m] == pytest.approx(one.loss, rel=1e-12)
            np.testing.assert_allclose(by_fold.coef[k, m], one.coef, rtol=1e-11, atol=1e-12)
            np.testing.assert_allclose(
                by_fold.intercept[k, m], one.intercept, rtol=1e-11, atol=1e-12
            )
        others = [k for k in range(N_FOLDS + 1) if k != left_out[m]]
        np.testing.assert_allclose(
            by_model.coef[m], by_fold.coef[others, m].sum(axis=0), rtol=1e-11, atol=1e-12
        )
        np.testing.assert_allclose(
            by_model.intercept[m], by_fold.intercept[others, m].sum(axis=0), rtol=1e-11, atol=1e-12
        )


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_on_a_device(loss):
    X, y, w, fold, at = example(loss)
    there = strict.asarray(X, device=strict.Device("device1"))
    left_out = np.arange(6) % 4 - 1
    found = model_sums(loss, there, y, w, fold, N_FOLDS, at, left_out)
    want = model_sums(loss, X, y, w, fold, N_FOLDS, at, left_out)
    np.testing.assert_allclose(found.coef, want.coef, rtol=1e-10, atol=1e-11)
    by_fold, expected = (fold_sums(loss, each, y, w, fold, N_FOLDS, at) for each in (there, X))
    np.testing.assert_allclose(by_fold.coef, expected.coef, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(by_fold.loss, expected.loss, rtol=1e-10)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_rows_far_from_zero_are_centred(kind):
    loss = BinaryLogistic()
    X, y, _, fold, at = example(loss)
    center = np.array([1e6, 0.0, -3e4, 7.0])
    there = X + center
    about = Points(at.coef, at.intercept, center)
    given = sp.csr_matrix(there) if kind == "sparse" else there
    want = model_sums(loss, X, y, None, fold, N_FOLDS, at, np.arange(6) % 4 - 1)
    found = model_sums(loss, given, y, None, fold, N_FOLDS, about, np.arange(6) % 4 - 1)
    np.testing.assert_allclose(found.coef, want.coef, rtol=1e-6, atol=1e-6)
    found = fold_sums(loss, given, y, None, fold, N_FOLDS, about)
    want = fold_sums(loss, X, y, None, fold, N_FOLDS, at)
    np.testing.assert_allclose(found.coef, want.coef, rtol=1e-6, atol=1e-6)


@given(cuts=st.lists(st.integers(0, 60), max_size=4), seed=st.integers(0, 99))
def test_any_cuts_of_the_rows_add_up_to_the_whole(cuts, seed):
    loss = Multinomial(3)
    X, y, w, fold, at = example(loss, seed=seed)
    left_out = np.arange(6) % 4 - 1
    whole = model_sums(loss, X, y, w, fold, N_FOLDS, at, left_out)
    ends = [0, *sorted(cuts), 60]
    parts = [
        model_sums(loss, X[a:b], y[a:b], w[a:b], fold[a:b], N_FOLDS, at, left_out)
        for a, b in itertools.pairwise(ends)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    np.testing.assert_allclose(total.coef, whole.coef, rtol=1e-10, atol=1e-11)


def test_residuals_of_rows_that_are_predicted_well_keep_their_digits():
    z = np.array([[[40.0, -40.0, 800.0, -800.0]]])
    y = np.array([1, 0, 1, 1])
    _, want = BinaryLogistic().losses_and_residuals(z[0].copy(), y)
    with np.errstate(over="ignore"):
        found = BinaryLogistic().residuals(z.copy(), y)[0]
    np.testing.assert_allclose(found, want, rtol=1e-15)
    far = np.array([[[60.0], [0.0], [-5.0]]])
    _, want = Multinomial(3).losses_and_residuals(far[0].copy(), np.array([0]))
    np.testing.assert_allclose(Multinomial(3).residuals(far, np.array([0]))[0], want, rtol=1e-14)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_hessians_at_many_points_are_those_at_each(loss):
    X, _, w, _, at = example(loss)
    to = standardisation(column_moments(X, w), curvature=0.25, penalty=0.0, fit_intercept=True)
    points = np.stack([to.point(*each) for each in zip(at.coef, at.intercept, strict=True)])
    found = hessians_sums(loss, X, w, to, points)
    for j, point in enumerate(points):
        np.testing.assert_array_equal(found.matrices[j], hessian_sums(loss, X, w, to, point).matrix)
