"""What an algorithm is: it asks the next query of a state, and is told the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Protocol, TypeVar

S = TypeVar("S")


@dataclass(frozen=True)
class Measured:
    """What one round found out; None where a round does not see it.

    Parameters
    ----------
    loss, gradient_norm, score : float, optional
    scores : mapping of str to float, default={}
        By name: whatever else a round that scores has found.
    """

    loss: float | None = None
    gradient_norm: float | None = None
    score: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.scores, Mapping):
            raise TypeError(
                f"Measured has scores={self.scores!r}, a {type(self.scores).__name__}; allowed is "
                "a dict of numbers by name"
            )
        for name in ("loss", "gradient_norm", "score"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, Real)):
                raise TypeError(
                    f"Measured has {name}={value!r}, a {type(value).__name__}; allowed are numbers "
                    "and None"
                )
        for key, value in self.scores.items():
            if not (isinstance(key, str) and isinstance(value, Real)):
                raise TypeError(
                    f"Measured has scores with {key!r}: {value!r}; allowed are numbers by name"
                )


class Algorithm(Protocol[S]):
    """What is asked next, and what follows from the answer; both are pure.

    The state between two rounds is immutable and complete: a fit can be gone on with from it alone,
    on another machine.
    """

    @property
    def states(self) -> tuple[type, ...]:
        """All dataclasses and enumerations that a state may be made of."""

    def ask(self, state: S) -> Any:
        """Return the next `Query`, `Carrying` or `Segment`; None when there is nothing to ask."""

    def tell(self, state: S, query: Any, answer: Any) -> tuple[S, Measured]:
        """Return the next state, and what to record of this round.

        What is wrong with the data, or with training, is raised here.
        """


class PeersAlgorithm(Algorithm[S], Protocol[S]):
    """An algorithm that asks segments."""

    def given(self) -> Mapping[int, Any]:
        """Return what units begin with, by unit; those that are not in it make their own.

        Units that begin with the same object share it on the way.
        """
