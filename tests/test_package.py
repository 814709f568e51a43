import importlib
import tomllib
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "daskml_exec"
MAX_LINES = 500

PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")
)


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_resolve(name):
    module = importlib.import_module(name)
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
