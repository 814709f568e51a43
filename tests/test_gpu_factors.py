"""Half-steps of factors with CuPy itself, on a device: `pytest -m gpu`."""

import numpy as np
import pytest

from daskml_exec.kernels.factors.chunks import gram_nodes
from daskml_exec.kernels.factors.half_steps import half_step
from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.kernels.factors.prepared import prepare
from daskml_exec.kernels.factors.ratings import Ratings
from tests.kernels.factors.oracle import random_ratings

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
@pytest.mark.parametrize("solver", ["exact", "cg", "nonnegative"])
@pytest.mark.parametrize("begun", [False, True])
def test_half_steps_agree_with_numpy(dtype, feedback, solver, begun):
    import cupy

    rng = np.random.default_rng(0)
    other = rng.normal(size=(300, 32)).astype(dtype)
    ratings = random_ratings(rng, [0, 1, 5, 31, 32, 33, 5, 200, 0], 300, dtype)
    start = rng.normal(size=(9, 32)).astype(dtype) if begun else None
    gram = other.astype(np.float64).T @ other.astype(np.float64)
    how = "exact" if solver == "nonnegative" else solver, solver == "nonnegative"
    objective = Objective(feedback, 0.5, 1.0, 0.5)
    expected = half_step(ratings, prepare(other, gram, objective, *how), start)
    there = Ratings(*map(cupy.asarray, (ratings.indptr, ratings.indices, ratings.values)))
    begin = None if start is None else cupy.asarray(start)
    found = half_step(there, prepare(cupy.asarray(other), gram, objective, *how), begin)
    near = 1e-4 if dtype == np.float32 else 1e-9
    for here, on_device in zip(expected, found, strict=True):
        assert isinstance(on_device, cupy.ndarray) and on_device.dtype == here.dtype
        np.testing.assert_allclose(on_device.get(), here, rtol=near, atol=near * abs(here).max())


def test_grams_agree_with_numpy():
    import cupy

    factors = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    there = gram_nodes(cupy.asarray(factors), 0, 100)
    for node, gram in gram_nodes(factors, 0, 100).items():
        np.testing.assert_allclose(there[node], gram, rtol=1e-12, atol=1e-12)
