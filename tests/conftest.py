"""Fixtures and settings for every test."""

import os
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# Deadlines measure the machine, not the code. In CI the examples are the same in every run.
settings.register_profile("daskml_exec", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("daskml_exec")


@cache
def _reason_without_gpu() -> str | None:
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed"
    # CuPy imports without a device too; only this question tells.
    return None if cupy.is_available() else "CuPy finds no CUDA device"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (reason := _reason_without_gpu()):
        pytest.skip(reason)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of data too large for the repository."""
    folder = os.environ.get("DASKML_EXEC_TEST_DATA")
    if not folder:
        pytest.skip("DASKML_EXEC_TEST_DATA is not set: see CONTRIBUTING.md")
    if not Path(folder).is_dir():
        pytest.skip(f"DASKML_EXEC_TEST_DATA is not a folder: {folder}")
    return Path(folder)


@pytest.fixture(scope="session")
def digits_libsvm() -> Path:
    """The training rows of scikit-learn's digits: 1,437 rows, 64 features, 10 classes."""
    return ROOT / "tutorials" / "data" / "digits.libsvm"
