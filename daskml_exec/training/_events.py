"""What callbacks are told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from daskml_exec.training._history import History, RoundRecord


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
class BeginEvent:
    """The begin of training: the data is on the Workers, and it is known how to train.

    Attributes
    ----------
    plan : str
        What is trained, on how much and how, in words: those that `verbose` prints.
    reached : Reached
        Of how many epochs or iterations none is done yet.
    estimator : estimator
        The one that `fit` was called of; its fitted attributes are not set yet.
    """

    plan: str
    reached: Reached
    estimator: Any = field(repr=False)


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


@dataclass(frozen=True)
class EndEvent:
    """The end of a fit that had begun to train, just before `fit` returns or raises.

    Attributes
    ----------
    stopped : {"done", "limit", "callback", "error"}
        Why it ended: nothing was left to do; there were as many epochs or iterations as are
        allowed; a callback returned True; `fit` raises.
    reached : Reached
        How far it came.
    estimator : estimator
        The one that `fit` was called of: fitted, unless `fit` raises.
    history : History or None
        What `history_` is; None where `fit` raises.
    error : BaseException or None
        What `fit` raises.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> class Journal:
    ...     def on_begin(self, event):
    ...         print(event.plan, "-", event.reached)
    ...
    ...     def __call__(self, event):
    ...         return event.reached.done >= 3
    ...
    ...     def on_end(self, event):
    ...         print(event.stopped, "-", event.reached)
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(callbacks=[Journal()]).fit(X, y)
    150 rows x 4 columns in 1 partition, by hessian - iteration    0 of 2000
    callback - iteration    3 of 2000
    """

    stopped: Literal["done", "limit", "callback", "error"]
    reached: Reached
    estimator: Any = field(repr=False)
    history: History | None = field(default=None, repr=False)
    error: BaseException | None = None


Callback = Callable[[RoundEvent], Any]
"""Called with a `RoundEvent` after each round; returning True stops the fit.

One that has a method `on_begin` is told the `BeginEvent` first; one that has a method `on_end` is
told the `EndEvent` last, also where the fit raises.
"""


def call_all(callbacks: Sequence[Callback], event: RoundEvent) -> bool:
    """Call every callback, also when one of them wants to stop; return whether one does."""
    answers = [callback(event) for callback in callbacks]
    return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)
