"""What `docs/pytorch-modules.md` shows runs, from top to bottom, as in a notebook."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.test_readme import blocks

PAGE = (ROOT / "docs" / "pytorch-modules.md").read_text()


@pytest.mark.slow
def test_the_page_runs(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks(PAGE, "python"))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "['a 0' 'a 1' 'a 2']" in run.stdout
