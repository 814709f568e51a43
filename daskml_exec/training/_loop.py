"""Run rounds until the algorithm is done: over the cluster, or inside one task."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic

import numpy as np

from daskml_exec.executor import (
    LostPartitionError,
    LostSchedulerError,
    RoundOutcome,
    RoundRunner,
    single_threaded_blas,
)
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.partitions import Partitions, loaded_again
from daskml_exec.training._events import Callback, Reached, RoundEvent
from daskml_exec.training._history import History, RoundRecord
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training._round import CarryingRound, Round, S, Stepping

# A task that runs rounds by itself reports back after about this long, so that an interrupted
# fit does not leave it running.
_LOCAL_SECONDS = 1.0
# How often in a row the data are loaded again, before the cluster is given up.
_MAX_RELOADS = 3
_SMALL_STATE_BYTES = 1_000_000


@dataclass(frozen=True)
class FitResult(Generic[S]):
    """The state after the last round, and the history."""

    state: S
    history: History


def run_rounds(
    algorithm: Round[S],
    state: S,
    partitions: Partitions,
    *,
    callbacks: Sequence[Callback] = (),
    snapshot: Callable[[S], Callable[[], Any]],
    reached: Callable[[S], Reached] | None = None,
    name: str,
) -> FitResult[S]:
    """Run rounds until ``state.done`` or a callback returns True.

    With one partition there is nothing to reduce, and rounds run inside one task, so that small
    data does not pay a round trip a round. Callbacks want to hear of each round as it ends, so
    with callbacks every round is a round trip. The arithmetic is the same.

    Parameters
    ----------
    algorithm : Round
    state : Stepping
        The first state.
    partitions : Partitions
    callbacks : sequence of callables
        Each is called with a `RoundEvent` after each round.
    snapshot : callable
        Takes a state and returns what makes the fitted estimator of it, for an event, which the
        user may keep: it must hold nothing of the cluster.
    reached : callable, optional
        Takes a state and returns how far the fit has come, for an event.
    name : str
        What the tasks are called.
    """
    runner = _runner(partitions)
    n_partitions = len(partitions.futures)
    records: list[RoundRecord] = []
    begin, reloads = (state, 0), 0
    with ExitStack() as held, single_threaded_blas():
        held.enter_context(closing(runner))
        while not state.done:
            alone = n_partitions == 1 and not callbacks and _travels_well(state, partitions)
            run = _rounds_in_one_task if alone else _round_over_partitions
            try:
                try:
                    state, new = run(runner, algorithm, state, len(records), name)
                except LostPartitionError as error:
                    reloads += 1
                    if reloads > _MAX_RELOADS:
                        raise
                    partitions = loaded_again(partitions, error)
                    held.callback(partitions.release)
                    runner = held.enter_context(closing(_runner(partitions)))
                    # What partitions carried is gone, too: back to where they carried nothing.
                    state, n_done = begin
                    del records[n_done:]
                    continue
            except LostSchedulerError as error:
                if records:
                    error.keep(state, snapshot(state))
                raise
            if state.failure is not None:
                raise state.failure
            records.extend(new)
            if not runner.carries:
                begin, reloads = (state, len(records)), 0
            if callbacks:
                so_far = None if reached is None else reached(state)
                if tell(callbacks, RoundEvent(records[-1], snapshot(state), so_far)):
                    break
    return FitResult(state, History(tuple(records), n_partitions))


def _runner(partitions: Partitions) -> RoundRunner:
    return RoundRunner(
        partitions.executor,
        partitions.futures,
        _nbytes,
        partitions.workers_lost_before,
        partitions.nbytes_each,
    )


def tell(callbacks: Sequence[Callback], event: RoundEvent) -> bool:
    """Call every callback, also when one of them wants to stop; return whether one does."""
    answers = [callback(event) for callback in callbacks]
    return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)


def _round_over_partitions(
    runner: RoundRunner, algorithm: Round[S], state: S, number: int, name: str
) -> tuple[S, list[RoundRecord]]:
    started = time.perf_counter()
    message, step = algorithm.outgoing(state), state.step
    outcome = _run(runner, algorithm, state, message, f"{name}-{step}")
    state, measured = algorithm.update(state, outcome.total)
    record = RoundRecord(
        round=number,
        step=step,
        loss=measured.loss,
        gradient_norm=measured.gradient_norm,
        seconds=time.perf_counter() - started,
        bytes_out=runner.n_partitions * payload_nbytes(message),
        bytes_back=runner.n_partitions * outcome.partial_bytes,
        workers=len(outcome.seconds_by_worker),
        busiest_seconds=max(outcome.seconds_by_worker.values()),
        workers_lost=outcome.workers_lost,
        tasks_recomputed=outcome.tasks_recomputed,
        retries=outcome.retries,
        score=measured.score,
    )
    return state, [record]


def _run(
    runner: RoundRunner, algorithm: Round[S], state: S, message: Any, name: str
) -> RoundOutcome:
    if isinstance(algorithm, CarryingRound) and runner.n_partitions > 1:
        last = algorithm.ends_carrying(state)
        return runner.run_carrying(
            algorithm.partial_carrying, message, algorithm.combine, name=name, last=last
        )
    return runner.run(algorithm.partial, message, algorithm.combine, name=name)


def _nbytes(payload: Any) -> int:
    """As `payload_nbytes`, but what comes of a task that ran rounds by itself goes uncounted."""
    return 0 if isinstance(payload, _LocalRounds) else payload_nbytes(payload)


def _travels_well(state: Stepping, partitions: Partitions) -> bool:
    """Whether the whole state is cheap to send: from round to round only a part of it travels."""
    return partitions.executor.in_process or payload_nbytes(state) <= _SMALL_STATE_BYTES


def _rounds_in_one_task(
    runner: RoundRunner, algorithm: Round[S], state: S, first_round: int, name: str
) -> tuple[S, list[RoundRecord]]:
    task = partial(_local_rounds, algorithm, first_round)
    outcome = runner.run(task, state, _only_one, name=name)
    state, records = outcome.total.state, outcome.total.records
    # The losses belong to the task, not to one of its rounds: they are charged to the first.
    records[0] = replace(
        records[0],
        workers_lost=outcome.workers_lost,
        tasks_recomputed=outcome.tasks_recomputed,
        retries=outcome.retries,
    )
    return state, records


@dataclass(frozen=True)
class _LocalRounds(Generic[S]):
    """What a task made that ran rounds by itself; the state may hold an exception."""

    state: S
    records: list[RoundRecord]


def _local_rounds(
    algorithm: Round[S], first_round: int, partition: Any, state: S
) -> _LocalRounds[S]:
    """Run rounds on the worker that holds the only partition, for about a second."""
    records: list[RoundRecord] = []
    deadline = time.perf_counter() + _LOCAL_SECONDS
    while not records or not (
        state.done or state.failure is not None or time.perf_counter() >= deadline
    ):
        stop_point()
        started = time.perf_counter()
        message, step = algorithm.outgoing(state), state.step
        total = algorithm.partial(partition, message)
        state, measured = algorithm.update(state, total)
        seconds = time.perf_counter() - started
        records.append(
            RoundRecord(
                round=first_round + len(records),
                step=step,
                loss=measured.loss,
                gradient_norm=measured.gradient_norm,
                seconds=seconds,
                bytes_out=payload_nbytes(message),
                bytes_back=payload_nbytes(total),
                workers=1,
                busiest_seconds=seconds,
                workers_lost=0,
                tasks_recomputed=0,
                retries=0,
                score=measured.score,
            )
        )
    return _LocalRounds(state, records)


def _only_one(left: Any, right: Any) -> Any:
    raise AssertionError("one partition has nothing to combine")
