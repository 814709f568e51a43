"""Dask chooses between two engines of dask.array once, when it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import dask.array as da
import pytest

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("test_dask_arrays.py")


@pytest.mark.slow
def test_the_other_engine_gives_the_same_partitions():
    engine = "legacy" if "array_expr" in da.Array.__module__ else "expressions"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", FILE],
        cwd=ROOT,
        env={
            **os.environ,
            "DASK_ARRAY__QUERY_PLANNING": str(engine == "expressions"),
            "DASKML_EXEC_TEST_ENGINE": engine,
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
