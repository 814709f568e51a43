"""PyTorch is an extra: nothing else waits for it, and what needs it says how to get it."""

import subprocess
import sys
from pathlib import Path

import pytest

from daskml_exec.torch._extra import INSTALL
from tests.conftest import ROOT

SURFACE = ROOT / "daskml_exec" / "torch" / "__init__.py"
IMPORTED = ["cli", "datasets", "linear_model", "neural_network", "torch", "training"]

# What a user writes first; `print` stands for a module, and for whatever else is a callable.
CALLS = [
    "surface.TorchEstimator(print, loss=print)",
    "surface.TorchClassifier(print)",
    "surface.TorchRegressor(print)",
    "surface.load_samples([[1.0], [2.0]])",
    "surface.tokens([0, 1, 2, 3], window=2, stride=2)",
    "surface.from_dataset(print, n_partitions=2)",
]

TRY_ALL = """
import sys
sys.modules["torch"] = None  # as if it were not installed
import daskml_exec.torch as surface
for call in {calls}:
    try:
        eval(call)
    except ImportError as error:
        print(error)
    else:
        print(call, "works without torch")
"""

REQUIRE = """
from daskml_exec.torch._extra import require_torch
require_torch("networks")
"""


def run(script: str, *first_on_path: Path) -> subprocess.CompletedProcess[str]:
    path = f"import sys; sys.path[:0] = {[str(folder) for folder in (*first_on_path, ROOT)]!r}\n"
    return subprocess.run(
        [sys.executable, "-c", path + script], capture_output=True, text=True, timeout=120
    )


def a_torch(folder: Path, source: str) -> Path:
    (folder / "torch.py").write_text(source)
    return folder


def test_no_package_imports_it_when_it_is_imported(tmp_path):
    fake = a_torch(tmp_path, "raise RuntimeError('torch was imported')")
    done = run(f"from daskml_exec import {', '.join(IMPORTED)}", fake)
    assert (done.returncode, done.stderr) == (0, "")
    assert "torch was imported" in run("import torch", fake).stderr


@pytest.mark.skipif(not SURFACE.exists(), reason="daskml_exec.torch has no names yet")
def test_without_it_each_name_says_how_to_get_it():
    done = run(TRY_ALL.format(calls=CALLS))
    assert (done.returncode, done.stderr) == (0, "")
    messages = done.stdout.splitlines()
    assert len(messages) == len(CALLS)
    assert [message for message in messages if INSTALL not in message] == []


def test_without_it_the_error_names_the_extra():
    done = run("import sys; sys.modules['torch'] = None\n" + REQUIRE)
    assert done.stderr.splitlines()[-1] == f"ImportError: networks need PyTorch: {INSTALL}"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import of_its_own", "ModuleNotFoundError: No module named 'of_its_own'"),
        ("raise ImportError('no libtorch.so')", "ImportError: no libtorch.so"),
    ],
)
def test_a_torch_that_cannot_be_loaded_says_why(tmp_path, source, error):
    assert run(REQUIRE, a_torch(tmp_path, source)).stderr.splitlines()[-1] == error
