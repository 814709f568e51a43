"""Random numbers in a pipeline: by step, micro-batch and part, and not by where or when it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from daskml_exec.torch._draws import (
    alone,
    drawn_since,
    generator_state,
    seed_step,
    set_generator_state,
    step_seed,
)

# More than there are kinds of random numbers.
_REPLICAS = 2**16
# Of what the loss draws, before and after the module is called; parts count from zero.
LOSS = -1


@dataclass
class Draws:
    """What steps draw, of one fit on one Worker.

    Attributes
    ----------
    seed : int
    device : torch.device
    known : bool
        Whether something draws, as far as is known.
    replica : int
        Which one takes the steps.
    """

    seed: int
    device: torch.device
    known: bool
    replica: int = 0
    _key: int = field(default=0, init=False)

    def key(self, epoch: int, step: int, micro_batch: int) -> int:
        """Return what the seeds of a micro-batch's parts are made from."""
        # The first one draws what a pipeline without replicas does.
        entropy = (self.seed, epoch, step, micro_batch, 4 + _REPLICAS * self.replica)
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])

    def run(self, key: int, function: Callable[[], Any]) -> Any:
        """Return what a function returns, which may draw, and calls `enter` before it does.

        Where nothing is known to draw it runs without waiting for others of this process. It is
        found out if it draws nevertheless, and then it runs once more.
        """
        if not self.known:
            before = generator_state()
            found = function()
            if not drawn_since(before):
                return found
            self.known = True
        with alone():
            self._key = key
            return function()

    def enter(self, part: int) -> None:
        """Let what follows draw the numbers of this part."""
        if self.known:
            seed_step(step_seed(self._key, part), self.device)

    def within(self, function: Callable[[], Any]) -> Any:
        """Return what a function returns, and let what follows draw as if it had not run."""
        before = generator_state()
        found = function()
        set_generator_state(before)
        return found
