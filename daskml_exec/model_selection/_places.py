"""Where candidates are trained: side by side by Workers or threads, or one after another."""

import pickle
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol

import cloudpickle

from daskml_exec.executor import DriverThreads, Executor, share, travels_in_tasks
from daskml_exec.model_selection._rungs import Outcome, Score, trained_alone, trained_on
from daskml_exec.partitions import Data, OnePiece

Key = tuple[int, int, int]
"""Epochs, bracket and candidate: what is smaller is told of first."""


class Place(Protocol):
    """Trains models, and says when one is ready. The bits do not depend on which it is."""

    def begin(self, key: Key, model: Any, epochs: int) -> None:
        """Have a model trained for so many epochs more. It is left as it is."""

    def next(self) -> list[tuple[Key, Outcome]]:
        """Wait until something is ready, and return what is."""

    def close(self) -> None:
        """End what is still under way."""


class _Futures:
    """What is under way, as futures."""

    def __init__(self) -> None:
        self._pending: dict[Future[Outcome], Key] = {}

    def next(self) -> list[tuple[Key, Outcome]]:
        done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
        return [(self._pending.pop(future), future.result()) for future in done]

    def close(self) -> None:
        for future in self._pending:
            future.cancel()
        self._pending = {}


class OnWorkers(_Futures):
    """Each candidate is one task; the rows travel to each Worker once.

    Parameters
    ----------
    executor : Executor
    rows : OnePiece
    score : callable
    """

    def __init__(self, executor: Executor, rows: OnePiece, score: Score) -> None:
        super().__init__()
        self._executor = executor
        self._models: dict[Key, Any] = {}  # futures of those that are too large for a task
        client, here = executor.client, executor.in_process
        self._rows = share(client, rows, rows.nbytes, name="search-rows", in_process=here)
        self._score = share(client, score, rows.nbytes, name="search-held-out", in_process=here)

    def begin(self, key: Key, model: Any, epochs: int) -> None:
        pickled: Any = cloudpickle.dumps(model)
        if not travels_in_tasks(len(pickled), 1):
            client, here = self._executor.client, self._executor.in_process
            pickled = share(client, pickled, len(pickled), name="search-model", in_process=here)
            self._models[key] = pickled
        future = self._executor.submit(_unpickled, pickled, self._rows, epochs, self._score)
        self._pending[future] = key

    def next(self) -> list[tuple[Key, Outcome]]:
        found = super().next()
        for key, _ in found:
            self._models.pop(key, None)
        return found

    def close(self) -> None:
        super().close()
        self._models = {}
        for future in (self._rows, self._score):
            future.release()


def _unpickled(pickled: bytes, rows: OnePiece, epochs: int, score: Score) -> Outcome:
    return trained_alone(pickle.loads(pickled), rows, epochs, score)


class InThreads(_Futures):
    """Each candidate is the work of a thread of this process; all look at the same rows."""

    def __init__(self, rows: OnePiece, score: Score, n_candidates: int) -> None:
        super().__init__()
        self._threads = DriverThreads(n_candidates)
        self._rows, self._score = rows, score

    def begin(self, key: Key, model: Any, epochs: int) -> None:
        work = _Alone(deepcopy(model), self._rows, epochs, self._score)
        self._pending[self._threads.submit(work)] = key

    def close(self) -> None:
        super().close()
        self._threads.close()


@dataclass(frozen=True)
class _Alone:
    model: Any
    rows: OnePiece
    epochs: int
    score: Score

    def __call__(self) -> Outcome:
        return trained_alone(self.model, self.rows, self.epochs, self.score)


@dataclass
class InTurn:
    """One candidate after the other, each over all partitions of the data."""

    data: Data
    score: Callable[[Any], float]
    _waiting: dict[Key, tuple[Any, int]] = field(default_factory=dict)

    def begin(self, key: Key, model: Any, epochs: int) -> None:
        self._waiting[key] = model, epochs

    def next(self) -> list[tuple[Key, Outcome]]:
        key = min(self._waiting)
        model, epochs = self._waiting.pop(key)
        return [(key, trained_on(deepcopy(model), self.data, epochs, self.score))]

    def close(self) -> None:
        self._waiting = {}
