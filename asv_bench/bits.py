"""The bits of many small fits, to see what a change of the code does to them.

::

    cd asv_bench
    python -m bits > before.txt                       # a line for each fit
    python -m bits > after.txt                        # the same, with other code
    python -m bits --compare before.txt after.txt     # what differs, and who is nearer the optimum

A line has a fit's name, a hash of its coefficients' bytes, their distance from the optimum (in
norm, relative), and its iterations. The optimum is scikit-learn's, by a direct solver or a tight
tolerance; a network on one partition is compared with theirs, from the same weights through
the same batches; those on several have none ("-"). Another processor, BLAS or NumPy gives other
hashes: both files have to come from the same ones.
"""

import argparse
import hashlib
import itertools
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn import linear_model as theirs
from sklearn import neural_network as their_networks

from daskml_exec import Executor
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor

ROUNDING = {"float64": 1e-11, "float32": 1e-6}  # below this, distances say nothing


@dataclass(frozen=True)
class Problem:
    """Rows, targets of each kind, weights."""

    X: Any
    labels: dict[int, np.ndarray]
    counts: np.ndarray
    numbers: np.ndarray
    weight: np.ndarray

    def target(self, of: str) -> np.ndarray:
        """Return y: of "2" or "3" classes, "counts" or "numbers"."""
        return self.labels[int(of)] if of.isdigit() else getattr(self, of)


@dataclass(frozen=True)
class Case:
    """One fit: how it is called, and where its optimum is."""

    name: str
    fit: Callable[[Executor], Any]
    optimum: Callable[[], np.ndarray] | None = None


@cache
def problem(n: int, d: int, density: float = 1.0) -> Problem:
    """Return columns of unlike scales and offsets, dense or, if few are non-zero, sparse."""
    rng = np.random.default_rng([n, d])
    if density == 1.0:
        X = rng.standard_normal((n, d)) * rng.choice([0.3, 1.0, 3.0], d) + rng.normal(size=d)
        u = (X - X.mean(axis=0)) / X.std(axis=0)
    else:
        X = u = sp.random_array((n, d), density=density, format="csr", rng=rng)
    u = u @ (rng.standard_normal((d, 3)) / np.sqrt(d * density))
    noisy = u * 2 + rng.gumbel(size=(n, 3))
    return Problem(
        X=X,
        labels={K: noisy[:, :K].argmax(axis=1) for K in (2, 3)},
        counts=rng.poisson(np.exp(0.5 * u[:, 0] + 1.0)).astype(np.float64),
        numbers=3.0 + u[:, 0] + 0.1 * rng.standard_normal(n),
        weight=rng.exponential(size=n) * (rng.random(n) < 0.8),
    )


# Ways in. Each returns what `fit` takes for X; y and weights are cut to it by the package.

UNEVEN = [0.11, 0.02, 0.0, 0.3, 0.24, 0.27, 0.06]


def lengths(n: int, cut: str) -> list[int]:
    """Return rows of each piece for "1", "3" or "uneven", which has seven with an empty one."""
    shares = UNEVEN if cut == "uneven" else [1 / int(cut)] * int(cut)
    bounds = np.rint(np.cumsum([0.0, *shares]) * n).astype(int)
    return [int(stop - start) for start, stop in itertools.pairwise(bounds)]


def as_dask(executor: Executor, X: Any, cut: str) -> Any:
    return chunked(X, cut, X.shape[1])


def as_cells(executor: Executor, X: Any, cut: str) -> Any:
    return chunked(X, cut, X.shape[1] // 2)


def chunked(X: Any, cut: str, columns: int) -> Any:
    dense = X.toarray() if sp.issparse(X) else X
    found = da.from_array(dense, chunks=(tuple(lengths(X.shape[0], cut)), columns))
    return found.map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0))) if sp.issparse(X) else found


def as_frame(executor: Executor, X: Any, cut: str) -> Any:
    names = [f"column {j}" for j in range(X.shape[1])]
    return dd.from_pandas(pd.DataFrame(X, columns=names), npartitions=int(cut))


def as_futures(executor: Executor, X: Any, cut: str) -> Any:
    bounds = [0, *np.cumsum(lengths(X.shape[0], cut))]
    pieces = [X[start:stop] for start, stop in itertools.pairwise(bounds)]
    return executor.client.scatter(pieces, hash=False)


def in_memory(executor: Executor, X: Any, cut: str) -> Any:
    return X


WAYS = {
    "memory": in_memory,
    "dask": as_dask,
    "frame": as_frame,
    "futures": as_futures,
    "cells": as_cells,
}


def nbytes(X: Any) -> int:
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if sp.issparse(X) else X.nbytes


def call(
    model: Any, rows: Problem, of: str, way: str, cut: str, *, dtype: str, csr: bool, weighted: bool
) -> Callable[[Executor], Any]:
    """Return a fit that has not been made yet."""

    def fit(executor: Executor) -> Any:
        X = (sp.csr_array(rows.X) if csr else rows.X).astype(dtype)
        piece = nbytes(X) // int(cut) + 1000 if way == "memory" else 8 << 20
        with dask.config.set({"daskml-exec.partition-bytes": piece}):
            data = WAYS[way](executor, X, cut)
            return model.fit(data, rows.target(of), rows.weight if weighted else None)

    return fit


# The optimum, by scikit-learn, in float64 of the numbers that the fit saw.


def flat(coef: Any, intercept: Any) -> np.ndarray:
    return np.concatenate([np.ravel(coef), np.ravel(intercept)]).astype(np.float64)


def optimum(model: Any, rows: Problem, of: str, *, dtype: str, weighted: bool) -> np.ndarray:
    X = (rows.X.toarray() if sp.issparse(rows.X) else rows.X).astype(dtype).astype(np.float64)
    y, weight = rows.target(of), rows.weight if weighted else None
    shared = {"fit_intercept": model.fit_intercept}
    tight = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000, **shared}
    if isinstance(model, LinearRegression):
        return least_norm(X, y, weight, model.fit_intercept)
    if isinstance(model, Ridge):
        exact = theirs.Ridge(alpha=model.alpha, solver="svd", **shared)
    elif isinstance(model, LogisticRegression):
        exact = theirs.LogisticRegression(C=model.C, **tight)
    else:
        exact = theirs.PoissonRegressor(alpha=model.alpha, **tight)
    exact.fit(X, y, weight)
    return flat(exact.coef_, exact.intercept_)


def least_norm(X: Any, y: Any, weight: Any, intercept: bool) -> np.ndarray:
    root = np.sqrt(np.ones(len(y)) if weight is None else weight)
    mean, level = np.zeros(X.shape[1]), 0.0
    if intercept:
        mean, level = np.average(X, axis=0, weights=root**2), np.average(y, weights=root**2)
    coef = np.linalg.lstsq((X - mean) * root[:, None], (y - level) * root, rcond=None)[0]
    return flat(coef, level - mean @ coef)


# Linear models.

LINEAR: dict[str, tuple[Any, dict[str, Any], str]] = {
    "logistic2": (LogisticRegression, {}, "2"),
    "logistic3": (LogisticRegression, {}, "3"),
    "poisson": (PoissonRegressor, {"alpha": 1e-3}, "counts"),
    "ridge": (Ridge, {}, "numbers"),
    "linear": (LinearRegression, {}, "numbers"),
}
SMALL, WIDE, TALL, SPARSE = (600, 6), (60, 150), (40_000, 12), (1_500, 1_200, 0.02)
ALL = [*LINEAR]
PENALISED = ["logistic2", "logistic3", "poisson", "ridge"]


def linear_case(
    kind: str,
    shape: tuple[Any, ...] = SMALL,
    way: str = "dask",
    cut: str = "3",
    *,
    dtype: str = "float64",
    csr: bool = False,
    weighted: bool = False,
    **arguments: Any,
) -> Case:
    cls, defaults, of = LINEAR[kind]
    rows, model = problem(*shape), cls(**defaults | arguments)
    words = [kind, "x".join(map(str, shape[:2])), way, cut, dtype]
    words += ["csr"] * csr + ["weighted"] * weighted
    words += [f"{name}={value}" for name, value in arguments.items()]
    seen = {"dtype": dtype, "weighted": weighted}
    return Case(
        "/".join(words),
        call(model, rows, of, way, cut, csr=csr, **seen),
        lambda: optimum(model, rows, of, **seen),
    )


def linear_cases() -> Iterator[Case]:
    for kind in ALL:
        yield linear_case(kind, way="memory", cut="1")
        yield linear_case(kind, way="memory", cut="7")
        yield linear_case(kind, way="memory", cut="3", dtype="float32")
        yield linear_case(kind, way="memory", cut="3", csr=True)
        yield linear_case(kind, cut="1")
        yield linear_case(kind, cut="3")
        yield linear_case(kind, cut="3", weighted=True)
        yield linear_case(kind, cut="uneven")
        yield linear_case(kind, cut="uneven", csr=True, weighted=True)
        yield linear_case(kind, cut="uneven", dtype="float32")
        yield linear_case(kind, way="frame", cut="3")
        yield linear_case(kind, way="futures", cut="uneven")
        yield linear_case(kind, fit_intercept=False)
        yield linear_case(kind, way="cells", cut="3", parallel="model")
        yield linear_case(kind, way="cells", cut="3", csr=True, parallel="model")
        yield linear_case(kind, TALL, cut="uneven")
        yield linear_case(kind, WIDE, cut="3")
        yield linear_case(kind, WIDE, way="memory", cut="1")
    for kind in PENALISED:
        yield linear_case(kind, solver="lbfgs", way="memory", cut="1")
        yield linear_case(kind, solver="lbfgs", cut="uneven", csr=True)
        yield linear_case(kind, SPARSE, cut="3", csr=True)
    for kind, C in itertools.product(["logistic2", "logistic3"], [1e-4, 1e4]):
        yield linear_case(kind, cut="uneven", C=C)
    for alpha in (0.0, 1e-6, 1e3):
        yield linear_case("ridge", cut="uneven", alpha=alpha)
        yield linear_case("poisson", cut="uneven", alpha=alpha)
    for kind in ("logistic2", "logistic3"):
        yield linear_case(kind, solver="averaging", cut="uneven")


# Networks.

NETWORKS = [
    (MLPClassifier, their_networks.MLPClassifier),
    (MLPRegressor, their_networks.MLPRegressor),
]
NETWORK = {"hidden_layer_sizes": (9, 7), "max_iter": 4, "random_state": 1, "sync_every": 3}


def parameters(model: Any) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in (*model.coefs_, *model.intercepts_)])


def left_out(parallel: str = "data", **_: Any) -> set[str]:
    return {"sync_every"} if parallel == "model" else set()  # nothing is averaged there


def network_case(
    of: str, way: str = "dask", cut: str = "3", *, dtype: str = "float64", csr: bool = False,
    weighted: bool = False, times: int = 0, **arguments: Any,
) -> Case:  # fmt: skip
    cls, _ = NETWORKS[of == "numbers"]
    shared = {name: value for name, value in NETWORK.items() if name not in left_out(**arguments)}
    rows, model = problem(*SMALL), cls(**shared | arguments)
    words = [f"network-{of}", way, cut, dtype, *["csr"] * csr, *["weighted"] * weighted]
    words += [f"{name}={value}" for name, value in arguments.items()]
    fit = call(model, rows, of, way, cut, dtype=dtype, csr=csr, weighted=weighted)
    if times:
        words.append(f"partial_fit-{times}-times")

        def fit(executor: Executor) -> Any:
            data, y = as_dask(executor, rows.X.astype(dtype), cut), rows.target(of)
            classes = {} if of == "numbers" else {"classes": np.unique(y)}
            for _ in range(times):
                model.partial_fit(data, y, **classes)
            return model

    return Case("/".join(words), fit)


def beside_theirs(of: str, dtype: str, **arguments: Any) -> Case:
    """A network on one partition: the steps of scikit-learn's, from the same weights."""
    ours, base = NETWORKS[of == "numbers"]
    shared = NETWORK | {"shuffle": False} | arguments
    rows = problem(*SMALL)
    X, y = rows.X.astype(dtype), rows.target(of)

    def their_weights() -> np.ndarray:
        # Steps of no length leave the weights that training starts from.
        start = ours(**shared | {"learning_rate_init": 1e-300, "max_iter": 1, "alpha": 0.0})
        start.fit(X.astype(np.float64), y)
        layers = zip(start.coefs_, start.intercepts_, strict=True)

        class Started(base):  # type: ignore[misc, valid-type]
            def _init_coef(self, *_: Any) -> Any:
                return tuple(piece.copy() for piece in next(layers))

        known = {name: value for name, value in shared.items() if name != "sync_every"}
        return parameters(Started(**known).fit(X.astype(np.float64), y))

    words = [f"network-{of}", "memory", "1", dtype, *(f"{n}={v}" for n, v in arguments.items())]
    return Case("/".join([*words, "in-order"]), lambda _: ours(**shared).fit(X, y), their_weights)


def network_cases() -> Iterator[Case]:
    for of, solver in itertools.product(["2", "3", "numbers"], ["adam", "sgd"]):
        yield beside_theirs(of, "float64", solver=solver)
        yield network_case(of, cut="3", solver=solver)
        yield network_case(of, cut="uneven", solver=solver, dtype="float32", weighted=True)
        yield network_case(of, cut="uneven", solver=solver, early_stopping=True)
    yield beside_theirs("3", "float32")
    for of, codec in itertools.product(["3", "numbers"], ["fp16", "topk:0.1"]):
        yield network_case(of, cut="3", compression=codec)
        yield network_case(of, cut="uneven", compression=codec, dtype="float32")
    for of in ("3", "numbers"):
        yield network_case(of, way="memory", cut="1")
        yield network_case(of, way="memory", cut="7")
        yield network_case(of, way="frame", cut="3")
        yield network_case(of, way="futures", cut="uneven", csr=True)
        yield network_case(of, cut="3", times=3)
        yield network_case(of, cut="3", shuffle="partitions")
        yield network_case(of, cut="3", outer="average", sync_every="epoch")
        yield network_case(of, cut="3", activation="tanh", batch_size=50)
        yield network_case(of, cut="3", parallel="model", n_blocks=3)
        yield network_case(of, cut="3", parallel="model", n_blocks=1, dtype="float32")
        yield network_case(of, cut="3", parallel="hybrid", n_blocks=2, n_replicas=2)


# What is printed, and compared.


def line(case: Case, executor: Executor) -> str:
    try:
        model = case.fit(executor)
    except Exception as error:
        return f"{case.name} {type(error).__name__} - -"
    is_network = hasattr(model, "coefs_")
    found = parameters(model) if is_network else flat(model.coef_, model.intercept_)
    distance = "-"
    if case.optimum is not None:
        expected = case.optimum()
        distance = f"{np.linalg.norm(found - expected) / np.linalg.norm(expected):.1e}"
    n_iter = int(np.ravel(model.n_iter_)[0]) if hasattr(model, "n_iter_") else "-"
    parts = [*model.coefs_, *model.intercepts_] if is_network else [model.coef_, model.intercept_]
    digest = hashlib.sha256()
    for part in map(np.asarray, parts):
        digest.update(f"{part.dtype}".encode() + np.ascontiguousarray(part).tobytes())
    return f"{case.name} {digest.hexdigest()[:16]} {distance} {n_iter}"


def compare(before: Path, after: Path) -> int:
    """Print what differs; return how many fits went farther from their optimum, or failed."""
    one, other = (
        {name: rest for name, *rest in map(str.split, path.read_text().splitlines())}
        for path in (before, after)
    )
    differ = worse = 0
    names = list(dict.fromkeys([*one, *other]))
    for name in names:
        was, now = one.get(name, ["absent", "-", "-"]), other.get(name, ["absent", "-", "-"])
        if was[0] == now[0]:
            continue
        differ += 1
        verdict = "other bits"
        if now[0] != "absent" and "-" not in (was[1], now[1]):
            near = ROUNDING["float32" if "float32" in name else "float64"]
            nearer = float(now[1]) <= max(float(was[1]), near)
            verdict = "at least as near" if nearer else "FARTHER"
        elif now[0].endswith("Error"):
            verdict = "FAILS"
        worse += verdict.isupper()
        print(f"{name}: {verdict}; {' '.join(was)} -> {' '.join(now)}")
    print(f"{len(names) - differ} of {len(names)} fits have the same bits; {worse} are worse")
    return worse


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bits", description=__doc__.splitlines()[0])
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--only", default="", help="fits whose name contains this")
    options = parser.parse_args()
    if options.compare:
        sys.exit(compare(*options.compare) > 0)
    warnings.simplefilter("ignore")
    with Executor(processes=False, n_workers=2) as executor:
        for case in itertools.chain(linear_cases(), network_cases()):
            if options.only in case.name:
                print(line(case, executor), flush=True)


if __name__ == "__main__":
    main()
