"""Training in PyTorch as fast as its plain parts go: rows in memory, one fused optimiser step.

Runs in an interpreter that has PyTorch, and imports nothing of ours.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Plan:
    """What is asked for; the batch counts the rows of all processes together."""

    epochs: int
    batch: int
    rate: float
    seed: int
    hidden: int = 128
    classes: int = 10


def network(plan: Plan, inputs: int) -> nn.Module:
    torch.manual_seed(plan.seed)
    return nn.Sequential(
        nn.Linear(inputs, plan.hidden), nn.ReLU(), nn.Linear(plan.hidden, plan.classes)
    )


def loss_of(model: nn.Module) -> Callable[..., Any]:
    def loss(X: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(model(X), y)

    return loss


def train(
    X: Any,
    y: Any,
    model: nn.Module,
    loss: Callable[..., Any],
    plan: Plan,
    rank: int = 0,
    processes: int = 1,
) -> list[float]:
    """Return the seconds of each epoch. Every process takes its share of the same row order."""
    optimiser = torch.optim.Adam(model.parameters(), lr=plan.rate, fused=True)
    shared = torch.Generator().manual_seed(plan.seed)
    whole = len(y) - len(y) % processes  # else their numbers of steps may differ
    seconds = []
    for _ in range(plan.epochs):
        started = time.perf_counter()
        order = torch.randperm(len(y), generator=shared)[rank:whole:processes]
        for rows in order.split(plan.batch // processes):
            optimiser.zero_grad(set_to_none=True)
            loss(X.index_select(0, rows), y.index_select(0, rows)).backward()
            optimiser.step()
        seconds.append(time.perf_counter() - started)
    return seconds


def accuracy(X: Any, y: Any, model: nn.Module) -> float:
    with torch.no_grad():
        return float((model(X).argmax(1) == y).double().mean())
