"""What it costs to choose C: a path of penalties and its folds, beside one fit, and many.

::

    cd asv_bench
    python -m penalty_paths                   # 500,000 x 100 and smaller shapes, two workers
    python -m penalty_paths --shapes 100000x100 --pairs 5 --without lbfgs
    python -m penalty_paths --kernel          # one pass of many models beside its two products

Sides take turns on the same rows, which the Workers hold: `LogisticRegressionCV` with ten values of
C and five folds; one `LogisticRegression` with the same ``tol``; and, less often, as many fits
one by one as there are models, on the loaded rows with the rows of a fold silenced; and
scikit-learn's `LogisticRegressionCV` in two threads, by its fastest solver at ``tol=1e-8``, and by
its default with the default ``tol``. Printed are seconds, ratios to the path's, and how far
coefficients and held-out losses are from separate fits at ``tol=1e-12``.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression
from sklearn.linear_model import LogisticRegressionCV as SklearnLogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from daskml_exec import Executor
from daskml_exec.kernels.losses import BinaryLogistic
from daskml_exec.kernels.many_models import Points, model_sums
from daskml_exec.linear_model import LogisticRegression, LogisticRegressionCV
from daskml_exec.partitions import folded, without_fold
from daskml_exec.training import Data, load
from daskml_exec.training.folds import cross_validation
from peers.problems import dense
from peers.table import spread

SHAPES = ("500000x100", "100000x100", "20000x20", "2000x10", "569x30")
CS = np.logspace(-4, 4, 10)
N_FOLDS = 5
TOLS = (1e-4, 1e-7)


def path(X: Any, tol: float, y: Any = None) -> LogisticRegressionCV:
    return LogisticRegressionCV(Cs=CS, cv=N_FOLDS, scoring="neg_log_loss", tol=tol).fit(X, y)


def one(data: Any, tol: float) -> LogisticRegression:
    return LogisticRegression(tol=tol).fit(data)


def one_by_one(data: Any, tol: float) -> None:
    """Fit every model by itself, without a start, as a loop over loaded rows would."""
    cross = cross_validation(N_FOLDS, data, None, data, classifier=True)
    partitions = folded(data.partitions, cross.column_of)
    for k in range(N_FOLDS):
        silenced = without_fold(partitions, k)
        rows = Data(silenced.source, data._target, data._cut, data.settled)
        for C in CS.tolist():
            LogisticRegression(C=C, tol=tol).fit(rows)
        silenced.release()
    partitions.release()
    LogisticRegression(C=1.0, tol=tol).fit(data)


def sklearns(X: Any, y: Any, **settings: Any) -> None:
    model = SklearnLogisticRegressionCV(
        Cs=CS, cv=N_FOLDS, scoring="neg_log_loss", n_jobs=2, **settings
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)


def seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def compare(n: int, d: int, pairs: int, without: Sequence[str]) -> None:
    """Print what the sides take at one shape."""
    case = dense(n, d)
    X, y = case.X, case.y
    print(f"\n{n:,} x {d}, {len(CS)} values of C x {N_FOLDS} folds")
    with load(X, y, target="labels") as data:
        for tol in TOLS:
            path(data, tol), one(data, tol)
            turns = [
                (seconds(lambda t=tol: path(data, t)), seconds(lambda t=tol: one(data, t)))
                for _ in range(pairs)
            ]
            ours = [turn[0] for turn in turns]
            print(
                f"  tol {tol:g}: path and refit {spread(ours)} s, "
                f"{spread([a / b for a, b in turns])} times one fit"
            )
        found = path(data, TOLS[-1])
        steps = [record.step for record in found.history_]
        print("  rounds: " + ", ".join(f"{steps.count(s)} {s}" for s in dict.fromkeys(steps)))
        middle = statistics.median(ours)
        if "loop" not in without:
            taken = seconds(lambda: one_by_one(data, TOLS[-1]))
            many = len(CS) * N_FOLDS + 1
            print(f"  {many} fits of ours one by one: {taken / middle:.1f} times the path")
    peers = {
        "newton-cholesky": {"solver": "newton-cholesky", "tol": 1e-8},
        "lbfgs": {"solver": "lbfgs"},
    }
    for name, settings in peers.items():
        if name not in without:
            # Jobs are processes with a thread each, so that two take what the Workers take.
            taken = seconds(lambda s=settings: sklearns(X, y, **s))
            print(f"  scikit-learn {name}: {taken:.1f} s, {taken / middle:.1f} times the path")


def distances(n: int, d: int) -> None:
    """Print how far some models are from separate fits of scikit-learn."""
    case = dense(n, d)
    X, y = case.X, case.y
    found = path(X, TOLS[-1], y)
    worst, losses = 0.0, 0.0
    folds = list(StratifiedKFold(N_FOLDS).split(X, y))
    for k, j in ((0, 0), (2, 5), (4, 9)):
        train, test = folds[k]
        model = SklearnLogisticRegression(
            C=CS[j], solver="newton-cholesky", tol=1e-12, max_iter=1000
        )
        model.fit(X[train], y[train])
        ours = found.coefs_paths_[k, 0, j, :, :-1]
        worst = max(worst, float(np.abs(ours - model.coef_).max() / np.abs(model.coef_).max()))
        loss = log_loss(y[test], model.predict_proba(X[test]))
        losses = max(losses, abs(-found.scores_[k, 0, j] / loss - 1))
    print(f"  from separate fits at 1e-12: coefficients {worst:.1e}, held-out losses {losses:.1e}")


def kernel(n: int, d: int, pairs: int) -> None:
    """Print the share of a pass of many models that its two products alone would take."""
    case = dense(n, d)
    X, y = case.X, case.y
    rng = np.random.default_rng(0)
    M = len(CS) * N_FOLDS
    at = Points(rng.normal(size=(M, 1, d)) * 0.1, np.zeros((M, 1)))
    fold, left_out = rng.integers(0, N_FOLDS, n).astype(np.uint16), np.arange(M) % N_FOLDS
    # A row is trained on by the models of all other folds.
    coef = at.coef[: M - M // N_FOLDS, 0]

    def products() -> None:
        (coef @ X.T) @ X

    def whole() -> None:
        model_sums(BinaryLogistic(), X, y, None, fold, N_FOLDS, at, left_out)

    with threadpool_limits(1):
        products(), whole()
        shares = [seconds(products) / seconds(whole) for _ in range(pairs)]
    print(f"{n:,} x {d}, {M} models, folds mixed: products are {spread(shares)} of the pass")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="rows x columns")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--without", nargs="*", default=(), help="loop, newton-cholesky, lbfgs")
    parser.add_argument("--kernel", action="store_true", help="the kernel alone")
    given = parser.parse_args(arguments)
    shapes = [tuple(map(int, shape.split("x"))) for shape in given.shapes]
    if given.kernel:
        for n, d in shapes:
            kernel(n, d, given.pairs)
        return
    with Executor(n_workers=2, threads_per_worker=1):
        for n, d in shapes:
            compare(n, d, given.pairs, given.without)
    for n, d in shapes:
        if n <= 100_000:
            print(f"\n{n:,} x {d}")
            distances(n, d)


if __name__ == "__main__":
    main()
