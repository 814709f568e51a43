"""Logistic regression with an L1 penalty, beside other packages.

::

    cd asv_bench
    python -m l1_models                                       # 1,000,000 x 100, dense, beside saga
    python -m l1_models --sparse --peers saga liblinear       # 200,000 x 2^18
    L1_PYTHON=other/bin/python python -m l1_models --peers skglm celer   # installed elsewhere

All minimise the mean loss plus ``strength * |w|_1``, without an intercept, which celer lacks and
liblinear penalises. Sides take turns; each peer is a process of its own that loads the rows before
it is timed. Printed are seconds, passes over the rows, how far the objective is above the least one
found, relatively, and how many coefficients are not zero; and for peers their seconds over ours.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import scipy.sparse as sp

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from peers.objective import objective
from peers.problems import Problem, dense, sparse

PARTITIONS = 8


def value(problem: Problem, coef: Any, strength: float) -> float:
    """Return the mean loss plus the penalty; the problem itself has none."""
    return objective(problem, coef, 0.0) + strength * float(np.abs(coef).sum())


def ours(X: Any, y: Any, n: int, strength: float) -> tuple[float, Any]:
    began = time.perf_counter()
    model = LogisticRegression(C=1.0 / (n * strength), l1_ratio=1.0, fit_intercept=False).fit(X, y)
    return time.perf_counter() - began, model


def peer(folder: Path, name: str, strength: float, timeout: float) -> tuple[float, Any] | None:
    """Return seconds and coefficients, or None where it is not there or takes too long."""
    script = Path(__file__).parent / "peers" / "l1_side.py"
    interpreter = os.environ.get("L1_PYTHON") or sys.executable
    command = [interpreter, str(script), str(folder), name, repr(strength)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        print(f"{name:>10}: more than {timeout:g} s", flush=True)
        return None
    if run.returncode:
        print(f"{name:>10}: {run.stderr.strip().splitlines()[-1]}", flush=True)
        return None
    return float(json.loads(run.stdout)["seconds"]), np.load(folder / "coef.npy")


def held(executor: Executor, problem: Problem) -> tuple[Any, Any]:
    """Return rows that the Workers hold."""
    size = -(-problem.rows // PARTITIONS)
    starts = range(0, problem.rows, size)
    if sp.issparse(problem.X):
        blocks = executor.client.scatter([problem.X[a : a + size] for a in starts], hash=False)
        return blocks, problem.y
    X, y = (da.from_array(each, chunks=(size, *each.shape[1:])) for each in (problem.X, problem.y))
    X, y = executor.client.persist([X, y])
    executor.client.compute([X.sum(), y.sum()], sync=True)
    return X, y


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--shape", help="rows x columns")
    parser.add_argument("--strength", type=float, help="of the penalty beside the mean loss")
    parser.add_argument("--peers", nargs="*", default=["saga"])
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for a peer's fit")
    given = parser.parse_args()
    default = "200000x262144" if given.sparse else "1000000x100"
    n, d = map(int, (given.shape or default).split("x"))
    strength = given.strength or (1e-5 if given.sparse else 3e-3)
    problem = sparse(n, d, 60) if given.sparse else dense(n, d)
    problem = Problem(problem.loss, problem.X, problem.y, 0.0)
    found: list[tuple[str, float, Any, str]] = []
    with tempfile.TemporaryDirectory() as name, Executor(n_workers=2) as executor:
        folder = Path(name)
        np.save(folder / "y.npy", problem.y)
        if given.sparse:
            sp.save_npz(folder / "X.npz", problem.X, compressed=False)
        elif given.peers:
            np.save(folder / "X.npy", problem.X)
        X, y = held(executor, problem)
        ours(X, y, n, strength)
        for _ in range(given.pairs):
            seconds, model = ours(X, y, n, strength)
            steps = ", ".join(record.step for record in model.history_)
            found.append(("ours", seconds, model.coef_[0], f"{len(model.history_)}: {steps}"))
            for each in given.peers:
                if (run := peer(folder, each, strength, given.timeout)) is not None:
                    print(f"{each:>10}: {run[0]:8.3f} s, beside {seconds:.3f} s", flush=True)
                    found.append((each, run[0], run[1], ""))
    values = [value(problem, coef, strength) for _, _, coef, _ in found]
    least, base = min(values), found[0][1]
    for (name, seconds, coef, rounds), at in zip(found, values, strict=True):
        base = seconds if name == "ours" else base
        print(
            f"{name:>10}: {seconds:8.3f} s ({seconds / base:5.1f} x), "
            f"suboptimality {at / least - 1:.1e}, {np.count_nonzero(coef):,} of {d:,} not zero"
            + (f"; passes {rounds}" if rounds else ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
