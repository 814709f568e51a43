"""What averaged steps need of whatever is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from daskml_exec.partitions import Partition
from daskml_exec.training.averaging._batching import Batching
from daskml_exec.training.averaging._model import Failure, Losses, Model, Work
from daskml_exec.training.averaging._outer import Outer
from daskml_exec.training.averaging._state import AveragingState


@dataclass(frozen=True)
class Score:
    """How good a model is on rows held out.

    Attributes
    ----------
    value : float
        What must grow.
    named : mapping of str to float, default={}
        What the history shows beside it.
    """

    value: float
    named: Mapping[str, float] = field(default_factory=dict, hash=False)


class LocalTrainer(Protocol):
    """Trains a model on one partition, and scores it: a value, which travels to the Workers.

    Its methods are pure: the same arguments give the same bits wherever they are called, and the
    arrays that a model came with are left as they are.
    """

    @property
    def batching(self) -> Batching:
        """The batches of all partitions."""

    def train(self, partition: Partition, model: Model, work: Work) -> tuple[Losses, Model, float]:
        """Take local steps; return what they saw, the local model, and the weight of its rows.

        The weight is that of the losses. Where nothing is trained on, it is zero, and the model the
        given one. What is wrong is said in the losses' failure, not raised.
        """

    def score_sums(self, partition: Partition, model: Model) -> Any:
        """Return the sums for the score of the rows held out; the model has no optimiser state."""

    def combine_scores(self, left: Any, right: Any) -> Any:
        """Return the sums of two partitions together."""

    def score(self, sums: Any) -> Score:
        """Return the score of the sums over all partitions."""

    def error(
        self, failure: Failure, state: AveragingState, learning_rate: float, outer: Outer
    ) -> Exception:
        """Return what ends training.

        Parameters
        ----------
        failure : Failure
        state : AveragingState
            Before the round that failed: its model is the last good one.
        learning_rate : float
            Of that round's local steps.
        outer : Outer
        """
