"""PyTorch's own loop in one process, beside which the scripts hold the Workers."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn


def rise_and_fall(step: int, total: int) -> float:
    """Rise for a tenth of the steps, and fall to nothing on half a wave."""
    rise = min(1.0, 10 * (step + 1) / total)
    return rise * 0.5 * (1 + float(np.cos(np.pi * step / total)))


def train(
    module: Callable[[], nn.Module],
    loss: Callable[[nn.Module, Any], Any],
    batch_of: Callable[[np.ndarray, np.random.Generator], Any],
    n: int,
    *,
    batch: int,
    rate: float,
    schedule: Callable[[int, int], float],
    epochs: int,
    seed: int,
    clip_norm: float | None = None,
) -> tuple[nn.Module, float]:
    """Return the module that AdamW trains on one thread, in eval mode, and the seconds.

    Parameters
    ----------
    module : callable
        Returns a new one.
    loss : callable
        ``loss(module, batch)`` returns the mean.
    batch_of : callable
        ``batch_of(rows, generator)`` returns these samples as `loss` gets them.
    n : int
        Samples that there are.
    batch : int
        Of a step.
    rate : float
    schedule : callable
        ``schedule(step, total)`` returns what the rate is multiplied by.
    epochs, seed : int
    clip_norm : float or None
        Largest norm of a gradient.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    made = module()
    optimizer = torch.optim.AdamW(made.parameters(), lr=rate)
    steps = max(n // batch, 1)
    began = time.perf_counter()
    for epoch in range(epochs):
        for i, rows in enumerate(np.array_split(generator.permutation(n), steps)):
            for group in optimizer.param_groups:
                group["lr"] = rate * schedule(epoch * steps + i, epochs * steps)
            some = batch_of(rows, generator)
            optimizer.zero_grad()
            loss(made, some).backward()
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(made.parameters(), clip_norm)
            optimizer.step()
    return made.eval(), time.perf_counter() - began
