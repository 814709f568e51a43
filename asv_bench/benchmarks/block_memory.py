"""What workers need to train weights that none of them has room for: blocks, and commits to disk.

``cd asv_bench; python -m benchmarks.block_memory`` trains 130 million weights by Adam, 1.5 GiB with
its moments, on four worker processes of 1 GiB each. Every segment ends with a commit, which each
worker writes to another one's disk. What is printed is each worker's peak resident memory less
that before the fit, by the bytes of its blocks with their moments and of a batch's activations.
"""

import itertools
import statistics
import warnings
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks._measure import scale, summary
from daskml_exec import Executor
from daskml_exec.neural_network import MLPClassifier

HIDDEN = {"full": (11_000, 11_000), "tiny": (16, 16)}
WORKERS = {"full": 4, "tiny": 2}
LIMIT = {"full": "1GiB", "tiny": "0"}
ROWS, FEATURES, CLASSES, BATCH = 1_024, 784, 10, 256


def resident(kind: str) -> int:
    """Return this process's resident bytes: "VmRSS" now, "VmHWM" at most."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{kind}:"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Let the peak count from now."""
    Path("/proc/self/clear_refs").write_text("5")


def needed(hidden: tuple[int, ...], workers: int) -> int:
    """Return the bytes of a worker's blocks with moments, and of a batch's values and deltas."""
    units = (FEATURES, *hidden, CLASSES)
    weights = sum(a * b + b for a, b in itertools.pairwise(units))
    activations = 2 * BATCH * sum(units)
    return 4 * (3 * weights // workers + activations)


class BlockMemory:
    """Peak growth of the workers that train, the largest of them."""

    timeout = 900

    def setup(self) -> None:
        if not Path("/proc/self/clear_refs").exists():
            raise NotImplementedError("needs /proc, which Linux has")
        size = scale()
        dask.config.set({"daskml-exec.commit-interval": "0s", "daskml-exec.segment-duration": "1s"})
        self.executor = Executor(n_workers=WORKERS[size], memory_limit=LIMIT[size])
        rng = np.random.default_rng(0)
        X = rng.random((ROWS, FEATURES), dtype=np.float32)
        self.X = da.from_array(X, chunks=(ROWS // 4, FEATURES))
        self.y = rng.integers(0, CLASSES, ROWS)
        self.fit((16, 16))  # imports, and compiles

    def teardown(self) -> None:
        self.executor.shutdown()

    def fit(self, hidden: tuple[int, ...]) -> Any:
        model = MLPClassifier(
            hidden,
            parallel="model",
            n_blocks=WORKERS[scale()],
            batch_size=BATCH,
            max_iter=2,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(self.X, self.y)

    def track_growth_by_need(self) -> float:
        client, size = self.executor.client, scale()
        idle = client.run(resident, "VmRSS")
        client.run(forget_peak)
        self.fit(HIDDEN[size])
        peak = client.run(resident, "VmHWM")
        need = needed(HIDDEN[size], WORKERS[size])
        self.growths = [(peak[worker] - idle[worker]) / need for worker in idle]
        return max(self.growths)


def main() -> None:
    bench = BlockMemory()
    bench.setup()
    worst = bench.track_growth_by_need()
    need = needed(HIDDEN[scale()], WORKERS[scale()])
    print(f"needed per worker: {need / 2**20:,.0f} MiB; growth by need: {summary(bench.growths)}")
    print(f"worst {worst:.2f}, median {statistics.median(bench.growths):.2f}")
    bench.teardown()


if __name__ == "__main__":
    main()
