"""Run segments until the algorithm is done."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from daskml_exec.executor import (
    Executor,
    LostPartitionError,
    LostSchedulerError,
    scheduler_needed,
    single_threaded_blas,
)
from daskml_exec.partitions import Partitions, loaded_again
from daskml_exec.training._events import Callback, Reached, RoundEvent
from daskml_exec.training._history import History, RoundRecord
from daskml_exec.training._loop import tell
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training._round import S
from daskml_exec.training._segment import Report, Segmented
from daskml_exec.training._segment_runner import SegmentRunner

# The first segment shows how long a step takes; there may be many.
_FIRST_STEPS = 8
# The driver brings the units to itself so many times less often than that takes.
_KEEP_SHARE = 20


@dataclass(frozen=True)
class SegmentsResult(Generic[S]):
    """The state after the last segment, the history, and what the units hold."""

    state: S
    history: History
    units: Mapping[int, Any]


def run_segments(
    algorithm: Segmented[S],
    state: S,
    partitions: Partitions,
    *,
    given: Callable[[], Mapping[int, Any]],
    callbacks: Sequence[Callback] = (),
    snapshot: Callable[[S, Mapping[int, Any]], Any],
    reached: Callable[[S], Reached],
    name: str,
) -> SegmentsResult[S]:
    """Run segments until ``state.done`` or a callback returns True.

    Parameters
    ----------
    algorithm : Segmented
    state : Stepping
        The first state.
    partitions : Partitions
    given : callable
        Returns what units begin with: futures by unit, or nothing.
    callbacks : sequence of callables
        Each is called with a `RoundEvent` after each segment. Its estimator is brought from the
        workers when it is asked for, which must be before the callback returns.
    snapshot : callable
        Returns an estimator, from a state and what the units hold.
    reached : callable
        Takes a state and returns how far the fit has come, for an event.
    name : str
        What the tasks are called.
    """
    executor = partitions.executor
    held = [partitions]

    def load_again(error: LostPartitionError) -> tuple[Sequence[Any], dict[int, Any]]:
        held.append(loaded_again(held[-1], error))
        return held[-1].futures, dict(given())

    records: list[RoundRecord] = []
    limit = _FIRST_STEPS
    losses = _Losses(executor.events, partitions)
    with ExitStack() as after, single_threaded_blas():
        after.callback(lambda: held[-1].release())
        runner = SegmentRunner(executor, algorithm, partitions.futures, given(), name, load_again)
        after.enter_context(closing(runner))
        kept = _Kept(executor, runner, snapshot, name)
        while not state.done:
            started = time.perf_counter()
            work, step = algorithm.outgoing(state, limit), state.step
            before = runner.interruptions
            with kept.told_if_lost():
                answers = runner.advance(work)
            reports: list[Report] = [answer.value for answer in answers]
            state, measured = algorithm.update(state, work, [report.found for report in reports])
            if state.failure is not None:
                raise state.failure
            brought = 0 if state.done else kept.bring(state)
            workers_lost, recomputed = losses.since_last()
            records.append(
                RoundRecord(
                    round=len(records),
                    step=step,
                    loss=measured.loss,
                    gradient_norm=measured.gradient_norm,
                    seconds=time.perf_counter() - started,
                    bytes_out=len(answers) * payload_nbytes(work),
                    bytes_back=brought + sum(payload_nbytes(report.found) for report in reports),
                    workers=len(answers),
                    busiest_seconds=max(report.seconds for report in reports),
                    workers_lost=workers_lost,
                    tasks_recomputed=recomputed,
                    retries=runner.interruptions - before,
                    score=measured.score,
                    bytes_between=sum(answer.bytes_sent for answer in answers),
                )
            )
            per_step = records[-1].busiest_seconds / max(1, algorithm.steps(work))
            limit = max(1, int(runner.segment_seconds / max(per_step, 1e-9)))
            if callbacks:
                moment = _Moment(runner, state, snapshot)
                try:
                    stopped = tell(callbacks, RoundEvent(records[-1], moment, reached(state)))
                finally:
                    moment.passed = True
                if stopped:
                    break
        with kept.told_if_lost():
            units = runner.results()
    return SegmentsResult(state, History(tuple(records), len(partitions.futures)), units)


class _Kept(Generic[S]):
    """What the driver has of the units: the workers end with their scheduler, and it does not."""

    def __init__(
        self,
        executor: Executor,
        runner: SegmentRunner,
        snapshot: Callable[[S, Mapping[int, Any]], Any],
        name: str,
    ) -> None:
        self._executor, self._runner, self._snapshot, self._name = executor, runner, snapshot, name
        self._due = time.monotonic() + runner.commit_interval
        self._last: tuple[S, Callable[[], Any]] | None = None

    @contextmanager
    def told_if_lost(self) -> Iterator[None]:
        """Name a scheduler that is lost in the block, and let the error carry what there is."""
        try:
            with scheduler_needed(self._executor.client, self._name):
                yield
        except LostSchedulerError as error:
            if self._last is not None:
                error.keep(*self._last)
            raise

    def bring(self, state: S) -> int:
        """Bring the units to the driver if it is time to; return how many bytes travelled."""
        now = time.monotonic()
        if now < self._due:
            return 0
        with self.told_if_lost():
            units = self._runner.results()
        self._last = state, partial(self._snapshot, state, units)
        took = time.monotonic() - now
        self._due = now + max(self._runner.commit_interval, _KEEP_SHARE * took)
        return payload_nbytes(units)


@dataclass
class _Moment(Generic[S]):
    """Brings the estimator of a moment from the workers, until that moment has passed."""

    runner: SegmentRunner
    state: S
    snapshot: Callable[[S, Mapping[int, Any]], Any]
    passed: bool = False

    def __call__(self) -> Any:
        if self.passed:
            raise RuntimeError(
                "the event's estimator was asked for after its callback had returned: with "
                "parallel='model' or 'hybrid' the weights live on the workers, which have gone on"
            )
        return self.snapshot(self.state, self.runner.results())


class _Losses:
    """Counts what the cluster lost between two segments."""

    def __init__(self, events: Any, partitions: Partitions) -> None:
        self._events = events
        self._keys = [str(future.key) for future in partitions.futures]
        self._lost, self._recomputed = partitions.workers_lost_before, 0

    def since_last(self) -> tuple[int, int]:
        """Return the workers lost and the partitions computed again since the last call."""
        lost = len(self._events.workers_lost)
        recomputed = self._events.interruptions(self._keys)
        found = lost - self._lost, recomputed - self._recomputed
        self._lost, self._recomputed = lost, recomputed
        return found
