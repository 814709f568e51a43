"""Copies of a whole module in one process, each trained by the usual loop, and averaged."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from daskml_exec.kernels.networks.batches import RowOrder, held_out
from daskml_exec.torch._steady import steady
from daskml_exec.training.groups._partition_steps import partition_order
from tests.torch.pipeline.cut_modules import CASES
from tests.torch.pipeline.plain_loop import SEED, gradients, mean_loss


def averaged(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return the weighted mean of numbers, and the largest of those that count."""
    if not tensors[0].is_floating_point():
        return torch.stack(list(tensors)).amax(dim=0)
    total = sum(weights)
    return sum(each * (w / total) for each, w in zip(tensors, weights, strict=True))  # type: ignore[return-value]


class Hybrid:
    """What a loop over copies of a module leaves.

    Parameters
    ----------
    case : str
    optimiser : callable
        ``optimiser(parameters)``.
    chunks : sequence of int
        Samples of each partition.
    replicas : sequence of sequence of int
        The partitions of each copy.
    batch : int
        Samples of a step of each.
    every : int
        Steps between two averages.
    """

    def __init__(
        self,
        case: str,
        optimiser: Any,
        chunks: Sequence[int],
        replicas: Sequence[Sequence[int]],
        *,
        batch: int,
        every: int,
        parts: int = 4,
        clip: float | None = None,
        factor: Any = None,
        epochs: int = 3,
        max_steps: int | None = None,
        keeps: str = "average",
        module: Any = None,
        loss: Any = None,
        arrays: Any = None,
        fraction: float = 0.0,
    ) -> None:
        make, its_loss, its_arrays = CASES[case]
        arrays, loss = arrays or its_arrays, loss or its_loss
        module = copy.deepcopy(module) if module is not None else make()
        copies = [copy.deepcopy(module).train() for _ in replicas]
        optimisers = [optimiser(each.parameters()) for each in copies]
        rates = [group["lr"] for group in optimisers[0].param_groups]
        starts = np.cumsum([0, *chunks])
        split = [
            held_out(start, n, fraction, seed=SEED, partition=p)
            for p, (start, n) in enumerate(zip(starts, chunks, strict=False))
        ]
        left = np.concatenate([start + out for start, (_, out) in zip(starts, split, strict=False)])
        chunks = [len(trained_on) for trained_on, _ in split]
        steps = [-(-n // batch) for n in chunks]
        longest = max(sum(steps[p] for p in own) for own in replicas)
        done, self.loss_curve_ = 0, []
        self.after: list[tuple[float, dict[str, Any]]] = []
        total = longest * epochs if max_steps is None else min(max_steps, longest * epochs)
        with steady(torch.device("cpu")):
            for epoch in range(epochs):
                plans = []
                for r, own in enumerate(replicas):
                    rows = []
                    for p in partition_order(own, SEED, r, epoch):
                        order = RowOrder(SEED, p).of_epoch(split[p][0], epoch)
                        rows += [
                            starts[p]
                            + order[i * chunks[p] // steps[p] : (i + 1) * chunks[p] // steps[p]]
                            for i in range(steps[p])
                        ]
                    plans.append(rows)
                since, seen = [0.0] * len(copies), []
                for step in range(min(longest, total - done)):
                    for r, (each, its) in enumerate(zip(copies, optimisers, strict=True)):
                        if step >= len(plans[r]):
                            continue
                        if factor is not None:
                            for group, rate in zip(its.param_groups, rates, strict=True):
                                group["lr"] = rate * factor(epoch * longest + step, total)
                        its.zero_grad()
                        seen.append(gradients(each, loss, arrays, plans[r][step], parts, None))
                        since[r] += seen[-1][1]
                        if clip is not None:
                            torch.nn.utils.clip_grad_norm_(each.parameters(), clip)
                        its.step()
                    ends = step + 1 == min(longest, total - done)
                    if ends or (step + 1) % every == 0:
                        self._average(copies, since)
                        if keeps == "average" or (keeps == "local" and ends):
                            self._average_moments(optimisers, since)
                        if keeps == "reset":
                            optimisers = [optimiser(each.parameters()) for each in copies]
                        since = [0.0] * len(copies)
                done += min(longest, total - done)
                pairs = np.array(seen)
                self.loss_curve_.append(float(pairs.prod(axis=1).sum() / pairs[:, 1].sum()))
                scored = mean_loss(copies[0], loss, arrays, left)
                self.after.append((scored, copy.deepcopy(copies[0].state_dict())))
                if done >= total:
                    break
        self.state_dict_ = copies[0].state_dict()
        state = optimisers[0].state
        self.remembered = [state.get(each, {}) for each in copies[0].parameters()]

    @staticmethod
    def _average(copies: Sequence[Any], weights: Sequence[float]) -> None:
        with torch.no_grad():
            states = [each.state_dict() for each in copies]
            for name in states[0]:
                mean = averaged([state[name] for state in states], weights)
                for state in states:
                    state[name].copy_(mean)

    @staticmethod
    def _average_moments(optimisers: Sequence[Any], weights: Sequence[float]) -> None:
        for same in zip(*(each.param_groups[0]["params"] for each in optimisers), strict=True):
            states = [each.state[p] for each, p in zip(optimisers, same, strict=True)]
            known = {
                key: value
                for state in states
                for key, value in state.items()
                if isinstance(value, torch.Tensor)
            }
            for key, like in known.items():
                found = [state.get(key, torch.zeros_like(like)) for state in states]
                mean = torch.stack(found).amax(0) if key == "step" else averaged(found, weights)
                for state in states:
                    state[key] = mean.clone()
