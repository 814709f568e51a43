"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import daskml_exec

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(daskml_exec.__path__, "daskml_exec.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
