"""The docstrings of what users call: every parameter and result is described, in order."""

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from daskml_exec import executor
from tests.torch_extra import REASON, TORCH_IS_ABSENT

# The packages whose names users import, and of the layers below what users are handed.
PACKAGES = [
    "",
    ".cli",
    ".datasets",
    ".feature_extraction.text",
    ".linear_model",
    ".metrics",
    ".model_selection",
    ".neural_network",
    ".preprocessing",
    ".recommendation",
    ".torch",
]
HANDED = [
    f"training.{name}"
    for name in ("BeginEvent", "EndEvent", "History", "Reached", "RoundEvent", "RoundRecord")
]
ERRORS = [
    f"executor.{name}"
    for name in executor.__all__
    if inspect.isclass(cls := getattr(executor, name)) and issubclass(cls, Exception)
]
NOT_WANTED = {
    "ES01",  # an extended summary: where one sentence says it, one is enough
    "EX01",  # an example for each method
    "GL01",  # text on the line after the quotes
    "SA01",  # a "See Also" for each
}


def members(name: str, of: Any) -> Iterator[tuple[str, Any]]:
    """Yield it, and what its class and the bases of the same package define."""
    yield name, of
    if not inspect.isclass(of):
        return
    package = ".".join(of.__module__.split(".")[:2])
    for cls in of.__mro__:
        for attribute, value in vars(cls).items() if cls.__module__.startswith(package) else ():
            if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
                yield f"{name}.{attribute}", value


def objects() -> dict[str, Any]:
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(f"daskml_exec{package}")
        for name in module.__all__:
            if package == ".torch" and TORCH_IS_ABSENT:
                found[f"daskml_exec.torch.{name}"] = None
            elif callable(value := getattr(module, name)):
                found |= members(f"daskml_exec{package}.{name}", value)
    for name in [*HANDED, *ERRORS]:
        layer, _, attribute = name.partition(".")
        value = getattr(importlib.import_module(f"daskml_exec.{layer}"), attribute)
        found |= members(f"daskml_exec.{name}", value)
    return found


OBJECTS = objects()


@pytest.mark.parametrize("name", OBJECTS)
def test_docstring(name):
    if OBJECTS[name] is None:
        pytest.skip(REASON)
    validate = pytest.importorskip("numpydoc.validate").validate
    not_wanted = NOT_WANTED
    if dataclasses.is_dataclass(OBJECTS[name]):
        not_wanted = {*NOT_WANTED, "PR01"}  # fields are described where they stand
    faults = [fault for fault in validate(name)["errors"] if fault[0] not in not_wanted]
    assert not faults
