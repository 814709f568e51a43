"""The usual loop over the whole module, which adds the gradients of a batch's parts."""

import copy
from typing import Any

import numpy as np
import torch

from daskml_exec.kernels.networks.batches import RowOrder, held_out
from daskml_exec.torch._steady import steady
from tests.torch.pipeline.cut_modules import BATCH, CASES

SEED = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
"""That an estimator draws with random_state=0."""


class Looped:
    """What a loop leaves."""

    def __init__(
        self, module: Any, losses: list[float], after: list[tuple[float, dict[str, Any]]]
    ) -> None:
        self.state_dict_, self.loss_curve_ = module.state_dict(), losses
        self.after = after
        """Of each epoch the loss of what is held out, and the weights."""


def looped(
    case: str,
    optimiser: Any,
    *,
    parts: int = 4,
    clip: float | None = None,
    factor: Any = None,
    epochs: int = 3,
    module: Any = None,
    loss: Any = None,
    arrays: Any = None,
    amp: Any = None,
    fraction: float = 0.0,
) -> Looped:
    """Train a case in one partition, by ``optimiser(parameters)``."""
    make, its_loss, its_arrays = CASES[case]
    arrays, loss = arrays or its_arrays, loss or its_loss
    module = copy.deepcopy(module) if module is not None else make()
    optimiser = optimiser(module.parameters())
    rates = [group["lr"] for group in optimiser.param_groups]
    trained_on, left = held_out(0, len(arrays[0]), fraction, seed=SEED, partition=0)
    n, after = len(trained_on), []
    n_steps, curve = -(-n // BATCH), []
    with steady(torch.device("cpu")):
        module.train()
        for epoch in range(epochs):
            order = RowOrder(SEED, 0).of_epoch(trained_on, epoch)
            seen = []
            for step in range(n_steps):
                rows = order[step * n // n_steps : (step + 1) * n // n_steps]
                if factor is not None:
                    for group, rate in zip(optimiser.param_groups, rates, strict=True):
                        group["lr"] = rate * factor(epoch * n_steps + step, epochs * n_steps)
                optimiser.zero_grad()
                seen.append(gradients(module, loss, arrays, rows, parts, amp))
                if clip is not None:
                    torch.nn.utils.clip_grad_norm_(module.parameters(), clip)
                optimiser.step()
            pairs = np.array(seen)
            curve.append(float(pairs.prod(axis=1).sum()) / float(pairs[:, 1].sum()))
            after.append(
                (mean_loss(module, loss, arrays, left), copy.deepcopy(module.state_dict()))
            )
    return Looped(module, curve, after)


def mean_loss(module: Any, loss: Any, arrays: Any, rows: Any) -> float:
    """Return the loss of samples in eval mode; none of no samples."""
    if not len(rows):
        return float("nan")
    module.eval()
    with torch.no_grad():
        batch = [torch.from_numpy(array[rows]) for array in arrays]
        found = loss(module, batch[0] if len(batch) == 1 else tuple(batch))
    module.train()
    return float(found[0] if isinstance(found, tuple) else found)


def gradients(module: Any, loss: Any, arrays: Any, rows: Any, parts: int, amp: Any) -> Any:
    """Leave the gradients of a batch, and return its mean loss and weight."""
    total: Any = 0.0
    weights: Any = 0.0
    n = min(parts, len(rows))
    for i in range(n):
        some = rows[i * len(rows) // n : (i + 1) * len(rows) // n]
        piece = [torch.from_numpy(array[some]) for array in arrays]
        with torch.autocast("cpu", torch.bfloat16, enabled=amp is not None):
            found = loss(module, piece[0] if len(piece) == 1 else tuple(piece))
        mean, weight = found if isinstance(found, tuple) else (found, len(some))
        if parts == 1:
            mean.backward()
            return float(mean.detach()), float(weight)
        (mean * weight).backward()
        total, weights = total + mean.detach() * weight, weights + weight
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad /= weights
    return float(total / weights), float(weights)
