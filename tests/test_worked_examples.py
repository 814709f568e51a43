"""The commands that the README shows, as they stand there, and what they reach."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.toolbox import COMMAND
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

SHOWN = re.findall(r"bin/daskml-exec (train [^\n`]+)", (ROOT / "README.md").read_text())


def run(command, *more):
    done = subprocess.run(
        [*COMMAND, *shlex.split(command), *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done


def found(text, name):
    return float(re.search(rf"^{name} +([\d.]+)", text, re.MULTILINE)[1])


def test_digits_in_four_partitions():
    (command,) = [command for command in SHOWN if "digits" in command]
    done = run(command)
    assert "4 partitions on 2 workers" in done.stdout
    assert re.search(r"iterations in \d+ rounds, converged", done.stdout)
    assert found(done.stdout, "training accuracy") == 100.0
    assert found(done.stdout, "test accuracy") == pytest.approx(97.22)
    # Coefficients of each of ten classes: how many are not zero, their range and norm.
    row = r"^ +\d +61 +-0\.\d{4}  0\.\d{4} +\d\.\d+ +-?[\d.]+$"
    table = re.findall(row, done.stdout, re.MULTILINE)
    assert len(table) == 10


def test_clothes_in_four_partitions_for_ten_epochs():
    (command,) = [command for command in SHOWN if "fashion-mnist" in command]
    images = Path(shlex.split(command)[1])
    if not images.exists():
        pytest.skip(f"{images} is absent: apt-get install dataset-fashion-mnist")
    done = run(command, "--workers", "2")
    assert "60,000 rows x 784 features" in done.stdout
    assert "layers 784-128-10, 101,770 parameters" in done.stdout
    assert "10 epochs in 40 rounds" in done.stdout
    assert found(done.stdout, "test accuracy") >= 87
    lines = [line for line in done.stderr.splitlines() if " train " in line]
    assert lines[-1].startswith("round   39  epoch 10.00 of 10")
