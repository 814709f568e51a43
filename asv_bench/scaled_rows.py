"""What a scaler in front of a linear model costs, where it becomes part of the model.

::

    cd asv_bench
    python -m scaled_rows                 # 800 MB on two worker processes, and smaller shapes
    python -m scaled_rows --shapes 1000000x100 --pairs 9

The two sides take turns: `LogisticRegression` on rows that Workers hold, and a pipeline of
`StandardScaler` and the same. A third side has rows scaled that the model does not know to be so:
they are made in the fit. Columns are of one size, so that all sides solve the same problem. Printed
are the model's seconds alone, and the others' over them.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from sklearn.pipeline import make_pipeline

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.preprocessing import StandardScaler
from peers.table import spread

SHAPES = ("1000000x100", "100000x100", "10000x20", "1000x10", "100000x4", "2000x3000")
PARTITIONS = 8


def rows(executor: Executor, n: int, d: int) -> tuple[Any, Any]:
    """Return rows and labels that the Workers hold."""
    rng = da.random.default_rng(0)
    X = rng.normal(size=(n, d), chunks=(-(-n // PARTITIONS), d))
    margins = X @ np.random.default_rng(1).normal(size=d) / np.sqrt(d) * 2
    y = (rng.random(size=n, chunks=X.chunks[0]) < 1 / (1 + da.exp(-margins))).astype(np.int64)
    X, y = executor.client.persist([X, y])
    executor.client.compute([X.sum(), y.sum()], sync=True)
    return X, y


def alone(X: Any, y: Any) -> None:
    LogisticRegression().fit(X, y)


def behind_a_scaler(X: Any, y: Any) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    assert "no scaled row was made" in str(model[-1].explain())


def of_scaled_rows(X: Any, y: Any) -> None:
    scaled = StandardScaler().fit_transform(X)
    LogisticRegression().fit(scaled.map_blocks(_itself, dtype=X.dtype), y)


def _itself(block: Any) -> Any:
    return block


def seconds(fit: Callable[[Any, Any], None], X: Any, y: Any) -> float:
    began = time.perf_counter()
    fit(X, y)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="rows x columns")
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    sides = (alone, behind_a_scaler, of_scaled_rows)
    with Executor(n_workers=2, threads_per_worker=1) as executor:
        for shape in given.shapes:
            n, d = map(int, shape.split("x"))
            X, y = rows(executor, n, d)
            for fit in sides:
                fit(X, y)
            taken = [[seconds(fit, X, y) for fit in sides] for _ in range(given.pairs)]
            base = statistics.median(each[0] for each in taken)
            print(
                f"{shape:>12}: model alone {base:.3f} s; "
                f"behind a scaler {spread([each[1] / each[0] for each in taken])}; "
                f"of scaled rows {spread([each[2] / each[0] for each in taken])}",
                flush=True,
            )
            del X, y


if __name__ == "__main__":
    main()
