"""A network of two wide hidden layers in PyTorch, whole or cut over processes of one thread.

Runs in an interpreter that has PyTorch, and imports nothing of ours but the reader of rows.

Cut, it follows PyTorch's own recipe for tensor parallelism: the first layer by columns and the
second by rows, so that one sum of activations, batch x hidden, is all that a step sends. Every
process computes the small last layer for itself: to cut it, too, by rows or by columns, was tried
and was no faster. Adam's fused operation takes DTensors on the processor, though not beside plain
tensors in one group.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

from peers.storage import load_X, load_y

_DEADLINE = timedelta(minutes=2)
"""What a process waits for another one that has died; PyTorch would wait for half an hour."""


@dataclass(frozen=True)
class Plan:
    """What is asked for; the batch counts the rows of a step, and every process computes all."""

    hidden: int
    classes: int
    batch: int
    rate: float
    seed: int
    warm_up: int
    """Steps before the first that is timed."""
    steps: int
    """Steps in a repetition."""
    repetitions: int

    def __post_init__(self) -> None:
        for name in ("batch", "warm_up", "steps", "repetitions"):
            if (given := getattr(self, name)) < 1:
                raise ValueError(f"{name}={given}; allowed are 1 and more")


@dataclass(frozen=True)
class Trained:
    """The seconds of each repetition, and the loss at the last step."""

    seconds: list[float]
    loss: float


def train_whole(X: Any, y: Any, plan: Plan, threads: int) -> Trained:
    torch.set_num_threads(threads)
    return _train(X, y, _network(plan, X.shape[1]), plan, wait_for_all=lambda: None)


def train_cut(folder: Path, rows: int, plan: Plan, processes: int) -> Trained:
    """Train in processes that end with this call; the first of them counted the seconds."""
    answers = mp.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as there:
        store = f"file://{there}/store"
        mp.spawn(_run, (processes, store, folder, rows, plan, answers), nprocs=processes)
    found: Trained = answers.get()
    return found


def _run(
    rank: int, processes: int, store: str, folder: Path, rows: int, plan: Plan, answers: Any
) -> None:
    # Found by name otherwise, and that is not the loopback everywhere.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=store, rank=rank, world_size=processes, timeout=_DEADLINE
    )
    try:
        X, y = torch.from_numpy(load_X(folder, 0, rows)), torch.from_numpy(load_y(folder, 0, rows))
        model = parallelize_module(
            _network(plan, X.shape[1]),
            init_device_mesh("cpu", (processes,)),
            {"0": ColwiseParallel(), "2": RowwiseParallel()},
        )
        trained = _train(X, y, model, plan, wait_for_all=dist.barrier)
        if rank == 0:
            answers.put(trained)
    finally:
        dist.destroy_process_group()


def _network(plan: Plan, inputs: int) -> nn.Module:
    torch.manual_seed(plan.seed)
    return nn.Sequential(
        nn.Linear(inputs, plan.hidden),
        nn.ReLU(),
        nn.Linear(plan.hidden, plan.hidden),
        nn.ReLU(),
        nn.Linear(plan.hidden, plan.classes),
    )


def _train(
    X: Any, y: Any, model: nn.Module, plan: Plan, wait_for_all: Callable[[], Any]
) -> Trained:
    optimiser = _adam(model, plan.rate)
    order = _batches(len(y), plan)

    def take(steps: int) -> Any:
        for rows in islice(order, steps):
            optimiser.zero_grad(set_to_none=True)
            scores = model(X.index_select(0, rows))
            loss = nn.functional.cross_entropy(scores, y.index_select(0, rows))
            loss.backward()
            optimiser.step()
        return loss.detach()

    take(plan.warm_up)
    seconds = []
    for _ in range(plan.repetitions):
        wait_for_all()
        started = time.perf_counter()
        loss = take(plan.steps)
        wait_for_all()
        seconds.append(time.perf_counter() - started)
    return Trained(seconds, float(loss))


def _adam(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """Return the fused Adam, in one group the weights that are cut, and the others in another."""
    cut = [weights for weights in model.parameters() if isinstance(weights, DTensor)]
    whole = [weights for weights in model.parameters() if not isinstance(weights, DTensor)]
    groups = [{"params": group} for group in (cut, whole) if group]
    return torch.optim.Adam(groups, lr=rate, fused=True)


def _batches(n: int, plan: Plan) -> Iterator[Any]:
    """Yield row numbers for ever, as many each time: a shuffled epoch leaves out its remainder."""
    if n < plan.batch:
        raise ValueError(f"batch={plan.batch}; there are {n} rows")
    generator = torch.Generator().manual_seed(plan.seed)  # the same in every process
    while True:
        yield from torch.randperm(n, generator=generator).split(plan.batch)[: n // plan.batch]
