import importlib
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import pytest

from tests.torch_extra import REASON, TORCH_IS_ABSENT

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "daskml_exec"
MAX_LINES = 500

PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")
)


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_resolve(name):
    module = importlib.import_module(name)
    if TORCH_IS_ABSENT and name == "daskml_exec.torch":
        pytest.skip(REASON)
    missing = [public for public in getattr(module, "__all__", ()) if not hasattr(module, public)]
    assert not missing


def test_version_is_the_metadatas():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    try:
        installed = metadata.version(project["name"])
    except metadata.PackageNotFoundError:
        pytest.skip(f"{project['name']} is not installed in this environment")
    assert importlib.import_module("daskml_exec").__version__ == installed == project["version"]


def test_type_marker_ships():
    assert (files("daskml_exec") / "py.typed").is_file()


def test_modules_stay_small():
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {path: n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_the_oldest_releases_are_read_from_the_project():
    """`.ci/run` installs them; what has no lower bound would be installed as the newest."""
    script = ROOT / ".ci" / "oldest.py"
    if not script.exists():
        pytest.skip("the folder .ci is not part of a source distribution")
    done = subprocess.run(
        [sys.executable, script, "test", "lint", "bench"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split("==") for line in done.stdout.splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(found) > len(project["dependencies"]) and {"numpy", "dask", "numba"} <= found.keys()
