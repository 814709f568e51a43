"""What all Workers of a pipeline know of a fit, beside the stages that they have."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from daskml_exec.torch._layout import Layout
from daskml_exec.torch._optimisers import MakeOptimiser
from daskml_exec.torch._purpose import Encode
from daskml_exec.torch._scores import Scores
from daskml_exec.torch.pipeline._output import OutputLayer
from daskml_exec.torch.pipeline._stage import Groups


@dataclass(frozen=True)
class PipelineParts:
    """What the user gave, in the process in which it runs, and what follows from the cut.

    Attributes
    ----------
    loss : callable
    encode : callable or None
        Makes of y and weights what the loss gets.
    augment, scheduler : callable or None
    optimiser : MakeOptimiser
    groups : Groups
        With the names of all trainable parameters, in the order in which norms are added.
    tied : mapping of str to tuple of int
        Of each parameter that several stages have, these stages.
    micro_batches : int
    order : {"1f1b", "gpipe"}
    recompute : bool
    clip_norm : float or None
    amp : str or None
    layout : Layout
        Of the whole module.
    keeps : {"average", "local", "reset"}
        What becomes of the optimiser's moments where replicas are averaged.
    device : str
    draws : bool
        Whether steps draw random numbers, as far as is known.
    seed : int
    shuffle : bool
    total_steps : int
        That the scheduler is told of.
    held_out : float
        The share of samples that are not trained on.
    scores : Scores
        Of these samples.
    scores_draw : bool
        Whether these draw random numbers, as far as is known.
    output : OutputLayer or None
        That is cut into blocks; None where it is in the last stage.
    """

    loss: Callable[..., Any]
    encode: Encode | None
    augment: Callable[[Any, Any], Any] | None
    scheduler: Callable[[int, int], float] | None
    optimiser: MakeOptimiser
    groups: Groups
    tied: Mapping[str, tuple[int, ...]]
    micro_batches: int
    order: str
    recompute: bool
    clip_norm: float | None
    amp: str | None
    layout: Layout
    keeps: str
    device: str
    draws: bool
    seed: int
    shuffle: bool
    total_steps: int
    held_out: float
    scores: Scores
    scores_draw: bool
    output: OutputLayer | None = None

    @property
    def ranks(self) -> dict[str, int]:
        """The place of each trainable parameter among all."""
        names = [name for _, names in self.groups for name in names]
        return {name: at for at, name in enumerate(names)}

    def last_of(self, n_units: int) -> int:
        """Return the last stage of a replica of so many units: its Worker makes the loss."""
        return n_units - 1 if self.output is None else self.output.first - 1


@lru_cache(maxsize=8)
def parts_of(pickled: bytes) -> PipelineParts:
    """Return the parts of these bytes; a process makes them once."""
    found: PipelineParts = pickle.loads(pickled)
    return found
