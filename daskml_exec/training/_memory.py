"""Data in memory answers, in threads of this process: no cluster, the same tree, the same bits."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from daskml_exec.executor import DriverThreads, fold_group, fold_siblings
from daskml_exec.partitions import Partition
from daskml_exec.training._algorithm import Algorithm, S
from daskml_exec.training._answering import Answered, Answerer, Batch, Cost, one_round
from daskml_exec.training._payload import payload_nbytes


class MemoryAnswerer(Answerer):
    """Answers queries over partitions that are here; what they carry is here, too, and not lost."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self._partitions = partitions
        self._threads = DriverThreads(len(partitions))
        self._carries: dict[int, Any] = {}
        n, n_threads = len(partitions), self._threads.n_threads
        self._groups = [
            range(thread * n // n_threads, (thread + 1) * n // n_threads)
            for thread in range(n_threads)
        ]

    @property
    def n_partitions(self) -> int:
        """How many there are."""
        return len(self._partitions)

    def rounds(self, algorithm: Algorithm[S], state: S, query: Any, *, keep: bool) -> Batch[S]:
        """Answer this query."""
        return one_round(self.answer, algorithm, state, query)

    def answer(self, query: Any) -> Answered:
        """Have all partitions answer one query."""
        n = self.n_partitions
        found = self._threads.map(partial(self._of_group, query), self._groups)
        nodes = {node: answer for folded, _ in found for node, answer in folded.nodes.items()}
        (total,) = fold_siblings(nodes, n, query.combine).values()
        if query.carries:
            self._carries = {i: kept for folded, _ in found for i, kept in folded.carries.items()}
        cost = Cost(
            bytes_out=n * payload_nbytes(query),
            bytes_back=sum(folded.bytes_back for folded, _ in found),
            workers=len(found),
            busiest_seconds=max(seconds for _, seconds in found),
        )
        return Answered(query, total, cost)

    def begin_with(self, carried: Sequence[Any]) -> None:
        """Let partitions carry this already, as `carried` had it from an earlier fit."""
        self._carries = dict(enumerate(carried))

    def carried(self) -> Sequence[Any]:
        """Return what partitions carry; nothing where they carry nothing."""
        return [self._carries[index] for index in sorted(self._carries)]

    def close(self) -> None:
        """Let the threads go."""
        self._threads.close()

    def _of_group(self, query: Any, indices: range) -> tuple[Any, float]:
        started = time.perf_counter()
        mine = [self._partitions[index] for index in indices]
        folded = fold_group(query, indices, mine, self.n_partitions, payload_nbytes, self._carries)
        return folded, time.perf_counter() - started
