"""What is known between two rounds of averaged steps."""

from dataclasses import dataclass
from typing import Any

from daskml_exec.kernels.arrays import Array
from daskml_exec.training.averaging._model import Link, Model
from daskml_exec.training.averaging._progress import Progress


@dataclass(frozen=True)
class AveragingState:
    """The state between two rounds.

    Attributes
    ----------
    model : Model
    progress : Progress
    max_iter : int
        Epochs at most.
    rounds : int
        Done so far.
    position : int
        Steps done in this epoch.
    loss, weight : float
        Sums over the rows of this epoch so far.
    scoring : bool
        Whether the next round scores instead of training.
    velocity : ndarray or None
        Of the outer optimiser.
    link : Link or None
        Of compressed rounds.
    shown : Model or None
        What `model` would be if nothing had been lost in a codec; None if nothing was.
    seen : object
        What partitions found when they looked at their data first; None before.
    steps : int
        Done so far, in all epochs.
    max_steps : int or None
        Steps at most, in mid-epoch if need be; None for those of `max_iter` epochs.
    """

    model: Model
    progress: Progress
    max_iter: int
    rounds: int = 0
    position: int = 0
    loss: float = 0.0
    weight: float = 0.0
    scoring: bool = False
    velocity: Array | None = None
    link: Link | None = None
    shown: Model | None = None
    seen: Any = None
    steps: int = 0
    max_steps: int | None = None

    @property
    def done(self) -> bool:
        """Whether no further round is needed."""
        if self.scoring:
            return False
        epochs = self.progress.epochs
        return self.progress.stopped or epochs >= self.max_iter or self.steps_end(self.steps)

    def steps_end(self, steps: int) -> bool:
        """Return whether training ends after so many steps, wherever that is in an epoch."""
        return self.max_steps is not None and steps >= self.max_steps
