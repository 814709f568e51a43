"""What an algorithm must provide to be run in rounds."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable


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
    def failure(self) -> Exception | None:
        """What is wrong, found in a round; the loop raises it on the driver.

        A worker that raised would log it as its own failure.
        """


S = TypeVar("S", bound=Stepping)


@dataclass(frozen=True)
class Measured:
    """What one round found out; None where a round does not see it."""

    loss: float | None = None
    gradient_norm: float | None = None
    score: float | None = None


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


@runtime_checkable
class CarryingRound(Round[S], Protocol[S]):
    """A round whose partitions keep something on the workers from one round to the next.

    What they keep is lost where a chain of rounds ends, so it must be something that the algorithm
    can begin without. A chain should not be long: it is repeated when a worker is lost. With one
    partition nothing is averaged, and `partial` is used.
    """

    def partial_carrying(self, partition: Any, message: Any, carry: Any) -> tuple[Any, Any]:
        """Return what `partial` would, and the next carry: arrays and scalars.

        `carry` is what this returned for the partition in the round before, not to be changed in
        place; None in the first round of a chain.
        """

    def ends_carrying(self, state: S) -> bool:
        """Return whether the round that begins with this state is the last of its chain."""
