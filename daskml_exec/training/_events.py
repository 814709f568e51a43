"""What callbacks are told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from daskml_exec.training._history import RoundRecord


@dataclass(frozen=True)
class RoundEvent:
    """The end of one round.

    Attributes
    ----------
    record : RoundRecord
        What the round found out and what it cost.
    estimator : estimator
        An estimator of the same kind, fitted with the parameters of this moment: it predicts and
        scores. In a round before there are parameters it has zeros.
    """

    record: RoundRecord
    _estimator: Callable[[], Any]

    @property
    def estimator(self) -> Any:
        return self._estimator()


Callback = Callable[[RoundEvent], Any]
"""Called with a `RoundEvent` after each round; returning True stops the fit."""
