"""With CuPy itself, on a device: `pytest -m gpu`. Skipped where there is none."""

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec import Executor
from daskml_exec.kernels.logistic_loss import logistic_sums
from daskml_exec.kernels.moments import column_moments, first_non_finite
from daskml_exec.linear_model import LogisticRegression

pytestmark = pytest.mark.gpu


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 7))
    return X, (X[:, 0] + rng.logistic(size=500) > 0).astype(int), rng.exponential(size=500)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_kernels_agree_with_numpy(rows, n_outputs, weighted):
    import cupy

    X, y, weight = rows
    weight = weight if weighted else None
    coef, intercept = np.full((n_outputs, 7), 0.1), np.arange(n_outputs) * 0.1
    here = logistic_sums(X, y, weight, coef, intercept)
    there = logistic_sums(cupy.asarray(X), y, weight, coef, intercept)
    assert_allclose(there.loss, here.loss, rtol=1e-11)
    assert_allclose(there.coef, here.coef, rtol=1e-9, atol=1e-9)
    assert_allclose(
        column_moments(cupy.asarray(X), weight).second, column_moments(X, weight).second
    )


def test_what_is_not_finite_is_found_on_the_device():
    import cupy

    X = cupy.zeros((4, 3))
    X[2, 1] = cupy.nan
    assert first_non_finite(X) == (2, 1, "NaN")


def test_a_fit_over_chunks_on_the_device_is_the_fit_on_the_host(rows):
    import cupy

    X, y, weight = rows
    chunks = da.from_array(X, chunks=(130, 7))
    with Executor(processes=False, n_workers=1):
        expected = LogisticRegression().fit(chunks, y, weight)
        model = LogisticRegression().fit(chunks.map_blocks(cupy.asarray), y, weight)
    assert isinstance(model.coef_, np.ndarray)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)
