"""Imports point downwards only: surface, metrics, training, partitions, executor, kernels."""

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "daskml_exec"

INNER = {"kernels", "executor", "partitions", "training"}
ESTIMATORS = {
    "linear_model",
    "neural_network",
    "torch",
    "preprocessing",
    "feature_extraction",
    "model_selection",
    "recommendation",
}

# What each layer may import, besides itself.
MAY_IMPORT = {
    "kernels": set(),
    "executor": {"kernels"},
    "partitions": {"kernels", "executor"},
    "training": {"kernels", "executor", "partitions"},
    "metrics": INNER,
    **dict.fromkeys(ESTIMATORS, INNER | {"metrics"}),
    "datasets": INNER - {"training"},
    "cli": INNER | ESTIMATORS | {"datasets", "metrics"},
}
KNOW_DASK = {"executor", "partitions", "datasets"}
# PyTorch is an extra, and takes seconds to import.
KNOW_TORCH = {"torch"}


def imported_names(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Every import's line and absolute dotted name, in functions and `TYPE_CHECKING` blocks too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"


def violations(path: str, source: str) -> list[str]:
    """Forbidden imports of the module at `path`, which is relative to the folder of the package."""
    file = Path(path)
    if path == "daskml_exec/__init__.py":
        return []  # it gathers the public names, and nothing below may import it
    layer = file.with_suffix("").parts[1]
    if layer not in MAY_IMPORT:
        return [f"{path}: '{layer}' is no layer of the package; give it a place in MAY_IMPORT"]

    found = []
    for line, name in imported_names(ast.parse(source), ".".join(file.parent.parts)):
        top, _, rest = name.partition(".")
        if top in {"dask", "distributed"} and layer not in KNOW_DASK:
            found.append(f"{path}:{line}: {layer} imports {name}; Dask is for {sorted(KNOW_DASK)}")
        elif top == "torch" and layer not in KNOW_TORCH:
            found.append(
                f"{path}:{line}: {layer} imports {name}; PyTorch is for {sorted(KNOW_TORCH)}"
            )
        elif top == "daskml_exec":
            other = rest.partition(".")[0]
            if other != layer and other not in MAY_IMPORT[layer]:
                allowed = sorted(MAY_IMPORT[layer]) or "no other layer"
                found.append(f"{path}:{line}: {layer} imports {name}; it may import {allowed}")
    return found


def test_package_keeps_the_layers():
    found = [
        violation
        for path in sorted(PACKAGE.rglob("*.py"))
        for violation in violations(
            path.relative_to(PACKAGE.parent).as_posix(), path.read_text("utf-8")
        )
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("executor/_job.py", "import dask.array"),
        ("executor/peers/_mailbox.py", "from .. import _job"),
        ("executor/peers/_mailbox.py", "from ...kernels import losses"),
        ("partitions/__init__.py", "from ..kernels.losses import log_loss"),
        ("datasets/_libsvm.py", "import distributed, daskml_exec.partitions"),
        ("training/_fit.py", "from daskml_exec import kernels, executor"),
        ("linear_model/_logistic.py", "from ..training import fit\nfrom sklearn import base"),
        ("cli/__init__.py", "from ..datasets import read_libsvm\nfrom .. import linear_model"),
        ("cli.py", "from .linear_model import Ridge"),
        ("torch/_trainer.py", "import torch\nfrom torch import nn\nfrom ..training import fit"),
        ("cli/_models.py", "from ..torch import TorchClassifier"),
        ("__init__.py", "import dask\nfrom .cli import main"),
    ],
)
def test_checker_accepts(path, source):
    assert violations(f"daskml_exec/{path}", source) == []


@pytest.mark.parametrize(
    ("path", "source", "name"),
    [
        ("kernels/losses.py", "import dask", "dask"),
        ("kernels/losses.py", "def f():\n    from distributed import Client", "distributed.Client"),
        ("training/_fit.py", "import dask.array as da", "dask.array"),
        ("cli/__init__.py", "from dask.config import get", "dask.config.get"),
        ("kernels/losses.py", "from ..executor import Job", "daskml_exec.executor.Job"),
        ("executor/_job.py", "from .. import partitions", "daskml_exec.partitions"),
        ("executor/peers/_a.py", "from ...training import fit", "daskml_exec.training.fit"),
        ("partitions/__init__.py", "import daskml_exec.training", "daskml_exec.training"),
        ("datasets/__init__.py", "from ..training import fit", "daskml_exec.training.fit"),
        ("training/_fit.py", "from daskml_exec.cli import main", "daskml_exec.cli.main"),
        (
            "linear_model/_ridge.py",
            "if TYPE_CHECKING:\n    from ..neural_network import MLPClassifier",
            "daskml_exec.neural_network.MLPClassifier",
        ),
        ("linear_model/_ridge.py", "from ..datasets import read", "daskml_exec.datasets.read"),
        ("training/_fit.py", "from daskml_exec import Executor", "daskml_exec.Executor"),
        ("training/_fit.py", "import daskml_exec", "daskml_exec"),
        ("training/_fit.py", "def f():\n    import torch", "torch"),
        ("executor/_blas.py", "from torch import nn", "torch.nn"),
        ("torch/_trainer.py", "import dask.array", "dask.array"),
    ],
)
def test_checker_reports(path, source, name):
    [violation] = violations(f"daskml_exec/{path}", source)
    line = source.count("\n") + 1
    assert violation.startswith(f"daskml_exec/{path}:{line}: ")
    assert f"imports {name};" in violation


def test_checker_reports_a_module_outside_the_layers():
    [violation] = violations("daskml_exec/utils/_misc.py", "import numpy")
    assert "'utils' is no layer" in violation
