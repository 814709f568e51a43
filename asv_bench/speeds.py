"""What a change of the code does to the time of fits: two checkouts, in turn.

::

    cd asv_bench
    python -m speeds ../../before                     # a checkout, beside this working tree
    python -m speeds ../../before --pairs 15 dense    # some cases

Each side is a process of its own with a cluster of two threads, in which every case has run twice
before. Then the sides take turns: the ratio of the CPU seconds of a pair, here over there, says
what the change costs, whatever else the machine does. A line has median, quartiles, and the CPU
seconds of this side. Network fits take a few epochs, linear ones what they need.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]


def cases() -> dict[str, Callable[[], object]]:
    """Return the fits, by name."""
    import dask.array as da
    import numpy as np
    import scipy.sparse as sp

    from daskml_exec.linear_model import LogisticRegression, PoissonRegressor, Ridge
    from daskml_exec.neural_network import MLPClassifier

    tiny = os.environ.get("DASKML_EXEC_BENCH_SCALE") == "tiny"
    rng = np.random.default_rng(0)
    n = 400 if tiny else 100_000
    X = rng.normal(size=(n, 20 if tiny else 50))
    margins = X @ rng.normal(size=X.shape[1]) / 5
    two = (margins + rng.logistic(size=n) > 0).astype(int)
    three = np.digitize(margins + rng.logistic(size=n), [-1.0, 1.0])
    counts = rng.poisson(np.exp(np.clip(margins, -3, 2)))
    rows = da.from_array(X, chunks=(n // 4, -1))
    sparse = sp.random(n // 5, 2000, density=0.01, format="csr", random_state=0)
    first = np.asarray(sparse[:, :50].sum(axis=1)).ravel()
    labels = (first > np.median(first)).astype(int)
    images, digits = X[: n // 5].astype(np.float32), three[: n // 5]
    batches = da.from_array(images, chunks=(len(images) // 4, -1))
    few = {"max_iter": 2, "random_state": 0, "hidden_layer_sizes": (64,)}
    return {
        "dense": lambda: LogisticRegression().fit(rows, two),
        "dense, in memory": lambda: LogisticRegression().fit(X, two),
        "small": lambda: LogisticRegression().fit(X[:2000], two[:2000]),
        "three classes": lambda: LogisticRegression().fit(rows, three),
        "lbfgs": lambda: LogisticRegression(solver="lbfgs").fit(rows, two),
        "averaging": lambda: LogisticRegression(solver="averaging").fit(rows, two),
        "counts": lambda: PoissonRegressor().fit(rows, counts),
        "ridge": lambda: Ridge().fit(rows, margins),
        "sparse": lambda: LogisticRegression().fit(sparse, labels),
        "columns": lambda: LogisticRegression(parallel="model").fit(rows, two),
        "network": lambda: MLPClassifier(**few).fit(batches, digits),
        "network, one": lambda: MLPClassifier(**few).fit(images, digits),
        "network, fp16": lambda: MLPClassifier(compression="fp16", **few).fit(batches, digits),
        "blocks": lambda: MLPClassifier(parallel="model", n_blocks=2, **few).fit(batches, digits),
        "hybrid": lambda: MLPClassifier(parallel="hybrid", n_blocks=2, n_replicas=2, **few).fit(
            batches, digits
        ),
    }


def serve() -> None:
    """Run a case for each name that is read, and print its CPU seconds."""
    from daskml_exec import Executor

    warnings.simplefilter("ignore")
    with Executor(processes=False, n_workers=2):
        all_ = cases()
        print("\t".join(all_), flush=True)
        for line in sys.stdin:
            started = time.process_time()
            all_[line.strip()]()
            print(time.process_time() - started, flush=True)


class Side:
    """A process that has one checkout's package."""

    def __init__(self, tree: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            env=os.environ | {"PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.names = self._line().split("\t")

    def seconds(self, name: str) -> float:
        stdin: Any = self._process.stdin
        print(name, file=stdin, flush=True)
        return float(self._line())

    def close(self) -> None:
        stdin: Any = self._process.stdin
        stdin.close()
        self._process.wait()

    def _line(self) -> str:
        stdout: Any = self._process.stdout
        line: str = stdout.readline()
        if not line:
            raise RuntimeError("a side has ended; its error is above")
        return line.strip()


def compare(before: Path, *, pairs: int, wanted: list[str]) -> None:
    """Print a line for each case."""
    there, here = Side(before), Side(HERE)
    try:
        print(f"{'case':18} {'median':>7} {'quartiles':>15} {'CPU s':>7}", flush=True)
        for name in here.names:
            if wanted and not any(word in name for word in wanted):
                continue
            for side in (there, here) * 2:
                side.seconds(name)
            taken = []
            for pair in range(pairs):
                first, second = (there, here) if pair % 2 else (here, there)
                times = {first: first.seconds(name), second: second.seconds(name)}
                taken.append((times[here], times[here] / times[there]))
            ratios = [ratio for _, ratio in taken]
            low, median, high = statistics.quantiles(ratios, n=4)
            spread = f"{low:.3f} - {high:.3f}"
            seconds = statistics.median(cpu for cpu, _ in taken)
            print(f"{name:18} {median:7.3f} {spread:>15} {seconds:7.3f}", flush=True)
    finally:
        there.close()
        here.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare the CPU seconds of two checkouts.")
    parser.add_argument("before", nargs="?", type=Path, help="the other checkout")
    parser.add_argument("cases", nargs="*", help="words of the cases' names; all by default")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    elif arguments.before is None:
        parser.error("name the other checkout")
    else:
        compare(arguments.before.resolve(), pairs=arguments.pairs, wanted=arguments.cases)
