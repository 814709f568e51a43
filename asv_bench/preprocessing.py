"""What fits of preprocessors cost beside scikit-learn's, on the same cores.

::

    cd asv_bench
    python -m preprocessing             # 800 MB in two worker processes, and in scikit-learn's
    python -m preprocessing --small     # little data, many partitions, few columns, in memory
    python -m preprocessing --dask-ml   # with a third side, after ``pip install dask-ml``

The two sides take turns. Printed are scikit-learn's seconds over ours: above 1 is sooner. Ours runs
in two worker processes of one thread each, with the rows in their memory; scikit-learn's in this
process, with its own threads; dask-ml's on the same workers and rows as ours. Peak memory of
workers while fits run is compared to what they had before, over the bytes of X. Reads of X are not
counted: a fit asks one question, which goes once through blocks that stay in cache while they are
used twice; medians and quantiles read each group of columns once.
"""

import argparse
import importlib
import statistics
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import psutil
from sklearn import impute
from sklearn import preprocessing as sk

from daskml_exec import Executor
from daskml_exec import preprocessing as ours
from peers.table import spread

FITS = {
    "StandardScaler": (ours.StandardScaler(), sk.StandardScaler()),
    "MinMaxScaler": (ours.MinMaxScaler(), sk.MinMaxScaler()),
    "SimpleImputer mean": (ours.SimpleImputer(), impute.SimpleImputer()),
    "RobustScaler": (ours.RobustScaler(), sk.RobustScaler()),
    "QuantileTransformer": (
        ours.QuantileTransformer(),
        sk.QuantileTransformer(subsample=None),
    ),
}
SMALL = (
    ("1000 x 10", 1000, 10, 4),
    ("20000 x 20 in 64", 20_000, 20, 64),
    ("500000 x 2", 500_000, 2, 8),
)


class Peak:
    """The most memory that processes have had while a block runs, beyond what they had before."""

    def __init__(self, pids: list[int]) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self.over = 0

    def __enter__(self) -> "Peak":
        self._before, self._done = self._now(), threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._watch.join()

    def _now(self) -> int:
        return sum(process.memory_info().rss for process in self._processes)

    def _look(self) -> None:
        while not self._done.wait(0.01):
            self.over = max(self.over, self._now() - self._before)


def seconds(fit: Callable[..., Any], X: Any) -> float:
    began = time.perf_counter()
    fit(X)
    return time.perf_counter() - began


def dask_mls(name: str) -> Any:
    """Return dask-ml's estimator of a name in `FITS`."""
    module = importlib.import_module(
        "dask_ml.impute" if name.startswith("SimpleImputer") else "dask_ml.preprocessing"
    )
    return getattr(module, name.split()[0])()


def compare(name: str, X: Any, rows: Any, repeats: int, pids: list[int], third: Any = None) -> None:
    """Print how many times as fast as scikit-learn's, and a third side's, our fit is."""
    mine, theirs = FITS[name]
    mine.fit(X)
    if third is not None:
        third.fit(X)
    ratios, others, took, over = [], [], [], []
    for _ in range(repeats):
        with Peak(pids) as peak:
            took.append(seconds(mine.fit, X))
        over.append(peak.over / rows.nbytes)
        ratios.append(seconds(theirs.fit, rows) / took[-1])
        if third is not None:
            others.append(seconds(third.fit, X) / took[-1])
    memory = f", {max(over):.1%} of X more memory in workers" if pids else ""
    print(
        f"{name:>20}: {spread(ratios)} times as fast, {statistics.median(took):.3f} s{memory}"
        + (f"; {spread(others)} times as fast as dask-ml" if others else ""),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slow-repeats", type=int, default=1, help="of medians and quantiles")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--dask-ml", action="store_true", help="beside it, too")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "n_quantiles")
    with Executor(n_workers=2, threads_per_worker=1) as executor:
        pids = list(executor.client.run(_pid).values())
        if given.small:
            for title, n, d, partitions in SMALL:
                print(title)
                rows = np.random.default_rng(0).normal(size=(n, d))
                _all(_on_workers(executor, n, d, partitions), rows, given, [])
            print("1000 x 10 in memory")
            rows = np.random.default_rng(0).normal(size=(1000, 10))
            _all(rows, rows, given, [])
            return
        n, d = given.rows, given.columns
        X = _on_workers(executor, n, d, given.partitions)
        _all(X, np.random.default_rng(0).normal(size=(n, d)), given, pids)


def _all(X: Any, rows: Any, given: Any, pids: list[int]) -> None:
    for name in FITS:
        slow = name in ("RobustScaler", "QuantileTransformer")
        third = dask_mls(name) if given.dask_ml else None
        compare(name, X, rows, given.slow_repeats if slow else given.repeats, pids, third)


def _on_workers(executor: Executor, n: int, d: int, partitions: int) -> Any:
    rng = da.random.default_rng(0)
    X = executor.client.persist(rng.normal(size=(n, d), chunks=(-(-n // partitions), d)))
    executor.client.compute(X.sum(), sync=True)
    return X


def _pid() -> int:
    import os

    return os.getpid()


if __name__ == "__main__":
    main()
