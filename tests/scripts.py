"""Run code in a Python of its own, with this checkout's package and in a folder of choice."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def output_of(*arguments: str, cwd: Path, timeout: float, **variables: str) -> str:
    """Return what Python says of these arguments and environment variables; it must succeed."""
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
