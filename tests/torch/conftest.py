"""Tests of `daskml_exec.torch`: the whole folder is skipped where PyTorch is not installed."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import PRELOADED
from tests.torch_extra import REASON, TORCH_IS_ABSENT

if not TORCH_IS_ABSENT:
    PRELOADED.append("torch")  # else each worker process would import it again, for a second or two


class Skipped(pytest.File):
    """A file of tests that is not even imported: it would import PyTorch."""

    def collect(self) -> Iterable[pytest.Item]:
        pytest.skip(REASON)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.File | None:
    if TORCH_IS_ABSENT:
        return Skipped.from_parent(parent, path=module_path)
    return None
