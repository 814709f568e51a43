"""Both scripts of whole size run with few scenes, and say how good each side is."""

import os
import re
import subprocess
import sys

import pytest

from scenes.items import DEBIAN
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DEBIAN.is_dir(), reason="apt-get install dataset-fashion-mnist"),
]


@pytest.mark.parametrize(
    ("script", "measure"),
    [("detection_with_pytorch", "AP50"), ("segmentation_with_pytorch", "mean IoU")],
)
def test_few_scenes(script, measure, tmp_path):
    picture = tmp_path / "scenes.png"
    few = ["--scenes", "64", "--test-scenes", "12", "--epochs", "1", "--rates", "0.001", "0.002"]
    run = subprocess.run(
        [sys.executable, f"tutorials/{script}.py", *few, "--picture", str(picture)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert run.returncode == 0, run.stderr
    line = rf": {measure} [01]\.\d{{4}} on 12 test scenes, 1 epochs at rate 0\.00[12], \d+ s\n"
    for who in ("2 Workers", "one process"):
        assert re.search(f"{who}: validation by rate: 0.001: .*, 0.002: ", run.stdout)
        assert re.search(who + line, run.stdout)
    assert picture.read_bytes().startswith(b"\x89PNG")
