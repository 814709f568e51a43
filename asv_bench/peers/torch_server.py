"""PyTorch on the processor, its rows in memory: ``python -m peers.torch_server FOLDER``.

Runs in an interpreter that has PyTorch, and imports nothing else of ours but the reader of rows
and the modules.

A request says what and how to train (`task`, `module`, `epochs`, `batch`, `rate`, `seed`,
`optimiser`, `threads`) and may name the rows to `fit` and to `score`; `compile` is for
torch.compile, `processes` for DistributedDataParallel.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from peers.serve import respond
from peers.torch_ddp import train_together
from peers.torch_rows import load_rows
from peers.torch_training import Plan, loss_of, network, train
from torch_models import evaluated


def main() -> None:
    folder = Path(sys.argv[1])
    # Before the first threads are made, which take it over.
    torch.set_flush_denormal(True)
    X, y = load_rows(folder, 0, None)
    respond(lambda request: answer(folder, X, y, **request))


def answer(
    folder: Path,
    X: Any,
    y: Any,
    *,
    threads: int = 1,
    processes: int = 1,
    compile: bool = False,
    fit: tuple[int, int] | None = None,
    score: tuple[int, int] | None = None,
    **asked: Any,
) -> dict[str, Any]:
    plan = Plan(**asked)
    start, stop = fit or (0, len(X))
    if processes > 1:
        return asdict(train_together(folder, stop, plan, processes))
    torch.set_num_threads(threads)
    model = network(plan)
    loss = loss_of(model, plan)
    if compile:
        torch._dynamo.reset()
        loss = torch.compile(loss, dynamic=False)
    try:
        found = asdict(train(*_part(X, y, start, stop), model, loss, plan))
    except torch._dynamo.exc.TorchDynamoException as error:  # it wants a C++ compiler
        return {"failed": str(error).strip().splitlines()[0]}
    if score is None:
        return found
    return found | {"score": evaluated(plan.what.score, model, *_part(X, y, *score))}


def _part(X: Any, y: Any, start: int, stop: int) -> tuple[Any, Any]:
    return X[start:stop], None if y is None else y[start:stop]


if __name__ == "__main__":
    main()
