"""Whom a fit tells of its begin, its rounds and its end."""

from collections.abc import Sequence
from contextlib import ExitStack
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal

from daskml_exec.training._events import (
    BeginEvent,
    Callback,
    EndEvent,
    Reached,
    RoundEvent,
    call_all,
)
from daskml_exec.training._sklearn_callbacks import sklearn_listeners


class telling:
    """Tell of the end of a fit to all who were told of its begin, whether or not it raises.

    The block is that of a fit, and sets its attributes; in it, `begin` tells of the begin. It
    belongs into a block of `all_or_nothing`, as who is told of the end may raise.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is.
    X, y, sample_weight : object
        What `fit` was called with, for the callbacks of scikit-learn.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self._estimator = estimator
        self._data = (X, y, sample_weight)
        self._listeners: list[Callback] = []
        self._to_end: list[Any] = []
        self._stops = False

    def __enter__(self) -> None:
        self._token: Token[telling] = _innermost.set(self)

    def begin(
        self, callbacks: Sequence[Callback], plan: str, reached: Reached
    ) -> Sequence[Callback]:
        """Tell of the begin, and return whom to tell of rounds: nobody if nobody listens."""
        self._reached = reached
        self._listeners = [*callbacks, *sklearn_listeners(self._estimator, *self._data)]
        event = BeginEvent(plan, reached, self._estimator)
        for listener in self._listeners:
            if hasattr(listener, "on_begin"):
                listener.on_begin(event)
            if hasattr(listener, "on_end"):
                self._to_end.append(listener)
        return [self._tell] if self._listeners else []

    def _tell(self, event: RoundEvent) -> bool:
        self._reached = event.reached or self._reached
        self._stops = call_all(self._listeners, event)
        return self._stops

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _innermost.reset(self._token)
        if not self._to_end:
            return
        history = None if error is not None else self._estimator.history_
        event = EndEvent(self._stopped(error), self._reached, self._estimator, history, error)
        with ExitStack() as ends:  # all of them, also when one raises
            for listener in reversed(self._to_end):
                ends.callback(listener.on_end, event)

    def _stopped(
        self, error: BaseException | None
    ) -> Literal["done", "limit", "callback", "error"]:
        if error is not None:
            return "error"
        if self._stops:
            return "callback"
        return "limit" if self._reached.done >= self._reached.limit else "done"


_innermost: ContextVar[telling] = ContextVar("telling")
"""Of the fit that this thread is in: a callback may fit another estimator."""


def begin(callbacks: Sequence[Callback], plan: str, reached: Reached) -> Sequence[Callback]:
    """Tell these, and the callbacks of scikit-learn, that the fit around begins to train.

    Parameters
    ----------
    callbacks : sequence of callables
    plan : str
        What is trained and how, in words.
    reached : Reached
        Of how many epochs or iterations.

    Returns
    -------
    sequence of callables
        Whom to tell of rounds.
    """
    return _innermost.get().begin(callbacks, plan, reached)
