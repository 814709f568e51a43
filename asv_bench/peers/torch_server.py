"""PyTorch on the processor, its rows in memory: ``python -m peers.torch_server FOLDER``.

Runs in an interpreter that has PyTorch, and imports nothing else of ours but the reader of rows.

A request says how to train (`epochs`, `batch`, `rate`, `seed`, `threads`) and may name the rows to
`fit` and to `score`; `compile` is for torch.compile, `processes` for DistributedDataParallel.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from peers.serve import respond
from peers.storage import load_X, load_y
from peers.torch_ddp import train_together
from peers.torch_training import Plan, accuracy, loss_of, network, train


def main() -> None:
    folder = Path(sys.argv[1])
    # Before the first threads are made, which take it over.
    torch.set_flush_denormal(True)
    n = len(np.load(folder / "y.npy", mmap_mode="r"))
    X, y = torch.from_numpy(load_X(folder, 0, n)), torch.from_numpy(load_y(folder, 0, n))
    respond(lambda request: answer(folder, X, y, **request))


def answer(
    folder: Path,
    X: Any,
    y: Any,
    *,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    threads: int = 1,
    processes: int = 1,
    compile: bool = False,
    fit: tuple[int, int] | None = None,
    score: tuple[int, int] | None = None,
) -> dict[str, Any]:
    plan = Plan(epochs, batch, rate, seed)
    start, stop = fit or (0, len(y))
    if processes > 1:
        return {"seconds": train_together(folder, stop, plan, processes)}
    torch.set_num_threads(threads)
    model = network(plan, X.shape[1])
    loss = loss_of(model)
    if compile:
        torch._dynamo.reset()
        loss = torch.compile(loss, dynamic=False)
    try:
        seconds = train(X[start:stop], y[start:stop], model, loss, plan)
    except torch._dynamo.exc.TorchDynamoException as error:  # it wants a C++ compiler
        return {"failed": str(error).strip().splitlines()[0]}
    if score is None:
        return {"seconds": seconds}
    tested = slice(*score)
    return {"seconds": seconds, "accuracy": accuracy(X[tested], y[tested], model)}


if __name__ == "__main__":
    main()
