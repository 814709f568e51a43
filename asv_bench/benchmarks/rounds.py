"""What a round costs beside its arithmetic: two worker processes, 100 floats back.

``cd asv_bench; python -m benchmarks.rounds`` prints the cost of a round over 1 to 256 partitions,
and its ratio to the round trip of one task that does nothing.

Both are measured in runs of twenty, one after the other, as a fit makes rounds: Dask sends what a
client has to say at most every ten milliseconds, so a call alone depends on what came before it.
"""

import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._measure import ratios, scale, seconds, summary
from daskml_exec import Executor
from daskml_exec.executor import Query, RoundRunner, ship

PAIRS = {"full": 15, "tiny": 2}
IN_A_ROW = {"full": 20, "tiny": 1}
PARTITIONS = {"full": [1, 8, 64, 256], "tiny": [1, 3]}
FLOATS = 100


@dataclass(frozen=True)
class ColumnSums(Query[Any]):
    message: Any

    @property
    def nbytes(self) -> int:
        size: int = self.message.nbytes
        return size

    def partial(self, partition: Any) -> Any:
        return partition.sum(axis=0) + self.message


def nothing() -> None:
    return None


class Rounds:
    """A round that returns 100 floats, over partitions too small to take time themselves."""

    params = PARTITIONS[scale()]
    param_names = ["partitions"]
    timeout = 300

    def setup(self, partitions: int) -> None:
        self.executor = Executor(n_workers=2)
        workers = self.executor.check_workers()
        futures = [
            ship(
                self.executor.client,
                np.full((10, FLOATS), float(index)),
                name="rows",
                worker=workers[index * len(workers) // partitions],
                in_process=False,
            )
            for index in range(partitions)
        ]
        self.runner = RoundRunner(self.executor, futures, lambda value: value.nbytes, 0)
        self.query = ColumnSums(np.zeros(FLOATS))
        self.run_round()

    def teardown(self, partitions: int) -> None:
        self.executor.shutdown()

    def run_round(self) -> None:
        self.runner.run(self.query, name="round")

    def run_rounds(self) -> None:
        for _ in range(IN_A_ROW[scale()]):
            self.run_round()

    def run_no_ops(self) -> None:
        for _ in range(IN_A_ROW[scale()]):
            self.executor.client.submit(nothing, pure=False).result()

    def time_round(self, partitions: int) -> None:
        self.run_round()

    def track_round_by_no_op(self, partitions: int) -> float:
        """Seconds of a round by seconds of one no-op task, there and back."""
        return statistics.median(ratios(self.run_rounds, self.run_no_ops, pairs=PAIRS[scale()]))


def main() -> None:
    for partitions in PARTITIONS[scale()]:
        bench = Rounds()
        bench.setup(partitions)
        ratio = ratios(bench.run_rounds, bench.run_no_ops, pairs=PAIRS[scale()])
        ms = [1e3 * seconds(bench.run_rounds) / IN_A_ROW[scale()] for _ in range(PAIRS[scale()])]
        bench.teardown(partitions)
        print(f"{partitions:>4} partitions: {summary(ms, ' ms')}, by no-op {summary(ratio)}")


if __name__ == "__main__":
    main()
