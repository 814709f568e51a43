"""What rounds average, what they send, and what comes back."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.kernels.sums import FieldwiseSum

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Model:
    """Parameters with the state of their optimiser."""

    parameters: Array
    optimiser: OptimiserState


@dataclass(frozen=True)
class Work:
    """What travels out in a training round, beside the model: which steps to take."""

    epoch: int
    first_step: int
    n_steps: int
    learning_rate: float
    first_round: bool
    """Whether the data is looked at first."""
    exact: bool = True
    """Whether all comes back, in no codec."""


@dataclass(frozen=True)
class Training:
    """A whole model, and the steps to take from it."""

    model: Model
    work: Work


@dataclass(frozen=True)
class Link:
    """Where a chain of compressed rounds is.

    Attributes
    ----------
    update : encoded change, or None
        What the last round made of the parameters, for the next one to send.
    residual : ndarray or None
        What the driver's messages have lost so far.
    length : int
        Rounds since the chain began.
    """

    update: Any
    residual: Array | None
    length: int


@dataclass(frozen=True)
class Scoring:
    """Parameters whose score on the rows held out is wanted."""

    parameters: Array


@dataclass(frozen=True)
class Failure:
    """Why partitions cannot be trained on: the first thing wrong with the data, or else training.

    Attributes
    ----------
    data : str
        What is wrong with the data; empty if nothing is.
    diverged : bool
    partition : int or None
        Where training diverged; None if only the average did.
    remedy : str
        What may help, as far as was looked for.
    """

    data: str = ""
    diverged: bool = False
    partition: int | None = None
    remedy: str = ""

    def __add__(self, other: "Failure") -> "Failure":
        if other.data and not self.data:
            return other
        return self if self else other

    def __bool__(self) -> bool:
        return bool(self.data) or self.diverged


@dataclass(frozen=True)
class Losses(FieldwiseSum):
    """What local steps have seen: sums of weight times loss, with the penalty, and of weights."""

    loss: float
    weight: float
    failure: Failure
    spread: Any
    """`TargetSpread` in the first round, an empty one later."""


@dataclass(frozen=True)
class Changes(FieldwiseSum):
    """What comes back from a training round: sums over partitions, each times its weight.

    The parameters' change from what was sent out, and what the optimiser came to remember.
    """

    losses: Losses
    parameters: Array
    moments: Array
    scales: Array


@dataclass(frozen=True)
class Score:
    """What comes back from a scoring round, to be added by the problem's own rule."""

    sums: Array
