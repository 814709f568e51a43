"""Partitions answer: rows that live on Workers, and rounds that run ahead where there is one."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, Generic

from daskml_exec.executor import (
    LostPartitionError,
    NotWanted,
    Query,
    RoundOutcome,
    RoundRunner,
    fold_group,
    gathers,
    tuning,
)
from daskml_exec.executor._raised import carried, original
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.partitions import Partitions, loaded_again
from daskml_exec.training._algorithm import Algorithm, S
from daskml_exec.training._answering import (
    MAX_RELOADS,
    Answered,
    Answerer,
    Batch,
    ChainLostError,
    Cost,
    Told,
    one_round,
    tell,
)
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training._refusals import refuse_query

_SMALL_STATE_BYTES = 1_000_000


class RowsAnswerer(Answerer):
    """Answers queries over partitions, one round trip each.

    With one partition there is nothing to reduce, and rounds run inside one task, so that small
    data does not pay a round trip a round. The arithmetic is the same.
    """

    def __init__(self, partitions: Partitions, name: str) -> None:
        self._partitions, self._name = partitions, name
        self._held = ExitStack()
        self._reloads = 0
        self._begin: Sequence[Any] = ()
        self._runner = self._open()

    @property
    def n_partitions(self) -> int:
        """How many there are."""
        return len(self._partitions.futures)

    @property
    def carries(self) -> bool:
        """Whether partitions carry what only the rounds so far can bring back."""
        return self._runner.chained > 0

    def rounds(self, algorithm: Algorithm[S], state: S, query: Any, *, keep: bool) -> Batch[S]:
        """Answer this query, and with one partition those that follow for about a second."""
        if self.n_partitions == 1 and not query.carries and self._travels_well(state):
            return self._ahead(algorithm, state, keep=keep)
        return one_round(self.answer, algorithm, state, query)

    def begin_with(self, carried: Sequence[Any]) -> None:
        """Let partitions carry this, as `carried` had it."""
        self._begin = carried
        self._runner.begin_with(carried)

    def carried(self) -> Sequence[Any]:
        """Bring home what partitions carry; nothing where they carry nothing."""
        try:
            return self._runner.carried(name=self._name)
        except LostPartitionError as error:
            self._load_again(error)
            raise ChainLostError from error

    def close(self) -> None:
        """Leave nothing on the cluster that was not there before."""
        self._held.close()

    def _open(self) -> RoundRunner:
        data = self._partitions
        return self._held.enter_context(
            closing(
                RoundRunner(
                    data.executor,
                    data.futures,
                    _nbytes,
                    data.workers_lost_before,
                    data.nbytes_each,
                    data.opened,
                    data.places,
                )
            )
        )

    def answer(self, query: Any) -> Answered:
        """Have all partitions answer one query."""
        outcome = self._outcome(query, f"{self._name}-{query.step}")
        copied = 0
        limits = tuning()
        # What all partitions see would be had again by all rounds of all of them.
        small = outcome.carried <= limits.cut_bytes or gathers(query)
        if self._runner.chained >= limits.cut_every and small:
            self.begin_with(self.carried())
            copied = outcome.carried
        cost = Cost.of(
            outcome,
            bytes_out=outcome.bytes_out + copied,
            bytes_back=outcome.bytes_back + copied,
        )
        return Answered(query, outcome.total, cost)

    def _outcome(self, query: Any, name: str) -> RoundOutcome:
        """Have the partitions answer; load them again where they are lost."""
        while True:
            chained = self._runner.carries
            try:
                outcome = self._runner.run(query, name=name)
            except LostPartitionError as error:
                self._load_again(error)
                if chained:
                    raise ChainLostError from error
                continue
            if not self._runner.carries:
                self._reloads, self._begin = 0, ()
            return outcome

    def _load_again(self, error: LostPartitionError) -> None:
        self._reloads += 1
        if self._reloads > MAX_RELOADS:
            raise error
        self._partitions = loaded_again(self._partitions, error)
        self._runner = self._open()
        if self._begin:
            self._runner.begin_with(self._begin)

    def _travels_well(self, state: Any) -> bool:
        """Whether the whole state is cheap to send: from round to round only a part of it is."""
        in_process = self._partitions.executor.in_process
        return in_process or payload_nbytes(state) <= _SMALL_STATE_BYTES

    def _ahead(self, algorithm: Algorithm[S], state: S, *, keep: bool) -> Batch[S]:
        outcome = self._outcome(_Ahead(algorithm, state, keep), self._name)
        told = list(outcome.total.told)
        if told:
            # The losses belong to the task, not to one of its rounds: the first is charged.
            told[0] = replace(
                told[0],
                cost=replace(
                    told[0].cost,
                    workers_lost=outcome.workers_lost,
                    tasks_recomputed=outcome.tasks_recomputed,
                    retries=outcome.retries,
                ),
            )
        error = outcome.total.error
        return Batch(told, None if error is None else original(error))


@dataclass(frozen=True)
class _Ahead(Query[Batch[S]], Generic[S]):
    """Rounds on the Worker that holds the only partition, for about a second."""

    algorithm: Algorithm[S]
    state: S
    keep: bool

    def partial(self, partition: Any, prepared: None) -> Batch[S]:
        algorithm, state = self.algorithm, self.state
        told: list[Told[S]] = []
        deadline, kept = time.perf_counter() + tuning().ahead_seconds, 0
        try:
            while (query := algorithm.ask(state)) is not None and not query.carries:
                stop_point()
                refuse_query(query)
                started = time.perf_counter()
                found = fold_group(query, [0], [partition], 1, payload_nbytes)
                (answer,) = found.nodes.values()
                try:
                    state, measured = tell(algorithm, state, query, answer)
                except NotWanted:
                    raise
                # A Worker that raised would log it as its own failure.
                except Exception as error:
                    return Batch(self._wanted(told), carried(error))
                seconds = time.perf_counter() - started
                cost = Cost(payload_nbytes(query), found.bytes_back, 1, seconds)
                told.append(Told(state, query.step, measured, seconds, cost))
                kept += payload_nbytes(state) if self.keep else 0
                if time.perf_counter() >= deadline or kept > tuning().ahead_bytes:
                    break
        except NotWanted:
            raise
        except Exception as error:
            if not told:
                raise
            # Listeners hear of the rounds before, and may stop at one of them.
            return Batch(self._wanted(told), carried(error))
        return Batch(self._wanted(told))

    def combine(self, left: Batch[S], right: Batch[S]) -> Batch[S]:
        raise AssertionError("one partition has nothing to combine")

    def _wanted(self, told: list[Told[S]]) -> list[Told[S]]:
        if self.keep:
            return told
        return [replace(each, state=None) for each in told[:-1]] + told[-1:]


def _nbytes(payload: Any) -> int:
    """As `payload_nbytes`, but what rounds ahead bring back goes uncounted, as it does not add."""
    if isinstance(payload, Batch):
        return 0
    return payload_nbytes(payload.state if isinstance(payload, _Ahead) else payload)
