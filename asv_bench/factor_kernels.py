"""What half-steps of alternating least squares cost in one thread, beside those of `implicit`.

::

    cd asv_bench
    python -m factor_kernels                          # 4.5 million entries: a minute or two
    python -m factor_kernels --rows 5000 --items 1000 --entries 100000 --rounds 3

The sides take turns. An iteration is both half-steps, with the Gram matrices and all that goes with
them, from factors that the same side left. Printed are CPU seconds, median and range, the ratio to
`implicit`'s conjugate gradients of the same round, and for ours how much of that a half-step's rows
alone take, without the Gram matrix and what else is done once for all of them. For exact
half-steps also the flops of the systems formed and solved, the smaller one of each row, in a second
of these, over what a large product of matrices by BLAS does in one: the share. `implicit` takes
the confidence itself where we take the value, and knows no penalty that grows with the entries.
"""

import argparse
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from daskml_exec.kernels.factors.chunks import ROWS, gram_nodes
from daskml_exec.kernels.factors.half_steps import half_step
from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.kernels.factors.prepared import prepare
from daskml_exec.kernels.factors.ratings import Ratings
from daskml_exec.kernels.fixed_tree import fold_siblings
from interactions import interactions, transposed
from peers.table import spread

OBJECTIVE = Objective("implicit", 1.0, 1.0, 0.0)


class Ours:
    """Both sides' factors, and iterations by a solver."""

    def __init__(self, matrix: sp.csr_array, k: int, solver: str) -> None:
        self.sides = [_ratings(matrix), _ratings(transposed(matrix))]
        self.factors = _first(matrix, k)
        self.solver = solver
        self.of_rows = 0.0

    def iterate(self) -> None:
        self.of_rows = 0.0
        for own in (0, 1):
            other = self.factors[1 - own]
            prepared = prepare(other, _gram(other), OBJECTIVE, self.solver)
            began = time.process_time()
            self.factors[own], _ = half_step(self.sides[own], prepared, self.factors[own])
            self.of_rows += time.process_time() - began


class Implicit:
    """The same by `implicit`."""

    def __init__(self, matrix: sp.csr_array, k: int, function: str) -> None:
        self.solve = getattr(importlib.import_module("implicit.cpu._als"), function)
        self.sides = [_confidences(matrix), _confidences(transposed(matrix))]
        self.factors = _first(matrix, k)

    def iterate(self) -> None:
        for own in (0, 1):
            pair = self.factors[own], self.factors[1 - own]
            self.solve(self.sides[own], *pair, OBJECTIVE.reg, num_threads=1)


def _first(matrix: sp.csr_array, k: int) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(scale=0.1, size=(n, k)).astype(np.float32) for n in matrix.shape]


def _ratings(matrix: sp.csr_array) -> Ratings:
    return Ratings(matrix.indptr, matrix.indices, matrix.data)


def _confidences(matrix: sp.csr_array) -> sp.csr_matrix:
    parts = (1.0 + OBJECTIVE.alpha * matrix.data, matrix.indices, matrix.indptr.astype(np.int32))
    return sp.csr_matrix(parts, matrix.shape)


def _gram(factors: Any) -> Any:
    n = len(factors)
    nodes = fold_siblings(gram_nodes(factors, 0, n), -(-n // ROWS), lambda a, b: a + b)
    (gram,) = nodes.values()
    return gram


def flops(matrix: sp.csr_array, k: int) -> float:
    """Return the flops of the systems that are formed, one half of each, and solved."""
    n = np.diff(matrix.indptr).astype(np.float64)
    return float(np.where(n < k, n * n * k + n**3 / 3, n * k * k + k**3 / 3).sum())


def seconds(function: Callable[[], Any]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


def product_rate(size: int = 2048) -> float:
    """Return the flops of a second of a large product."""
    square = np.random.default_rng(0).random((size, size), dtype=np.float32)
    return 2.0 * size**3 / seconds(lambda: square @ square)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m factor_kernels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--entries", type=int, default=4_500_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    matrix, k = interactions(given.rows, given.items, given.entries), given.factors
    print(f"{given.rows:,} x {given.items:,}, {matrix.nnz:,} entries, {k} factors in float32")
    sides: dict[str, Any] = {"exact": Ours(matrix, k, "exact"), "cg": Ours(matrix, k, "cg")}
    if importlib.util.find_spec("implicit") is not None:
        sides["implicit cg"] = Implicit(matrix, k, "least_squares_cg")
        sides["implicit cholesky"] = Implicit(matrix, k, "least_squares")
    work = flops(matrix, k) + flops(transposed(matrix), k)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    of_rows: dict[str, list[float]] = {"exact": [], "cg": []}
    shares = []
    with threadpool_limits(1):
        for side in sides.values():
            side.iterate()  # loops are compiled, and factors are no longer those of chance
        for _ in range(given.rounds):
            for name, side in sides.items():
                taken[name].append(seconds(side.iterate))
                if name in of_rows:
                    of_rows[name].append(side.of_rows)
            shares.append(work / of_rows["exact"][-1] / product_rate())
    for name, each in taken.items():
        told = f"{name:>18}: {spread(each)} s"
        if name in of_rows:
            told += f", rows alone {statistics.median(of_rows[name]):.3f} s"
        if "implicit cg" in taken:
            ratios = [a / b for a, b in zip(each, taken["implicit cg"], strict=True)]
            told += f"; {spread(ratios)} of implicit cg"
        print(told, flush=True)
    print(f"share of a large product, exact: {spread(shares)}")


if __name__ == "__main__":
    main()
