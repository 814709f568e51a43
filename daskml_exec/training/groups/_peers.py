"""Peers answer: groups of Workers that hold units and exchange with one another, in segments."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from daskml_exec.executor import LostPartitionError, scheduler_needed, share
from daskml_exec.partitions import Partitions, loaded_again
from daskml_exec.training._algorithm import Algorithm, S
from daskml_exec.training._answering import Answered, Answerer, Batch, Cost, Moment, one_round
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training.groups._segment import Report, Segment, Units
from daskml_exec.training.groups._segment_runner import SegmentRunner

# The first segment of a kind shows how long a step takes; there may be many.
_FIRST_STEPS = 8
# The driver brings the units to itself so many times less often than that takes.
_KEEP_SHARE = 20
_GONE_ON = (
    "the event's estimator was asked for after its callback had returned: with parallel='model', "
    "'hybrid' or 'pipeline' the weights live on the workers, which have gone on"
)


class PeersAnswerer(Answerer):
    """Answers segments, which it cuts by time: where they are cut changes no bit.

    Parameters
    ----------
    partitions : Partitions
    units : Units
    given : mapping of int to object
        What units begin with, by unit; units that begin with the same object share it on the way.
        Others make their own.
    name : str
        What tasks are called.
    """

    def __init__(
        self, partitions: Partitions, units: Units, given: Mapping[int, Any], name: str
    ) -> None:
        self._partitions = partitions
        self._name = name
        self._begin = given
        self._executor = partitions.executor
        self._losses = _Losses(partitions)
        self._limits: dict[str, int] = {}
        self._runner = SegmentRunner(
            self._executor, units, partitions.futures, self._sent(), name, self._load_again
        )
        self._due = time.monotonic() + self._runner.commit_interval
        self._known: tuple[Any, Mapping[int, Any]] | None = None

    @property
    def n_partitions(self) -> int:
        """How many there are."""
        return len(self._partitions.futures)

    def rounds(self, algorithm: Algorithm[S], state: S, query: Any, *, keep: bool) -> Batch[S]:
        """Answer the first steps of this segment."""
        brought = self._bring(state)
        return one_round(partial(self._answer, brought), algorithm, state, query)

    def known(self, state: Any) -> tuple[Any, Mapping[int, Any]] | None:
        """Return what the driver has: the workers end with their scheduler, and it does not."""
        return self._known

    def moment(self, view: Callable[[Mapping[int, Any]], Any]) -> Moment:
        """Return what brings the estimator from the workers, until the moment has passed."""
        return Moment(lambda: view(self._runner.results()), _GONE_ON)

    def units(self) -> Mapping[int, Any]:
        """Bring what the driver wants of each unit."""
        with scheduler_needed(self._executor.client, self._name):
            return self._runner.results()

    def close(self) -> None:
        """Remove all that the workers keep of this."""
        self._runner.close()

    def _answer(self, brought: int, query: Segment) -> Answered:
        segment = query.cut(self._limits.get(query.step, _FIRST_STEPS))
        before = self._runner.interruptions
        with scheduler_needed(self._executor.client, self._name):
            answers = self._runner.advance(segment)
        reports: list[Report] = [answer.value for answer in answers]
        workers_lost, recomputed = self._losses.since_last()
        busiest = max(report.seconds for report in reports)
        cost = Cost(
            bytes_out=len(answers) * payload_nbytes(segment.message()),
            bytes_back=brought + sum(payload_nbytes(report.found) for report in reports),
            workers=len(answers),
            busiest_seconds=busiest,
            workers_lost=workers_lost,
            tasks_recomputed=recomputed,
            retries=self._runner.interruptions - before,
            bytes_between=sum(answer.bytes_sent for answer in answers),
        )
        per_step = busiest / max(1, segment.n_steps)
        steps = int(self._runner.segment_seconds / max(per_step, 1e-9))
        self._limits[query.step] = max(1, steps)
        return Answered(segment, [report.found for report in reports], cost)

    def _bring(self, state: Any) -> int:
        """Bring the units to the driver if it is time to; return how many bytes travelled."""
        now = time.monotonic()
        if now < self._due:
            return 0
        units = self.units()
        self._known = state, units
        took = time.monotonic() - now
        self._due = now + max(self._runner.commit_interval, _KEEP_SHARE * took)
        return payload_nbytes(units)

    def _sent(self) -> dict[int, Any]:
        """Send what units begin with; what several share is sent once."""
        sent: dict[int, Any] = {}
        given = {}
        for unit, arrays in self._begin.items():
            if id(arrays) not in sent:
                sent[id(arrays)] = share(
                    self._executor.client,
                    arrays,
                    payload_nbytes(arrays),
                    name=f"{self._name}-start",
                    in_process=self._executor.in_process,
                )
            given[unit] = sent[id(arrays)]
        return given

    def _load_again(self, error: LostPartitionError) -> tuple[Sequence[Any], dict[int, Any]]:
        self._partitions = loaded_again(self._partitions, error)
        return self._partitions.futures, self._sent()


class _Losses:
    """Counts what the cluster lost between two segments."""

    def __init__(self, partitions: Partitions) -> None:
        self._events = partitions.executor.events
        self._keys = [str(future.key) for future in partitions.futures]
        self._lost, self._recomputed = partitions.workers_lost_before, 0

    def since_last(self) -> tuple[int, int]:
        """Return the workers lost and the partitions computed again since the last call."""
        lost = len(self._events.workers_lost)
        recomputed = self._events.interruptions(self._keys)
        found = lost - self._lost, recomputed - self._recomputed
        self._lost, self._recomputed = lost, recomputed
        return found
