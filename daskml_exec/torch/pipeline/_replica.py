"""A replica's stages on one Worker, in the steps of a segment."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import map_leaves
from daskml_exec.torch._gather import not_finite_loss
from daskml_exec.torch.pipeline._plan import PipelineStep
from daskml_exec.torch.pipeline._samples import Samples
from daskml_exec.torch.pipeline._step import Steps


@dataclass(frozen=True)
class Failed:
    """Why a replica cannot train on.

    Attributes
    ----------
    wrong : str
        Which loss, or which stage's parameters, are not finite; empty where another Worker knows.
    bad_sample : str
        What is wrong with the data, if that is why.
    n_done : int
        Steps before it in the segment.
    """

    wrong: str
    bad_sample: str = ""
    n_done: int = 0


@dataclass
class Replica:
    """What a Worker knows of a replica while it takes steps.

    Attributes
    ----------
    steps : Steps
    stream : iterator of pairs
        Of its steps that have samples, and these, or None where they are not wanted.
    since : float
        The weight of the steps since replicas were averaged.
    failed : Failed or None
    """

    steps: Steps
    stream: Iterator[tuple[PipelineStep, Samples | None]]
    since: float
    failed: Failed | None = field(default=None, init=False)
    _losses: list[tuple[float, float]] = field(default_factory=list, init=False)
    _now: tuple[PipelineStep, Samples | None] = field(init=False)

    def begin(self, epoch: int, guard: Callable[[], AbstractContextManager[Any]]) -> bool:
        """Begin the next step, unless an earlier one has failed; return whether it has begun."""
        if self.failed is not None:
            return False
        self._now = step, made = next(self.stream)
        batch = None
        if made is not None:
            device = self.steps.draws.device
            with guard():
                batch = map_leaves(lambda leaf: leaf.to(device), made.batch())
        self.steps.begin(epoch, step, batch)
        return True

    def end(self, epoch: int, rate: float) -> None:
        """End the step at this learning rate."""
        step, made = self._now
        total = self.steps.end(rate)
        self._losses.append((total.loss, float(total.weight)))
        if total.finite:
            self.since += float(total.weight)
            return
        known = made is not None and self.steps.has_loss
        wrong = "", ""
        if known and made is not None:
            wrong = not_finite_loss(made.partition, made.rows, total.loss, step.number, epoch)
        self.failed = Failed(*wrong, len(self._losses) - 1)

    @property
    def seen(self) -> Array:
        """Losses of its steps, and their weights, where the last stage is."""
        return np.array(self._losses, np.float64).reshape(-1, 2)

    @property
    def n_done(self) -> int:
        """Steps in this segment."""
        return len(self._losses)
