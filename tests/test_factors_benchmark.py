"""The comparison of half-steps runs at a small size, on interactions as they are said to be."""

import importlib

import numpy as np
import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ASV_BENCH)


def test_interactions():
    module = importlib.import_module("interactions")
    matrix, again = (module.interactions(300, 100, 4000, seed=3) for _ in range(2))
    assert np.array_equal(matrix.indices, again.indices) and np.array_equal(matrix.data, again.data)
    assert matrix.shape == (300, 100) and matrix.has_canonical_format
    assert matrix.indptr.dtype == np.int64 and matrix.indices.dtype == np.int32
    assert matrix.data.dtype == np.float32 and matrix.data.min() >= 1
    counts = np.diff(matrix.indptr)
    assert counts.min() >= 1 and counts.max() <= 25
    other = module.transposed(matrix)
    assert other.has_canonical_format and other.indices.dtype == np.int32
    assert np.array_equal(other.toarray(), matrix.toarray().T)


@pytest.mark.slow
def test_half_steps_are_compared(capsys):
    main = importlib.import_module("factor_kernels").main
    size = ["--rows", "300", "--items", "100", "--entries", "4000", "--factors", "8"]
    main([*size, "--rounds", "1"])
    shown = capsys.readouterr().out
    assert "300 x 100" in shown and "share of a large product" in shown
