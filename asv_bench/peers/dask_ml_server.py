"""dask-ml on two worker processes of one thread: ``python -m peers.dask_ml_server FOLDER``.

Runs in an interpreter that has dask-ml, and imports nothing else of ours but the reader of rows.

dask-ml standardises columns unless told otherwise, and would penalise the coefficients of those;
told so, its objective is the sum of losses plus the penalty over C, on the intercept too. Its
"newton" leaves the penalty out.
"""

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from dask_ml.linear_model import LogisticRegression
from distributed import Client, LocalCluster, wait

from peers.serve import Answer, serve
from peers.storage import cuts, load_X, load_y

WORKERS, PARTITIONS = 2, 8


def rows_of(index: Any, load: Any, folder: Path, bounds: list[tuple[int, int]]) -> Any:
    return load(folder, *bounds[int(index[0])])


def main() -> None:
    folder = Path(sys.argv[1])
    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        X, y = client.persist(list(arrays(folder)))
        wait([X, y])
        serve(lambda setting: fit(X, y, setting))


def arrays(folder: Path) -> tuple[da.Array, da.Array]:
    n, d = np.load(folder / "X.npy", mmap_mode="r").shape
    bounds = cuts(n, PARTITIONS)
    sizes = tuple(stop - start for start, stop in bounds)
    index = da.arange(PARTITIONS, chunks=1)
    common = {"folder": folder, "bounds": bounds}
    X = index.map_blocks(
        rows_of, load_X, new_axis=1, chunks=(sizes, (d,)), meta=np.empty((0, 0)), **common
    )
    return X, index.map_blocks(
        rows_of, load_y, chunks=(sizes,), meta=np.empty(0, dtype=np.int64), **common
    )


def fit(X: da.Array, y: da.Array, setting: dict[str, Any]) -> Answer:
    # Not standardised, so that the penalty is on the coefficients as they are.
    model = LogisticRegression(solver_kwargs={"normalize": False}, **setting)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between its dependencies
        started = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - started
    return seconds, np.asarray(model.coef_).ravel().tolist(), float(model.intercept_)


if __name__ == "__main__":
    main()
