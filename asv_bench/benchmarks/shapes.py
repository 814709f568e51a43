"""Whether the default solver is near the best one for any shape: a map of fits.

``cd asv_bench; python -m benchmarks.shapes`` fits each shape by the default, by our other solvers
and by scikit-learn's, in turn, and prints seconds (of the wall, and in brackets of all threads),
the ratios of the default to the best of each, in seconds of the wall, and how far each objective
is above the least that was found, relative to it. Ours are as they are by default; a solver of
scikit-learn's has the loosest ``tol`` with which its objective is as low, to a relative
`PRECISION`, or else the tightest. Words choose cases: ``python -m benchmarks.shapes 2000x5900
ridge``.

Shapes are where plans change: few rows, few columns, about as many of both, slightly more columns
than a regime takes, tiny data, many partitions. Columns are independent ("easy"), or correlated,
with singular values from one to a hundredth ("hard").
"""

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import scipy.sparse as sp
from scipy.fft import dct
from scipy.special import expit
from sklearn import linear_model as sklearn_models

from benchmarks._measure import scale
from daskml_exec import Executor, linear_model
from peers.objective import objective
from peers.problems import Problem

STRENGTH = 1.0
"""Of the penalty beside the sum of the losses."""
PRECISION = 1e-9
"""To which two objectives are equal, relative to the lower."""
TOLS = (1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
REPETITIONS = {"full": 3, "tiny": 1}
SECONDS = 3.0
"""A fit that takes longer is not repeated."""


@dataclass(frozen=True)
class Case:
    """A model and the shape of its data."""

    model: str
    rows: int
    columns: int
    kind: str = "easy"
    partitions: int = 0
    """Chunks of a Dask array; 0 for data in memory."""

    def __str__(self) -> str:
        chunks = f" in {self.partitions}" if self.partitions else ""
        return f"{self.model} {self.rows}x{self.columns} {self.kind}{chunks}"

    def problem(self) -> Problem:
        """Draw rows and targets."""
        rng = np.random.default_rng(0)
        n, d = self.rows, self.columns
        X: Any = rng.normal(size=(n, d))
        if self.kind == "hard":
            X = dct(X * np.logspace(0, -2, d), norm="ortho", axis=1)
        if self.kind == "sparse":
            X = sp.random_array((n, d), density=min(1.0, 30 / d), format="csr", rng=rng)
        z = np.asarray(X @ rng.normal(size=d)).ravel()
        z = 2.0 * (z - z.mean()) / z.std()
        loss, y = _target(self.model, z, rng)
        return Problem(loss, X, y, STRENGTH / n)


def _target(model: str, z: Any, rng: np.random.Generator) -> tuple[str, Any]:
    if model == "binary":
        return "logistic", (rng.random(len(z)) < expit(z)).astype(np.int64)
    if model == "classes":
        return "softmax", np.digitize(z + rng.logistic(size=len(z)), [-1.0, 1.0])
    if model == "poisson":
        return "poisson", rng.poisson(np.exp(0.5 * z)).astype(np.float64)
    return "squared", 3.0 + z + rng.normal(size=len(z))


def cases() -> list[Case]:
    """Return the map."""
    if scale() == "tiny":
        models = ("binary", "classes", "poisson", "ridge")
        return [Case(model, n, 12, "easy") for model in models for n in (8, 40)]
    tiny = [Case("binary", n, d) for n, d in ((100, 5), (1000, 10), (5000, 20))]
    few = [(200, 2000), (500, 20_000), (2000, 5900), (1000, 1100), (3000, 3100)]
    even = [(1100, 1000), (3000, 2500), (6000, 3000), (6500, 6100), (20_000, 6100), (20_000, 600)]
    dense = [Case("binary", n, d, kind) for n, d in few + even for kind in ("easy", "hard")]
    others = [
        Case(model, n, d)
        for model in ("classes", "poisson", "ridge")
        for n, d in ((200, 2000), (2000, 5900), (3000, 2500), (20_000, 300))
    ]
    sparse = [
        Case(model, n, d, "sparse")
        for model in ("binary", "classes", "ridge")
        for n, d in ((300, 3000), (900, 30_000), (2000, 30_000), (20_000, 1100), (20_000, 50_000))
    ]
    chunks = [Case("binary", n, d, "easy", 64) for n, d in ((6400, 20), (2000, 3000))]
    return tiny + dense + others + sparse + chunks


def our_sides(case: Case, problem: Problem) -> dict[str, Callable[[], Any]]:
    """Return our fits by the name of the solver."""
    X, y = problem.X, problem.y
    if case.partitions:
        size = -(-problem.rows // case.partitions)
        X = da.from_array(X, chunks=(size, -1)).persist()
        y = da.from_array(y, chunks=size).persist()
    estimator = getattr(linear_model, _NAMES[case.model])
    how = _strength(case)
    return {
        "default": lambda: estimator(**how).fit(X, y),
        "lbfgs": lambda: estimator(**how, solver="lbfgs").fit(X, y),
    }


def peers_sides(case: Case, problem: Problem) -> dict[str, Callable[[float], Any]]:
    """Return scikit-learn's fits by the name of the solver: functions of ``tol``."""
    sparse = case.kind == "sparse"
    if case.model == "ridge":
        names = ["sparse_cg", "sag", "lsqr"] if sparse else ["auto", "lsqr"]
    else:
        names = ["lbfgs"] if case.model == "poisson" else ["lbfgs", "newton-cg"]
        if not sparse and case.columns <= 3000 and case.model != "classes":
            names.append("newton-cholesky")
    estimator = getattr(sklearn_models, _NAMES[case.model])
    how = {**_strength(case), "max_iter": 10_000}
    return {
        name: lambda tol, solver=name: estimator(**how, tol=tol, solver=solver).fit(
            problem.X, problem.y
        )
        for name in names
    }


_NAMES = {
    "ridge": "Ridge",
    "poisson": "PoissonRegressor",
    "binary": "LogisticRegression",
    "classes": "LogisticRegression",
}


def _strength(case: Case) -> dict[str, float]:
    if case.model == "ridge":
        return {"alpha": STRENGTH}
    return {"alpha": STRENGTH / case.rows} if case.model == "poisson" else {"C": 1.0 / STRENGTH}


@dataclass
class Result:
    """The least seconds that one side took, and its objective."""

    wall: float = np.inf
    processor: float = np.inf
    value: float = np.inf
    regime: str = ""


def timed(result: Result, problem: Problem, fit: Callable[[], Any]) -> None:
    """Fit, and note the seconds if they are the least."""
    started, used = time.perf_counter(), time.process_time()
    model = fit()
    result.wall = min(result.wall, time.perf_counter() - started)
    result.processor = min(result.processor, time.process_time() - used)
    result.value = objective(problem, model.coef_, model.intercept_)
    result.regime = model.explain().regime if hasattr(model, "explain") else ""


def as_low(result: Result, least: float) -> bool:
    """Whether an objective is equal to the least."""
    return result.value <= least + PRECISION * abs(least)


def measure(case: Case) -> dict[str, Result]:
    """Fit by all sides in turn, after a first fit of each that settles ``tol``."""
    problem = case.problem()
    fits = our_sides(case, problem)
    results = {name: Result() for name in fits}
    for name, fit in fits.items():
        timed(results[name], problem, fit)
    least = min(result.value for result in results.values())
    for solver, fit_to in peers_sides(case, problem).items():
        name = f"sklearn {solver}"
        for tol in TOLS:
            fits[name] = partial(fit_to, tol)
            results[name] = Result()
            timed(results[name], problem, fits[name])
            if as_low(results[name], least):
                break
    for _ in range(REPETITIONS[scale()]):
        for name, fit in fits.items():
            if results[name].wall <= SECONDS:
                timed(results[name], problem, fit)
    return results


def line(case: Case, results: dict[str, Result]) -> str:
    """Return a row of the table."""
    default = results["default"]
    least = min(result.value for result in results.values())
    peers = {name: r for name, r in results.items() if name.startswith("sklearn")}
    own = min(results["default"], results["lbfgs"], key=lambda r: r.wall)
    equal = {name: r for name, r in peers.items() if as_low(r, least)} or peers
    fastest = min(equal, key=lambda name: equal[name].wall)
    peer = peers[fastest]

    def told(result: Result) -> str:
        above = (result.value - least) / abs(least)
        return f"{result.wall:.3f} ({result.processor:.3f}) {above:.0e}"

    return (
        f"| {case} | {default.regime} | {told(default)} | {told(results['lbfgs'])} | "
        f"{fastest.removeprefix('sklearn ')} {told(peer)} | "
        f"{default.wall / own.wall:.2f} | {default.wall / peer.wall:.2f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="of the cases' names; all of them by default")
    words = parser.parse_args().words
    chosen = [case for case in cases() if not words or any(w in str(case) for w in words)]
    print("| case | regime | default | own lbfgs | scikit-learn's fastest | / own | / theirs |")
    print("|---|---|---|---|---|---|---|")
    warnings.simplefilter("ignore")
    with Executor(processes=False, n_workers=2):
        for case in chosen:
            print(line(case, measure(case)), flush=True)


class Shapes:
    """A case of each model, for whoever watches it over time."""

    params = [["binary 2000x5900 easy", "binary 200x2000 easy"]]
    param_names = ["case"]

    def setup(self, case: str) -> None:
        if scale() == "tiny":
            raise NotImplementedError
        self.case = next(found for found in cases() if str(found) == case)

    def track_ratio_to_own(self, case: str) -> float:
        """Seconds of the default over the best of our own solvers."""
        with Executor(processes=False, n_workers=2):
            results = measure(self.case)
        return results["default"].wall / min(results["default"].wall, results["lbfgs"].wall)


if __name__ == "__main__":
    main()
