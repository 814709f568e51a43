"""Training in PyTorch as fast as its plain parts go: rows in memory, one fused optimiser step.

Runs in an interpreter that has PyTorch, and imports nothing of ours but the modules.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from torch_tasks import TASKS, Task


@dataclass(frozen=True)
class Plan:
    """What is asked for; the batch counts the rows of all processes together."""

    task: str
    epochs: int
    batch: int
    rate: float
    seed: int
    optimiser: str = "AdamW"
    module: dict[str, Any] = field(default_factory=dict)
    """Arguments of the task's module, other than its own."""

    @property
    def what(self) -> Task:
        return TASKS[self.task]


@dataclass(frozen=True)
class Epochs:
    """The seconds of each epoch, by the clock and of the processor."""

    seconds: list[float]
    cpu: list[float]


Loss = Callable[[Any], Any]
"""Of a batch."""


def network(plan: Plan) -> nn.Module:
    torch.manual_seed(plan.seed)
    return plan.what.module(**plan.module)


def loss_of(model: nn.Module, plan: Plan) -> Loss:
    loss = plan.what.loss
    return lambda batch: loss(model, batch)


def optimiser_of(model: nn.Module, plan: Plan) -> Any:
    # Of those that PyTorch has, the fused one is the fastest here in each task.
    return getattr(torch.optim, plan.optimiser)(model.parameters(), lr=plan.rate, fused=True)


def train(
    X: Any,
    y: Any,
    model: nn.Module,
    loss: Loss,
    plan: Plan,
    rank: int = 0,
    processes: int = 1,
) -> Epochs:
    """Train for all epochs. Every process takes its share of the same row order."""
    optimiser = optimiser_of(model, plan)
    shared = torch.Generator().manual_seed(plan.seed)
    whole = len(X) - len(X) % processes  # else their numbers of steps may differ
    found = Epochs([], [])
    steps, done = plan.epochs * -(-(whole // processes) // (plan.batch // processes)), 0
    for _ in range(plan.epochs):
        started, computed = time.perf_counter(), time.process_time()
        order = torch.randperm(len(X), generator=shared)[rank:whole:processes]
        for batch in batches(X, y, order, plan.batch // processes):
            if plan.what.schedule is not None:
                set_rate(optimiser, plan.rate * plan.what.schedule(done, steps))
            step(batch, loss, optimiser)
            done += 1
        found.seconds.append(time.perf_counter() - started)
        found.cpu.append(time.process_time() - computed)
    return found


def set_rate(optimiser: Any, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def step(batch: Any, loss: Loss, optimiser: Any) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss(batch).backward()
    optimiser.step()


def batches(X: Any, y: Any, order: Any, size: int) -> Iterator[Any]:
    """Yield rows of X, with those of y where it is given, as the losses of tasks take them."""
    for rows in order.split(size):
        some = X.index_select(0, rows)
        yield some if y is None else (some, y.index_select(0, rows))
