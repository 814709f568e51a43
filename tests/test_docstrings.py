"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import daskml_exec
from tests.torch_extra import REASON, TORCH_IS_ABSENT

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(daskml_exec.__path__, "daskml_exec.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if TORCH_IS_ABSENT and name.startswith("daskml_exec.torch."):
        pytest.skip(REASON)
    if name.startswith("daskml_exec.kernels.factors.compiled."):
        pytest.importorskip("numba", reason="numba is not installed")
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
