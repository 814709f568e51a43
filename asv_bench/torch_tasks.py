"""What is trained: module, loss, and how it is judged. Imports nothing of ours but the modules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

import torch_models as models


@dataclass(frozen=True)
class Task:
    """One of the trainings that are compared."""

    name: str
    module: Callable[..., nn.Module]
    loss: Callable[[nn.Module, Any], Any]
    """Of the module and X's rows, or (X's, y's)."""
    score: Callable[[nn.Module, Any, Any], float]
    better: int
    """1 where a higher score is better, and else -1."""
    batch: int
    """Samples in a step of one partition or process."""
    unit: str
    units: int
    """In a sample."""
    timed: int
    """Samples of an epoch where only its time matters."""
    rates: tuple[float, ...]
    """Learning rates to choose from."""
    tolerance: float
    """How far from one process's the score may be."""
    schedule: Callable[[int, int], float] | None = None
    """Of a step and all steps, by what the learning rate is multiplied."""

    @property
    def rate(self) -> float:
        """The learning rate where the score does not matter."""
        return self.rates[len(self.rates) // 2]


WINDOW = 129
"""Bytes of a window: 128 to read, each of which has one that follows."""

TASKS = {
    task.name: task
    for task in (
        Task(
            "mlp",
            models.MLP,
            models.classification_loss,
            models.accuracy,
            better=1,
            batch=128,
            unit="samples",
            units=1,
            timed=50_000,
            rates=(5e-4, 1e-3, 2e-3),
            tolerance=0.003,
        ),
        Task(
            "cnn",
            models.CNN,
            models.classification_loss,
            models.accuracy,
            better=1,
            batch=128,
            unit="samples",
            units=1,
            timed=10_000,
            rates=(1e-3, 2e-3, 4e-3),
            tolerance=0.005,
        ),
        Task(
            "gpt",
            models.GPT,
            models.next_token_loss,
            models.nats,
            better=-1,
            batch=16,
            unit="tokens",
            units=WINDOW - 1,
            timed=1_000,
            rates=(2e-3, 4e-3),
            tolerance=0.05,
            schedule=models.one_cycle,
        ),
    )
}
