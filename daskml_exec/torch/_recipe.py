"""What makes a module and its optimiser on a Worker; sent there once in a fit."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
from torch import nn

from daskml_exec.torch._layout import Layout
from daskml_exec.torch._optimisers import MakeOptimiser
from daskml_exec.torch._picklable import attribute_of, cannot_travel, not_picklable
from daskml_exec.torch._scores import Scores


@dataclass(frozen=True)
class Parts:
    """What the user gave, in the process in which it runs.

    Attributes
    ----------
    module : nn.Module
        With the weights that training begins with, and all that is constant.
    loss : callable
        ``loss(module, batch)`` returns a mean, or a mean with its weight.
    scores : Scores
    optimiser : MakeOptimiser
    scheduler : callable or None
        ``scheduler(step, total)`` returns a factor of the learning rate.
    augment : callable or None
        ``augment(sample, generator)`` returns a sample.
    layout : Layout
    accumulate : int
        Parts that a batch is cut into.
    clip_norm : float or None
    amp : str or None
    compile : bool
    device : str
    draws : bool
        Whether a step draws random numbers.
    keeps_moments : bool
        Whether the optimiser is to remember anything from round to round.
    flops : float
        Of a step, for each sample, forwards and backwards; 0 where that is not known.
    """

    module: nn.Module
    loss: Callable[[nn.Module, Any], Any]
    scores: Scores
    optimiser: MakeOptimiser
    scheduler: Callable[[int, int], float] | None
    augment: Callable[[Any, Any], Any] | None
    layout: Layout
    accumulate: int
    clip_norm: float | None
    amp: str | None
    compile: bool
    device: str
    draws: bool
    keeps_moments: bool
    flops: float


class Recipe:
    """`Parts` as bytes, and what was made of them in this process: one for each thread at work.

    Parameters
    ----------
    pickled : bytes
        As `pickled_parts` returns them.
    """

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    @contextmanager
    def borrowed(self, make: Callable[[Parts], Any]) -> Iterator[Any]:
        """Lend what `make` makes of the parts, and what may have been made before."""
        with self._lock:
            made = self._idle.pop() if self._idle else None
        if made is None:
            made = make(cloudpickle.loads(self._pickled))
        yield made
        # Whatever raised may have left it in the midst of something.
        with self._lock:
            self._idle.append(made)

    def __reduce__(self) -> Any:
        return Recipe, (self._pickled,)

    def __sizeof__(self) -> int:
        return len(self._pickled)


def pickled_parts(parts: Parts) -> bytes:
    """Return the parts as bytes; classes of a notebook or a script travel with their code.

    Raises
    ------
    TypeError
        One cannot be pickled; the message says which, and for a module which attribute.
    """
    try:
        return cloudpickle.dumps(parts)
    except Exception as error:
        optimiser = parts.optimiser
        given = {
            "module": parts.module,
            "loss": parts.loss,
            "scores": parts.scores,
            "param_groups": optimiser.groups,
            "optimizer": replace(optimiser, groups=None),
            "scheduler": parts.scheduler,
            "augment": parts.augment,
        }
        for name, value in given.items():
            why = not_picklable(value)
            if why is not None:
                at = attribute_of(value) if name == "module" else ""
                raise cannot_travel(f"{name}{at}", why) from error
        raise
