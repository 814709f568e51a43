"""Alternating least squares beside `implicit`: ``pip install implicit; python -m recommenders``.

Interactions are those of `interactions`: 100,000 users, 20,000 items, 4.5 million entries, and 64
factors in float32. Both minimise the same objective (``reg_exponent=0``; `implicit` is handed the
confidences). Ours has two worker processes of one thread, `implicit` two threads of this process;
they take turns in one run. Each ratio is the median over pairs (smallest - largest) of our time
over that of `implicit`: below 1 ours is sooner. An iteration is two half-steps; the first of a fit
is left out. CPU is of all processes together.

Lines "objective" and "NDCG@10" are after ten iterations, on entries of which each user has kept
four fifths; the rest is what lists are compared with.

``--spark PYTHON`` adds Spark's ALS with ``local[2]``, in an interpreter that has pyspark and Java.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares as ImplicitALS
from threadpoolctl import threadpool_limits

from daskml_exec import Executor
from daskml_exec.recommendation import (
    AlternatingLeastSquares,
    ranking_scores,
    split_interactions,
)
from interactions import interactions
from peers.table import spread
from torch_measure import processor_of
from torch_memory import peak_of

ALPHA, REG, THREADS = 1.0, 5.0, 2
Iterations = tuple[float, float]
"""Seconds of an iteration by the clock, and of processors."""


def ours(matrix: Any, k: int, n: int, processor: Callable[[], float], **settings: Any) -> Any:
    """Return the fitted model, and what one of its iterations takes; the first one is left out."""
    marks = []

    def mark(event: Any) -> None:
        marks.append((time.perf_counter(), processor()))

    given = {"alpha": ALPHA, "reg": REG, "reg_exponent": 0.0, "tol": 0.0, "random_state": 0}
    model = AlternatingLeastSquares(k, max_iter=n, callbacks=[mark], **{**given, **settings})
    model.fit(matrix)
    return model, _median(marks[1::2])


def implicits(matrix: Any, k: int, n: int, *, cg: bool, threads: int = THREADS) -> Any:
    """Return the model of `implicit`, and what one of its iterations takes."""
    confidence = matrix.copy()
    confidence.data = 1 + ALPHA * matrix.data
    marks = []

    def mark(*told: Any) -> None:
        marks.append((time.perf_counter(), time.process_time()))

    model = ImplicitALS(
        factors=k,
        regularization=REG,
        iterations=n,
        use_cg=cg,
        num_threads=threads,
        random_state=0,
    )
    with threadpool_limits(1, "blas"):
        model.fit(sp.csr_matrix(confidence), show_progress=False, callback=mark)
    return model, _median(marks)


def objective(matrix: Any, users: Any, items: Any) -> float:
    """Return what both minimise, in double."""
    users, items = users.astype(float), items.astype(float)
    total = float(np.sum((users.T @ users) * (items.T @ items)))
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    for at in range(0, matrix.nnz, 500_000):
        part = slice(at, at + 500_000)
        s = np.einsum("ij,ij->i", users[rows[part]], items[matrix.indices[part]])
        total += float((((1 + ALPHA * matrix.data[part]) * (1 - s) ** 2) - s**2).sum())
    return total + REG * float((users**2).sum() + (items**2).sum())


class Lists:
    """The lists of `implicit` as `ranking_scores` asks for them."""

    user, item, rating = "user", "item", "rating"

    def __init__(self, model: Any, seen: Any) -> None:
        self._model, self._seen = model, sp.csr_matrix(seen)
        self.users_, self.items_ = map(np.arange, seen.shape)

    def recommend(self, users: Any, n: int, *, interactions: Any, exclude_seen: bool) -> Any:
        users = np.asarray(users)
        with threadpool_limits(1, "blas"):
            items, scores = self._model.recommend(users, self._seen[users], N=n)
        made = {"user": np.repeat(users, n), "item": items.ravel(), "score": scores.ravel()}
        return pd.DataFrame(made)


def _median(marks: list[Any]) -> Iterations:
    steps = np.diff(np.array(marks), axis=0)
    return tuple(np.median(steps, axis=0))


def spark(python: str, matrix: Any, k: int, pairs: int) -> list[float]:
    """Return the seconds of an iteration of Spark's ALS, a figure per run."""
    with tempfile.TemporaryDirectory() as folder:
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        entries = Path(folder) / "entries.csv"
        np.savetxt(
            entries, np.column_stack([rows, matrix.indices, matrix.data]), fmt="%d", delimiter=","
        )
        script = Path(__file__).parent / "peers" / "spark_als.py"
        told = subprocess.run(
            [python, str(script), str(entries), str(k), str(ALPHA), "0.1", str(pairs)],
            check=True,
            capture_output=True,
            text=True,
        )
    return list(json.loads(told.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--entries", type=int, default=4_500_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--spark", metavar="PYTHON")
    given = parser.parse_args()
    if os.environ.get("DASKML_EXEC_BENCH_SCALE") == "tiny":
        given.users, given.items, given.entries, given.factors, given.pairs = 400, 200, 8000, 8, 1
    warnings.simplefilter("ignore")
    matrix = interactions(given.users, given.items, given.entries)
    k = given.factors
    with Executor(n_workers=THREADS) as executor:
        pids = [os.getpid(), *(worker.pid for worker in executor.workers())]
        processor = processor_of(pids)
        figures: dict[str, list[float]] = {}
        seconds: dict[str, list[float]] = {}
        beyond = []
        for _ in range(given.pairs):
            gc.collect()
            model, exact = ours(matrix, k, 3, processor)
            beyond += [each.seconds - each.busiest_seconds for each in model.history_[1:]]
            _, cg = implicits(matrix, k, 3, cg=True)
            _, cholesky = implicits(matrix, k, 3, cg=False)
            _, our_cg = ours(matrix, k, 3, processor, solver="cg")
            for name, mine, theirs in (
                ("exact / implicit CG", exact, cg),
                ("exact / implicit Cholesky", exact, cholesky),
                ("CG / implicit CG", our_cg, cg),
            ):
                for clock, at in (("wall", 0), ("CPU", 1)):
                    figures.setdefault(f"{name}, {clock}", []).append(mine[at] / theirs[at])
            sides = {"ours exact": exact, "ours CG": our_cg, "implicit CG": cg}
            for who, (wall, cpu) in {**sides, "implicit Cholesky": cholesky}.items():
                seconds.setdefault(f"{who}, wall s", []).append(wall)
                seconds.setdefault(f"{who}, CPU s", []).append(cpu)
        tell([(name, spread(each)) for name, each in figures.items()])
        tell([("half-step beyond its busiest worker, s", spread(beyond))])
        tell([(name, spread(each)) for name, each in seconds.items()])
        tell(quality(matrix, k, processor))
        tell(lists(matrix, k, processor, given.pairs))
        tell(memory(executor, matrix, k))
        if given.spark:
            settings = {"reg_exponent": 1.0, "reg": 0.1}
            mine = [ours(matrix, k, 3, processor, **settings)[1][0] for _ in range(given.pairs)]
    if given.spark:
        theirs = spark(given.spark, matrix, k, given.pairs)
        ratio = statistics.median(mine) / statistics.median(theirs)
        tell([("Spark, s an iteration", spread(theirs)), ("exact / Spark, wall", f"{ratio:.3f}")])


def tell(lines: list[tuple[str, str]]) -> None:
    """Print what was found so far."""
    for name, figure in lines:
        print(f"{name:45} {figure}", flush=True)


def quality(matrix: Any, k: int, processor: Callable[[], float]) -> list[tuple[str, str]]:
    """Return the objective and the ranking of both after ten iterations on the same entries."""
    train, test = split_interactions(matrix, test_size=0.2, random_state=0)
    found = []
    mine, _ = ours(train, k, 10, processor)
    theirs, _ = implicits(train, k, 10, cg=True)
    users = np.random.default_rng(0).permutation(matrix.shape[0])[:10_000]
    test = sp.diags_array(np.isin(np.arange(matrix.shape[0]), users).astype(np.float32)) @ test
    test = sp.csr_array(test)
    test.eliminate_zeros()
    for who, factors, model in (
        ("ours", (mine.user_factors_, mine.item_factors_), mine),
        ("implicit", (theirs.user_factors, theirs.item_factors), Lists(theirs, train)),
    ):
        found.append((f"objective, {who}", f"{objective(train, *factors):.5g}"))
        found.append((f"NDCG@10, {who}", f"{ranking_scores(model, train, test, 10).ndcg:.4f}"))
    return found


def memory(executor: Executor, matrix: Any, k: int) -> list[tuple[str, str]]:
    """Return the most memory of a Worker in a fit, loading and training, beyond what it had."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    frame = pd.DataFrame({"user": rows, "item": matrix.indices, "rating": matrix.data})
    settings = {"max_iter": 2, "tol": 0.0, "random_state": 0}
    blocks, factors = 2 * matrix.nnz * 8 / THREADS, sum(matrix.shape) * k * 4
    allowed = 1.3 * (blocks + factors) + 200e6
    found = []
    for who, given in (("a sparse matrix", matrix), ("a dataframe", frame)):
        fit = partial(AlternatingLeastSquares(k, **settings).fit, given)
        _, before, peak = peak_of(executor.client, fit)
        more = peak - before
        figure = f"{more / 1e6:.0f} MB, {more / allowed:.2f} of what is allowed"
        found.append((f"memory of a Worker, of {who}", figure))
    return found


def lists(matrix: Any, k: int, processor: Callable[[], float], pairs: int) -> list[tuple[str, str]]:
    """Return what lists of ten for all users take, without what they have seen."""
    mine, _ = ours(matrix, k, 1, processor)
    theirs, _ = implicits(matrix, k, 1, cg=True)
    everyone, seen = np.arange(matrix.shape[0]), sp.csr_matrix(matrix)
    wall, cpu, us = [], [], []
    for _ in range(pairs):
        began, started = processor(), time.perf_counter()
        len(mine.recommend(n=10).compute())
        ours_wall, ours_cpu = time.perf_counter() - started, processor() - began
        began, started = time.process_time(), time.perf_counter()
        with threadpool_limits(1, "blas"):
            # All at once it holds a score of each user and item: 8 GB.
            for at in range(0, len(everyone), 1000):
                some = everyone[at : at + 1000]
                theirs.recommend(some, seen[some], N=10)
        their_wall, their_cpu = time.perf_counter() - started, time.process_time() - began
        wall.append(ours_wall / their_wall)
        cpu.append(ours_cpu / their_cpu)
        us.append(ours_cpu / len(everyone) * 1e6)
    return [
        ("lists for all users / implicit, wall", spread(wall)),
        ("lists for all users / implicit, CPU", spread(cpu)),
        ("lists, our CPU microseconds a user", spread(us)),
    ]


if __name__ == "__main__":
    main()
