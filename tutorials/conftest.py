"""Notebooks whose names say torch are skipped where PyTorch is not installed."""

import pytest

from tests.torch_extra import REASON, TORCH_IS_ABSENT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if TORCH_IS_ABSENT and item.path.suffix == ".ipynb" and "torch" in item.path.name:
            item.add_marker(pytest.mark.skip(reason=REASON))
