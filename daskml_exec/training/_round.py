"""What an algorithm must provide to be run in rounds."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar


class Stepping(Protocol):
    """The state of an algorithm between two rounds: immutable, picklable, complete.

    A fit can be resumed from its state alone, on another machine.
    """

    @property
    def step(self) -> str:
        """What the next round does, in a word, for the history: "moments", "gradient"."""

    @property
    def done(self) -> bool:
        """Whether no further round is needed."""

    @property
    def failure(self) -> str:
        """What is wrong with the data, found in a round; empty if nothing is.

        The loop raises it, on the driver: a worker that raised would log it as its own failure.
        """


S = TypeVar("S", bound=Stepping)


@dataclass(frozen=True)
class Measured:
    """What one round found out; None where a round does not see it."""

    loss: float | None = None
    gradient_norm: float | None = None


class Round(Protocol[S]):
    """A data-parallel algorithm: what a partition computes, and what the driver makes of the sum.

    Methods other than `update` and `outgoing` run on Workers; all of them are pure.
    """

    def outgoing(self, state: S) -> Any:
        """Return the part of the state that the partitions need; its size is what is sent."""

    def partial(self, partition: Any, message: Any) -> Any:
        """Return sums and weights over one partition, never means."""

    def combine(self, left: Any, right: Any) -> Any:
        """Add two partial results; `left` covers the lower partition indices."""

    def update(self, state: S, total: Any) -> tuple[S, Measured]:
        """Return the next state, and what to record of this round."""
