"""What is averaged, what steps to take, and what comes back."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.partitions import Place, not_finite


@dataclass(frozen=True)
class Buffers:
    """What a model keeps beside its parameters, and no optimiser changes.

    They are averaged in float64 and sent whole: an outer rule, which goes further than the average,
    or a codec, which is not exact, would make a running variance negative.

    Attributes
    ----------
    statistics : ndarray of shape (n_statistics,)
        In float64. Of several models they are averaged by weight.
    largest : ndarray of shape (n_largest,)
        In float64: counters, and numbers of steps. Of several models the largest count.
    """

    statistics: Array
    largest: Array

    def weighted(self, weight: float) -> "Buffers":
        """Return a term of the average: nothing of the statistics without a weight."""
        # Not 0 times the statistics, of which some may be infinite.
        statistics = weight * self.statistics if weight else np.zeros_like(self.statistics)
        return Buffers(statistics, self.largest)

    def __add__(self, other: "Buffers") -> "Buffers":
        return Buffers(self.statistics + other.statistics, np.maximum(self.largest, other.largest))

    def over(self, weight: float) -> "Buffers":
        """Return the average, of the sum of terms with this weight."""
        return Buffers(self.statistics / weight, self.largest)


NO_BUFFERS = Buffers(np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class Model:
    """Parameters with the state of their optimiser, and what the model keeps beside them.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
    optimiser : OptimiserState
    buffers : Buffers
    """

    parameters: Array
    optimiser: OptimiserState
    buffers: Buffers = NO_BUFFERS

    @property
    def without_optimiser(self) -> "Model":
        """The model without what its optimiser remembers: all that predictions need."""
        return replace(self, optimiser=_NOTHING_REMEMBERED)


_NOTHING_REMEMBERED = OptimiserState(np.zeros((0, 0)), np.zeros(0))


@dataclass(frozen=True)
class Work:
    """Which steps to take from a model."""

    epoch: int
    first_step: int
    n_steps: int
    learning_rate: float
    first_round: bool
    """Whether the data is looked at first."""
    exact: bool = True
    """Whether all comes back, in no codec, and a chain of compressed rounds ends."""
    published: bool = False
    """Whether all comes back beside what goes on in the codec, for a model to be shown."""


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
class Failure:
    """Why partitions cannot be trained on: the first thing wrong with the data, or else training.

    Attributes
    ----------
    data : str, Place or object
        What is wrong with the data, or where it is not finite, or else what only the trainer's
        `error` understands; empty if nothing is.
    diverged : bool
    partition : int or None
        Where training diverged; None if only the average did.
    remedy : str
        What may help, as far as was looked for.
    """

    data: Any = ""
    diverged: bool = False
    partition: int | None = None
    remedy: str = ""

    def __add__(self, other: "Failure") -> "Failure":
        if other.data and not self.data:
            return other
        return self if self else other

    def __bool__(self) -> bool:
        return bool(self.data) or self.diverged


def data_error(wrong: str | Place) -> ValueError:
    """Return the error that says what is wrong with the data."""
    return ValueError(wrong) if isinstance(wrong, str) else not_finite(wrong)


@dataclass(frozen=True)
class Losses(FieldwiseSum):
    """What local steps have seen: sums of weight times loss, with the penalty, and of weights."""

    loss: float
    weight: float
    failure: Failure
    seen: Any
    """What partitions found when they looked at their data first, in the first round; what can be
    added, and is small, later."""


@dataclass(frozen=True)
class Changes(FieldwiseSum):
    """Sums over partitions, each times its weight.

    The parameters' change from what was sent out, what the optimiser came to remember, and the
    model's buffers.
    """

    losses: Losses
    parameters: Array
    moments: Array
    scales: Array
    buffers: Buffers = NO_BUFFERS


def changes(losses: Losses, local: Model, weight: float, start: Model) -> Changes:
    """Return one partition's part of a round's sums."""
    scale = local.parameters.dtype.type(weight)
    with np.errstate(over="ignore", invalid="ignore"):  # the driver looks at the average
        return Changes(
            losses,
            scale * (local.parameters - start.parameters),
            scale * local.optimiser.moments,
            weight * local.optimiser.scales,
            local.buffers.weighted(weight),
        )
