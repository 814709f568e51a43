"""Wide networks in PyTorch: ``python -m peers.torch_tensor_parallel_server FOLDER``.

Runs in an interpreter that has PyTorch, and imports nothing else of ours but the reader of rows.

A request has the fields of a plan, and `threads` for a network in one process or `processes` for
one that is cut over so many processes of one thread.
"""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from peers.serve import respond
from peers.storage import load_X, load_y
from peers.torch_tensor_parallel_training import Plan, train_cut, train_whole


def main() -> None:
    folder = Path(sys.argv[1])
    # Gradients, of 64 MB the largest, get fresh pages at each step. With PyTorch's own switch for
    # huge pages the step takes 6 - 9 % less. It is read at the first allocation, and inherited.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Before the first threads are made, which take it over.
    torch.set_flush_denormal(True)
    n = len(np.load(folder / "y.npy", mmap_mode="r"))
    X, y = torch.from_numpy(load_X(folder, 0, n)), torch.from_numpy(load_y(folder, 0, n))
    respond(lambda request: answer(folder, X, y, **request))


def answer(
    folder: Path, X: Any, y: Any, *, threads: int = 1, processes: int = 1, **plan: Any
) -> dict[str, Any]:
    if processes > 1 and threads > 1:
        raise ValueError(f"threads={threads} with processes={processes}; allowed is 1 in each")
    asked = Plan(**plan)
    if processes > 1:
        return asdict(train_cut(folder, len(y), asked, processes))
    return asdict(train_whole(X, y, asked, threads))


if __name__ == "__main__":
    main()
