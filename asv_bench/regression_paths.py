"""What it costs to choose the penalty of regressions, beside scikit-learn.

::

    cd asv_bench
    python -m regression_paths                # 500,000 x 100 and smaller shapes, two workers
    python -m regression_paths --shapes 20000x100 --pairs 5 --models ElasticNetCV

Sides take turns on the same rows: `ElasticNetCV` and `LassoCV` with 100 values of alpha and five
folds, `RidgeCV` with 20 values, by five folds and by leaving out each row. Ours are on rows that
two Workers hold, and beside that once on arrays in memory, loading included. scikit-learn's with
L1 have ``precompute=True`` and its default ``tol``, in one thread and in two; `RidgeCV` is as it
is, with BLAS in as many threads. Ours solve to rounding. Printed are seconds, ratios to ours, and
how far held-out errors are from scikit-learn's at ``tol=1e-10``, up to 20,000 rows.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sklearn.linear_model as sk
from threadpoolctl import threadpool_limits

from daskml_exec import Executor
from daskml_exec.linear_model import ElasticNetCV, LassoCV, RidgeCV
from daskml_exec.training import load
from peers.problems import dense
from peers.table import spread

SHAPES = ("500000x100", "20000x100", "2000x500", "200x10")
N_ALPHAS, N_FOLDS = 100, 5
RIDGES = np.logspace(-3, 4, 20)
_EXACT_ROWS = 20_000

OURS: dict[str, Callable[[], Any]] = {
    "ElasticNetCV": lambda: ElasticNetCV(alphas=N_ALPHAS, cv=N_FOLDS),
    "LassoCV": lambda: LassoCV(alphas=N_ALPHAS, cv=N_FOLDS),
    "RidgeCV": lambda: RidgeCV(RIDGES, cv=N_FOLDS),
    "RidgeCV-one-out": lambda: RidgeCV(RIDGES),
}


def sklearns(name: str, threads: int, **settings: Any) -> Any:
    """Return scikit-learn's model of that name."""
    if name.startswith("RidgeCV"):
        return sk.RidgeCV(RIDGES, cv=None if name.endswith("out") else N_FOLDS)
    kind = getattr(sk, name)
    # Before scikit-learn 1.7 it was another word for the same.
    count = "n_alphas" if kind().alphas is None else "alphas"
    return kind(**{count: N_ALPHAS}, cv=N_FOLDS, precompute=True, n_jobs=threads, **settings)


def rows_of(n: int, d: int) -> tuple[Any, Any]:
    """Return rows, and targets that every tenth column says half of."""
    X = dense(n, d).X
    rng = np.random.default_rng(1)
    signal = X @ (rng.standard_normal(d) * (np.arange(d) % 10 == 0))
    return X, signal + signal.std() * rng.standard_normal(n)


def seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()
    return time.perf_counter() - began


def compare(n: int, d: int, pairs: int, models: Sequence[str]) -> None:
    """Print what the sides take at one shape."""
    X, y = rows_of(n, d)
    print(f"\n{n:,} x {d}")
    with load(X, y, target="numbers") as data:
        for name in models:
            make = OURS[name]
            make().fit(data)
            ours, ratios = [], {1: [], 2: []}
            for _ in range(pairs):
                ours.append(seconds(lambda make=make: make().fit(data)))
                for threads, found in ratios.items():
                    with threadpool_limits(threads if name.startswith("RidgeCV") else 1):
                        peer = sklearns(name, threads)
                        found.append(seconds(lambda peer=peer: peer.fit(X, y)) / ours[-1])
            print(f"  {name}: {spread(ours)} s; scikit-learn's time over it", end="")
            for threads, found in ratios.items():
                print(f", {threads} thread{'s' * (threads > 1)} {spread(found)}", end="")
            whole = seconds(lambda make=make: make().fit(X, y))
            print(f"; with loading {whole / statistics.median(ours):.1f} times as long")
            if n <= _EXACT_ROWS and not name.startswith("RidgeCV"):
                print(f"    errors held out are scikit-learn's to {distance(name, X, y):.1e}")


def distance(name: str, X: Any, y: Any) -> float:
    """Return how far held-out errors are from scikit-learn's, relative to them."""
    found = OURS[name]().fit(X, y)
    expected = sklearns(name, 2, tol=1e-10, max_iter=100_000)
    seconds(lambda: expected.fit(X, y))
    return float(np.abs(found.mse_path_ / expected.mse_path_ - 1).max())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="rows x columns")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=tuple(OURS), choices=tuple(OURS))
    given = parser.parse_args(arguments)
    with Executor(n_workers=2, threads_per_worker=1):
        for shape in given.shapes:
            n, d = map(int, shape.split("x"))
            compare(n, d, given.pairs, given.models)


if __name__ == "__main__":
    main()
