"""Fixtures and settings for every test."""

import gc
import os
import signal
from functools import cache
from multiprocessing import forkserver
from pathlib import Path

import dask
import pytest
from hypothesis import settings

from daskml_exec.executor._blas import blas_controller

ROOT = Path(__file__).parents[1]

# Deadlines measure the machine, not the code. In CI the examples are the same in every run.
settings.register_profile("daskml_exec", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("daskml_exec")

# A shell that is not interactive starts what runs in the background with SIGINT ignored, and the
# processes that tests start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What worker processes import sooner or later, and what test modules import that they import.
PRELOADED = [
    "daskml_exec.linear_model",
    "daskml_exec.neural_network",
    "dask.dataframe",
    "distributed.shuffle",
    "hypothesis",
    "pytest",
    "sklearn.linear_model",
    "sklearn.neural_network",
]


def pytest_configure() -> None:
    _fork_worker_processes()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Files run side by side, and several threads of BLAS in each would wait for one another's
        # cores: in the oracles, that is. Our own fits hold it at one thread anyway.
        blas_controller().limit(limits=1)


def _fork_worker_processes() -> None:
    """Fork the worker processes of tests from one that has imported everything.

    Of a process that starts from nothing, as users' do, imports are all but a tenth of the time,
    and tests start hundreds. What a script or the command line starts is as it is for users.
    """
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    announce = forkserver.set_forkserver_preload
    # Dask names its own modules, when it first starts a process.
    forkserver.set_forkserver_preload = lambda names, **options: announce(
        [*names, *PRELOADED], **options
    )


@cache
def _reason_without_gpu(package: str = "cupy") -> str | None:
    if package == "torch":
        import torch

        return None if torch.cuda.is_available() else "PyTorch finds no CUDA device"
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed"
    # CuPy imports without a device too; only this question tells.
    return None if cupy.is_available() else "CuPy finds no CUDA device"


def _keep_out_of_collections() -> None:
    """Keep what there is now out of later garbage collections.

    Thousands of tests and their reports would make each of them take seconds.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    _keep_out_of_collections()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path != item.path:
        _keep_out_of_collections()


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("gpu")
    if marker and (reason := _reason_without_gpu(*marker.args)):
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
