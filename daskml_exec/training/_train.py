"""The loop of every fit: ask, answer, tell."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Literal

from daskml_exec.executor import (
    LostSchedulerError,
    require_same_code,
    single_threaded_blas,
)
from daskml_exec.partitions import ColumnError
from daskml_exec.training._algorithm import Algorithm, S
from daskml_exec.training._answering import Answerer, Batch, ChainLostError
from daskml_exec.training._choose_answerer import answerer_of, on_cluster
from daskml_exec.training._events import Callback, Reached, RoundEvent, call_all
from daskml_exec.training._history import History, RoundRecord
from daskml_exec.training._refusals import refuse_algorithm, refuse_callbacks, refuse_query

View = Callable[[Mapping[int, Any]], Any]
"""Makes an estimator of what units hold; where there are none, of nothing."""


@dataclass(frozen=True)
class Fitted(Generic[S]):
    """What comes of training.

    Attributes
    ----------
    state : object
        After the last round.
    history : History
    stopped : {"done", "callback"}
        Whether nothing was left to ask, or a callback has returned True.
    units : mapping of int to object
        What the driver wanted of units that live on Workers; empty where there are none.
    carried : sequence
        What partitions carry in the end, where it was to be brought home.
    """

    state: S
    history: History
    stopped: Literal["done", "callback"] = "done"
    units: Mapping[int, Any] = field(default_factory=dict)
    carried: Sequence[Any] = ()


def train(
    algorithm: Algorithm[S],
    state: S,
    data: Any,
    *,
    callbacks: Sequence[Callback] = (),
    view: Callable[[S], View] | None = None,
    reached: Callable[[S], Reached] | None = None,
    carried: Sequence[Any] | None = None,
    name: str,
) -> Fitted[S]:
    """Ask, have the data answer and tell, until there is nothing to ask.

    Parameters
    ----------
    algorithm : Algorithm
    state : object
        To begin with.
    data : Data, or what estimators make of it
    callbacks : sequence of callables
        Each is called with a `RoundEvent` after each round; one that returns True stops training.
        Listening changes nothing of what is computed where. Rounds that ran ahead, within one task,
        are told in a batch. Of begin and end estimators tell.
    view : callable, optional
        Takes a state and returns what makes an estimator of it, for an event, which the user may
        keep: it must hold nothing of the cluster. By default events have the state itself.
    reached : callable, optional
        Takes a state and returns how far training has come, for an event.
    carried : sequence, optional
        What partitions carry from an earlier fit; empty for nothing. With it, what they carry in
        the end is brought home.
    name : str
        What tasks are called.

    Returns
    -------
    Fitted

    Raises
    ------
    RuntimeError
        `tell` has returned the state that it was given, so that the same would be asked for ever.
    TypeError
        The algorithm, one of its queries, or the data is none.
    daskml_exec.executor.WorkerMismatchError
        A Worker has imported the algorithm's module when its file was another.
    daskml_exec.executor.LostSchedulerError
        With the last state, and an estimator of it.
    """
    refuse_algorithm(algorithm)
    refuse_callbacks(callbacks)
    require_same_code(getattr(on_cluster(data), "executor", None), (algorithm, state))
    view = view or _itself
    with (
        single_threaded_blas(),
        closing(answerer_of(data, algorithm, query := algorithm.ask(state), name)) as answerer,
    ):
        records = _Records(answerer, callbacks, view, reached)
        begin, stopped = (state, 0), False
        if carried:
            answerer.begin_with(carried)
        try:
            kept: Sequence[Any] | None = None
            while kept is None:
                try:
                    if query is None:
                        kept = () if carried is None else answerer.carried()
                        continue
                    refuse_query(query)
                    batch = answerer.rounds(algorithm, state, query, keep=bool(callbacks))
                except ChainLostError:
                    state, n_done = begin
                    stopped = False
                    del records.made[n_done:]
                    query = algorithm.ask(state)
                    continue
                state, stopped = records.of(batch, state)
                if batch.error is not None and not stopped:
                    raise batch.error
                if not answerer.carries:
                    begin = state, len(records.made)
                query = None if stopped else algorithm.ask(state)
            units = answerer.units()
        except ColumnError as error:
            raise error.named(on_cluster(data).feature_names) from None
        except LostSchedulerError as error:
            known = answerer.known(state) if records.made else None
            if known is not None:
                error.keep(known[0], partial(view(known[0]), known[1]))
            raise
        history = History(tuple(records.made), answerer.n_partitions)
        return Fitted(state, history, "callback" if stopped else "done", units, kept)


@dataclass
class _Records:
    """Makes the records of rounds, and tells of them."""

    answerer: Answerer
    callbacks: Sequence[Callback]
    view: Callable[[Any], View]
    reached: Callable[[Any], Reached] | None
    made: list[RoundRecord] = field(default_factory=list)

    def of(self, batch: Batch[S], state: S) -> tuple[S, bool]:
        """Take in rounds; return the state after the last one, and whether a callback stopped."""
        for told in batch.told:
            self.made.append(told.record(len(self.made)))
            if told.state is not None:
                state = told.state
            if self.callbacks and self._stops_at(state):
                return state, True
        return state, False

    def _stops_at(self, state: Any) -> bool:
        moment = self.answerer.moment(self.view(state))
        try:
            so_far = None if self.reached is None else self.reached(state)
            return call_all(self.callbacks, RoundEvent(self.made[-1], moment, so_far))
        finally:
            moment.passed = True


def _itself(state: Any) -> View:
    return lambda units: state
