"""A round of L-BFGS, loss and gradient over all rows, against one pass in memory without Dask.

``cd asv_bench; python -m benchmarks.gradient_pass`` prints both, and their ratio.
"""

import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import dask.array as da
import numpy as np
from distributed import wait

from benchmarks._measure import ratios, scale, seconds, summary
from daskml_exec import Executor
from daskml_exec.executor import Query, RoundRunner, single_threaded_blas
from daskml_exec.kernels.distributions import Logistic
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic
from daskml_exec.linear_model._problem import GLMProblem, Parameters, Penalty
from daskml_exec.partitions import Labels, load_checked
from daskml_exec.training._payload import payload_nbytes

SIZES = {"full": (1_000_000, 100), "tiny": (2_000, 5)}
PAIRS = {"full": 25, "tiny": 2}
PARTITIONS, WORKERS = 8, 2


def nbytes(payload: Any) -> int:
    return payload_nbytes(payload.at if isinstance(payload, Sums) else payload)


def make_block(_: Any, block_id: Any, rows: int, d: int) -> Any:
    return np.random.default_rng(block_id[0]).normal(size=(rows, d))


@dataclass(frozen=True)
class Sums(Query[Any]):
    problem: GLMProblem
    at: Parameters

    def partial(self, partition: Any) -> Any:
        return self.problem.sums(partition, self.at)


class GradientPass:
    """800 MB of float64 rows in 8 partitions, two workers against two threads in this process."""

    timeout = 600

    def setup(self) -> None:
        n, d = SIZES[scale()]
        rows = n // PARTITIONS
        self.executor = Executor(n_workers=WORKERS)
        X = da.map_blocks(
            make_block,
            da.zeros(n, chunks=rows),
            rows=rows,
            d=d,
            new_axis=1,
            chunks=((rows,) * PARTITIONS, (d,)),
            dtype=float,
            meta=np.empty((0, 0)),
        )
        (X,) = self.executor.client.persist([X])
        wait(X)
        y = (X[:, 0] > 0).astype(int)
        data = load_checked(self.executor, X, y, None, target=Labels())
        self.problem = GLMProblem(Logistic(2), Penalty(1.0, of_sum=True), True)
        self.at = Parameters(np.full((1, d), 0.01), np.zeros(1))
        self.query = Sums(self.problem, self.at)
        self.runner = RoundRunner(self.executor, data.partitions.futures, nbytes, 0)
        self.blocks = [make_block(None, (i,), rows, d) for i in range(PARTITIONS)]
        self.labels = [(block[:, 0] > 0).astype(int) for block in self.blocks]
        self.threads = ThreadPoolExecutor(WORKERS)
        self.run_round()

    def teardown(self) -> None:
        self.threads.shutdown()
        self.executor.shutdown()

    def run_round(self) -> None:
        self.runner.run(self.query, name="gradient")

    def pass_in_memory(self) -> None:
        with single_threaded_blas():
            sums = self.threads.map(
                lambda X, y: loss_sums(
                    BinaryLogistic(), X, y, None, self.at.coef, self.at.intercept
                ),
                self.blocks,
                self.labels,
            )
            reduce(add, sums)

    def time_round(self) -> None:
        self.run_round()

    def time_pass_in_memory(self) -> None:
        self.pass_in_memory()

    def track_round_by_pass(self) -> float:
        """Seconds of a round by seconds of a pass in memory."""
        return statistics.median(ratios(self.run_round, self.pass_in_memory, pairs=PAIRS[scale()]))


def main() -> None:
    bench = GradientPass()
    bench.setup()
    ratio = ratios(bench.run_round, bench.pass_in_memory, pairs=PAIRS[scale()])
    rounds = [1e3 * seconds(bench.run_round) for _ in range(PAIRS[scale()])]
    passes = [1e3 * seconds(bench.pass_in_memory) for _ in range(PAIRS[scale()])]
    bench.teardown()
    print(f"round {summary(rounds, ' ms')}, pass in memory {summary(passes, ' ms')}")
    print(f"ratio {summary(ratio)}")


if __name__ == "__main__":
    main()
