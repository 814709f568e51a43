"""Reading a text file in the libsvm format: two worker processes against scikit-learn in one.

``cd asv_bench; python -m benchmarks.libsvm`` prints the ratio of the two times.
"""

import importlib
import statistics
import tempfile
from pathlib import Path

import dask
import numpy as np
from distributed import Client, LocalCluster, wait
from sklearn.datasets import load_svmlight_file

from benchmarks._measure import scale, seconds
from daskml_exec.datasets import read_libsvm

SIZES = {
    "full": {"small": 32_000_000, "large": 210_000_000},
    "tiny": {"small": 20_000, "large": 60_000},
}
PAIRS = {"full": 7, "tiny": 2}
N_FEATURES, NONZEROS = 2**18, 45
WORKERS, PARTITIONS = 2, 4


def write_libsvm(path: Path, size: int) -> None:
    """Write at least `size` bytes of rows drawn from a pool, which is quicker than formatting."""
    rng = np.random.default_rng(0)
    pool = []
    for label in rng.integers(0, 2, size=2_000 if size > 1_000_000 else 50):
        indices = np.unique(rng.integers(1, N_FEATURES + 1, size=NONZEROS)).tolist()
        values = rng.normal(size=len(indices)).tolist()
        pairs = zip(indices, values, strict=True)
        pool.append(b"%d %s\n" % (label, b" ".join(b"%d:%.6g" % pair for pair in pairs)))
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(b"".join(pool[i] for i in rng.permutation(len(pool))))


class _TextFile:
    """A file in a temporary folder."""

    params = ["small", "large"]
    param_names = ["size"]
    timeout = 600

    def setup(self, size: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "rows.txt")
        write_libsvm(self.path, SIZES[scale()][size])

    def teardown(self, size: str) -> None:
        self.folder.cleanup()

    def load_in_one_process(self) -> None:
        load_svmlight_file(self.path)


class _TextFileAndWorkers(_TextFile):
    """A file, and two worker processes of one thread that have imported the parser."""

    def setup(self, size: str) -> None:
        super().setup(size)
        self.cluster = LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        )
        self.client = Client(self.cluster)
        self.client.run(importlib.import_module, "daskml_exec.datasets")

    def teardown(self, size: str) -> None:
        self.client.close()
        self.cluster.close()
        super().teardown(size)

    def read_to_workers(self) -> None:
        arrays = dask.persist(*read_libsvm(self.path, npartitions=PARTITIONS))
        wait(arrays)


class SklearnOneProcess(_TextFile):
    """What read_libsvm is compared with."""

    def time_load_svmlight_file(self, size: str) -> None:
        self.load_in_one_process()


class ReadLibsvmTwoProcesses(_TextFileAndWorkers):
    """From the call to arrays in the memory of the workers; the scan is part of it."""

    def time_read_libsvm(self, size: str) -> None:
        self.read_to_workers()


class ReadLibsvmSpeedup(_TextFileAndWorkers):
    """Seconds of scikit-learn by seconds of read_libsvm. Two processes cannot exceed 2 by much.

    Other programs on the same cores slow two processes down more than one, so that the ratio
    of a busy machine is too small.
    """

    timeout = 1200

    def pairs(self) -> list[tuple[float, float]]:
        """Seconds of scikit-learn and of read_libsvm, measured in turn."""
        return [
            (seconds(self.load_in_one_process), seconds(self.read_to_workers))
            for _ in range(PAIRS[scale()])
        ]

    def track_speedup(self, size: str) -> float:
        return statistics.median(one / two for one, two in self.pairs())

    track_speedup.unit = "ratio"


def main() -> None:
    print(
        f"{'file':>8} {'scikit-learn':>13} {'read_libsvm':>12} {'ratio':>6} {'lowest':>7} highest"
    )
    for size, size_in_bytes in SIZES[scale()].items():
        benchmark = ReadLibsvmSpeedup()
        benchmark.setup(size)
        try:
            pairs = benchmark.pairs()
        finally:
            benchmark.teardown(size)
        ratios = [one / two for one, two in pairs]
        one, two = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(
            f"{size_in_bytes / 1e6:>5.0f} MB {one:>11.2f} s {two:>10.2f} s "
            f"{statistics.median(ratios):>6.2f} {min(ratios):>7.2f} {max(ratios):>7.2f}"
        )


if __name__ == "__main__":
    main()
