"""Local steps: batches through the module and its loss, gradients through the optimiser."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.partitions import tree_between
from daskml_exec.torch._draws import seed_step
from daskml_exec.torch._hints import called
from daskml_exec.torch._local_module import LocalModule


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    batch : Callable
        Returns its batch: a tree of tensors, of `n_samples`.
    n_samples : int
    seed : int
        Of what the module draws in it.
    learning_rate : float
    """

    batch: Any
    n_samples: int
    seed: int
    learning_rate: float


def run_steps(local: LocalModule, steps: Sequence[Step]) -> list[tuple[Any, Any]]:
    """Take steps, and return their losses and weights.

    Returns
    -------
    list of pairs
        Of each step the mean loss before it, and its weight: that which the loss returned, or the
        number of samples. Those that are tensors are still on the device.
    """
    local.module.train()
    base = [group["lr"] for group in local.optimiser.param_groups]
    nominal = local.parts.optimiser.lr
    seen: list[tuple[Any, Any]] = []
    try:
        for step in steps:
            stop_point()
            set_rates(local.optimiser, base, step.learning_rate, nominal)
            seen.append(_take(local, step))
    finally:
        for group, rate in zip(local.optimiser.param_groups, base, strict=True):
            group["lr"] = rate
    return seen


def set_rates(
    optimiser: torch.optim.Optimizer, own: Sequence[float], rate: float, nominal: float
) -> None:
    """Set the rates of a step: each group's own keeps its ratio to the estimator's.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
    own : sequence of float
        Of its groups, as they were made.
    rate : float
        Of the step.
    nominal : float
        The estimator's.
    """
    for group, each in zip(optimiser.param_groups, own, strict=True):
        group["lr"] = rate * (each / nominal if nominal else 1.0)


def _take(local: LocalModule, step: Step) -> tuple[Any, Any]:
    parts, optimiser = local.parts, local.optimiser
    if local.draws:
        seed_step(step.seed, local.device)
    optimiser.zero_grad(set_to_none=True)
    batch = step.batch()
    if parts.accumulate == 1:
        loss, weight = _loss(local, batch, step.n_samples)
        _backward(local, loss)
        loss = loss.detach()
    else:
        loss, weight = _accumulated(local, batch, step.n_samples)
    if local.scaler is not None:
        local.scaler.unscale_(optimiser)
    if parts.clip_norm is not None:
        parameters = [each for group in optimiser.param_groups for each in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, parts.clip_norm)
    if local.scaler is None:
        optimiser.step()
    else:
        local.scaler.step(optimiser)
        local.scaler.update()
    return loss, weight


def _accumulated(local: LocalModule, batch: Any, n_samples: int) -> tuple[Any, Any]:
    """Add the gradients of a batch's parts, by the weights of their losses."""
    n = min(local.parts.accumulate, n_samples)
    total: Any = 0.0
    weights: Any = 0.0
    for i in range(n):
        start, stop = i * n_samples // n, (i + 1) * n_samples // n
        loss, weight = _loss(local, tree_between(batch, start, stop), stop - start)
        require_counted(loss, weight)
        _backward(local, loss * weight)
        total, weights = total + loss.detach() * weight, weights + weight
    divisor = divisor_of(weights)
    for group in local.optimiser.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad /= divisor
    return total / divisor, weights


def require_counted(loss: torch.Tensor, weight: Any) -> None:
    """Raise ValueError for a part of a batch whose loss is the mean of nothing.

    PyTorch's own means over no targets are NaN: times their weight, which is 0, they are so still.
    It is not looked for on accelerators, which the look would have to wait for.
    """
    here = not isinstance(weight, torch.Tensor) or weight.device.type == "cpu"
    if here and loss.device.type == "cpu" and weight == 0 and not loss.isfinite():
        raise ValueError(
            f"loss returned {float(loss.detach())} with the weight 0 for a part of a batch in "
            "which nothing counts; allowed is a finite mean, as a sum divided by "
            "weight.clamp(min=1), or fewer parts by micro_batches or accumulate"
        )


def divisor_of(weights: Any) -> Any:
    """Return what sums are divided by: the weight, or 1 where nothing counts and sums are 0."""
    return weights + (weights == 0)


def _loss(local: LocalModule, batch: Any, n_samples: int) -> tuple[torch.Tensor, Any]:
    with autocast(local.parts.amp, local.device):
        found = called("loss(module, batch)", local.parts.loss, local.call, batch)
    return checked_loss(found, n_samples)


def checked_loss(found: Any, n_samples: int) -> tuple[torch.Tensor, Any]:
    """Return the loss and its weight, of what the user's function returned.

    Raises
    ------
    ValueError
        It is neither a mean nor a mean with its weight, or has no gradient.
    """
    loss, weight = found if isinstance(found, tuple) and len(found) == 2 else (found, n_samples)
    what = "a mean over the batch, as a tensor of one number, or (mean, weight)"
    if not isinstance(loss, torch.Tensor):
        raise ValueError(f"loss returned {_described(found)}; allowed is {what}")
    if loss.numel() != 1 or not loss.is_floating_point():
        remedy = ": loss.mean()" if loss.is_floating_point() else ""
        raise ValueError(f"loss returned {_described(loss)}; allowed is {what}{remedy}")
    if not loss.requires_grad:
        raise ValueError(
            "loss returned a tensor without a gradient, as of .item(), .detach() or no_grad(), or "
            f"because it does not depend on trainable parameters; allowed is {what}"
        )
    return loss.reshape(()), weight.detach() if isinstance(weight, torch.Tensor) else weight


def _described(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of {value.dtype} of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _backward(local: LocalModule, loss: torch.Tensor) -> None:
    (loss if local.scaler is None else local.scaler.scale(loss)).backward()


@contextmanager
def autocast(amp: str | None, device: torch.device) -> Iterator[None]:
    """Compute in the shorter dtype, where that is asked for."""
    if amp is None:
        yield
        return
    with torch.autocast(device.type, getattr(torch, amp)):
        yield


def first_not_finite(losses: Array) -> int | None:
    """Return the first step whose loss is not finite, if there is one."""
    bad = np.flatnonzero(~np.isfinite(losses).all(axis=1))
    return int(bad[0]) if len(bad) else None


def factor_of(scheduler: Any, step: int, total: int) -> float:
    """Return the factor of the learning rate of a step.

    Raises
    ------
    ValueError
        It is no finite number from 0.
    """
    if scheduler is None:
        return 1.0
    found = called("scheduler(step, total)", scheduler, step, total)
    factor = float(found) if isinstance(found, Real | torch.Tensor) else math.nan
    if not (math.isfinite(factor) and factor >= 0):
        raise ValueError(
            f"scheduler returned {found!r:.200} for step={step}, total={total}; allowed are finite "
            "numbers from 0, which lr is multiplied by"
        )
    return factor
