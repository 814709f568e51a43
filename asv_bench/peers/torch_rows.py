"""Stored rows as tensors. Runs in an interpreter that has PyTorch."""

from pathlib import Path
from typing import Any

import torch

from peers.storage import load_X, load_y


def load_rows(folder: Path, start: int, stop: int | None) -> tuple[Any, Any]:
    """Return X and y; y is None where none was stored. Without `stop`, to the end."""
    X = torch.from_numpy(load_X(folder, start, stop))
    if not (folder / "y.npy").exists():
        return X, None
    return X, torch.from_numpy(load_y(folder, start, stop))
