"""What callbacks are told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from daskml_exec.training._history import RoundRecord


@dataclass(frozen=True)
class Reached:
    """How far a fit has come.

    Attributes
    ----------
    unit : str
        What is counted: "epoch" or "iteration".
    done : float
        Of networks with their fractions.
    limit : int
        As many at most; a fit that converges ends before.
    goal : float or None
        The gradient norm at which it ends before; None where none is looked at.
    """

    unit: str
    done: float
    limit: int
    goal: float | None = None

    def __str__(self) -> str:
        width = len(str(self.limit))
        if self.unit == "iteration":
            return f"{self.unit} {self.done:>{width}.0f} of {self.limit}"
        return f"{self.unit} {self.done:>{width + 3}.2f} of {self.limit}"


@dataclass(frozen=True)
class RoundEvent:
    """The end of one round.

    Attributes
    ----------
    record : RoundRecord
        What the round found out and what it cost.
    reached : Reached or None
        How far the fit has come with it; None where that is not known.
    estimator : estimator
        An estimator of the same kind, fitted with the parameters of this moment: it predicts and
        scores. In a round before there are parameters it has zeros.
    """

    record: RoundRecord
    _estimator: Callable[[], Any] = field(repr=False)
    reached: Reached | None = None

    @property
    def estimator(self) -> Any:
        """An estimator of the same kind, fitted with the parameters of this moment."""
        return self._estimator()


Callback = Callable[[RoundEvent], Any]
"""Called with a `RoundEvent` after each round; returning True stops the fit."""
