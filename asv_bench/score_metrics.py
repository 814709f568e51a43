"""What metrics of rows on Workers cost beside scikit-learn's of the same rows in memory.

::

    cd asv_bench
    python -m score_metrics             # 10 million rows in two worker processes
    python -m score_metrics --small     # few rows, many partitions

The two sides take turns. Ours runs in two worker processes of one thread each, which hold labels
and scores; scikit-learn's in this process. Printed are scikit-learn's seconds over ours: above 1 is
sooner. "all" is `scores`, which looks at the rows once for all of them.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from sklearn import metrics as theirs

from daskml_exec import Executor
from daskml_exec import metrics as ours
from peers.table import spread

METRICS = {
    "accuracy": ("accuracy_score", "labels"),
    "f1": ("f1_score", "labels"),
    "log_loss": ("log_loss", "scores"),
    "roc_auc": ("roc_auc_score", "scores"),
    "average_precision": ("average_precision_score", "scores"),
    "mean_squared_error": ("mean_squared_error", "scores"),
    "r2": ("r2_score", "scores"),
}
TOGETHER = ["accuracy", "f1", "log_loss", "roc_auc", "average_precision"]
SMALL = ((1_000, 4), (100_000, 4), (100_000, 256))


def seconds(function: Callable[[], Any]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def compare(name: str, mine: Callable[[], Any], other: Callable[[], Any], pairs: int) -> None:
    mine()
    taken = [(seconds(other), seconds(mine)) for _ in range(pairs)]
    ratios = [peer / own for peer, own in taken]
    own = statistics.median(own for _, own in taken)
    print(f"{name:>20}: {spread(ratios)} times as fast, {own:.3f} s", flush=True)


def rows(executor: Executor, n: int, partitions: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return columns that Workers hold, and the same in memory."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    scores = np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1)
    here = {"y": y, "scores": scores, "labels": (scores > 0.5).astype(np.int64)}
    chunk = -(-n // partitions)
    there = {name: da.from_array(column, chunks=chunk) for name, column in here.items()}
    there = dict(zip(there, executor.client.persist(list(there.values())), strict=True))
    executor.client.compute([column.sum() for column in there.values()], sync=True)
    return there, here


def measure(executor: Executor, n: int, partitions: int, pairs: int) -> None:
    there, here = rows(executor, n, partitions)
    print(f"{n:,} rows in {partitions} partitions")
    for name, (function, given) in METRICS.items():
        mine, other = getattr(ours, function), getattr(theirs, function)
        compare(
            name,
            lambda mine=mine, given=given: mine(there["y"], there[given]),
            lambda other=other, given=given: other(here["y"], here[given]),
            pairs,
        )
    each = [(getattr(theirs, METRICS[name][0]), METRICS[name][1]) for name in TOGETHER]
    compare(
        "all",
        lambda: ours.scores(TOGETHER, there["y"], y_pred=there["labels"], y_score=there["scores"]),
        lambda: [function(here["y"], here[given]) for function, given in each],
        pairs,
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m score_metrics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args(arguments)
    with Executor(n_workers=2, threads_per_worker=1) as executor:
        for n, partitions in SMALL if given.small else ((given.rows, given.partitions),):
            measure(executor, n, partitions, given.pairs)


if __name__ == "__main__":
    main()
