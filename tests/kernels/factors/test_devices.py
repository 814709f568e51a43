"""Half-steps on arrays that refuse host access and, on one device, float64."""

import array_api_strict as xp
import numpy as np
import pytest

from daskml_exec.kernels.array_namespace import to_host
from daskml_exec.kernels.factors import prepared as prepared_module
from daskml_exec.kernels.factors.chunks import chunk_sums, gram_nodes
from daskml_exec.kernels.factors.half_steps import half_step
from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.kernels.factors.prepared import prepare
from daskml_exec.kernels.factors.ratings import Ratings
from tests.kernels.factors.oracle import random_ratings
from tests.kernels.test_devices import no_other_way_to_the_host, on_devices


def there(ratings, device):
    parts = (ratings.indptr, ratings.indices, ratings.values)
    return Ratings(*(xp.asarray(part, device=device) for part in parts))


@on_devices
@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
@pytest.mark.parametrize("solver", ["exact", "cg", "nonnegative"])
@pytest.mark.parametrize("begun", [False, True])
def test_half_steps(device, dtype, feedback, solver, begun, monkeypatch):
    monkeypatch.setattr(prepared_module, "compiled_loops", lambda: None)
    rng = np.random.default_rng(0)
    other = rng.normal(size=(40, 6)).astype(dtype)
    ratings = random_ratings(rng, [0, 3, 5, 6, 7, 3, 20, 0, 1, 6], 40, dtype)
    start = rng.normal(size=(10, 6)).astype(dtype) if begun else None
    gram = other.astype(np.float64).T @ other.astype(np.float64)
    how = "exact" if solver == "nonnegative" else solver, solver == "nonnegative"
    objective = Objective(feedback, 0.5, 1.0, 0.5)
    expected = half_step(ratings, prepare(other, gram, objective, *how), start)
    begin = None if start is None else xp.asarray(start, device=device)
    sent = xp.asarray(other, device=device), there(ratings, device)
    with no_other_way_to_the_host():
        found = half_step(sent[1], prepare(sent[0], gram, objective, *how), begin)
    assert found[0].dtype == sent[0].dtype and found[0].device == device
    scale = 1e-10 if dtype == np.float64 else 3e-4 if str(device) != "CPU_DEVICE" else 1e-5
    for here, other_side in zip(expected, found, strict=True):
        np.testing.assert_allclose(
            to_host(other_side), here, rtol=scale, atol=scale * abs(here).max()
        )


@on_devices
def test_sums_by_chunks(device, dtype):
    factors = np.random.default_rng(0).normal(size=(100, 5)).astype(dtype)
    with no_other_way_to_the_host():
        nodes = gram_nodes(xp.asarray(factors, device=device), 0, 100)
        sums = chunk_sums(xp.asarray(factors, device=device)[:, 0])
    for node, gram in gram_nodes(factors, 0, 100).items():
        np.testing.assert_allclose(nodes[node], gram, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(to_host(sums), chunk_sums(factors[:, 0]), rtol=1e-5)
