"""Both scripts of whole size run with few scenes, and say how good each side is."""

import re

import pytest

from scenes.items import DEBIAN
from tests.conftest import ROOT
from tests.scripts import output_of

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
    command = [f"tutorials/{script}.py", *few, "--picture", str(picture)]
    output = output_of(*command, cwd=ROOT, timeout=250, MPLBACKEND="agg")
    line = rf": {measure} [01]\.\d{{4}} on 12 test scenes, 1 epochs at rate 0\.00[12], \d+ s\n"
    for who in ("2 Workers", "one process"):
        assert re.search(f"{who}: validation by rate: 0.001: .*, 0.002: ", output)
        assert re.search(who + line, output)
    assert picture.read_bytes().startswith(b"\x89PNG")
