"""Our side: data persisted on two worker processes of one thread, or NumPy in this process."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import scipy.sparse as sp
from distributed import wait

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from peers.images import Images
from peers.options import Options
from peers.problems import Problem
from peers.sides import Fitted, Setting, Side, timed_fit, tolerances
from peers.storage import cuts, load_X, load_y, store

WORKERS, PARTITIONS = 2, 8
LADDER = tolerances(2, 10)

MakeModel = Callable[..., Any]


@contextmanager
def two_workers(options: Options) -> Iterator[Executor]:
    """Open two processes; for tiny problems threads, which start sooner."""
    with Executor(n_workers=WORKERS, threads_per_worker=1, processes=not options.tiny) as executor:
        yield executor


def persisted(
    executor: Executor, problem: Problem | Images, partitions: int = PARTITIONS
) -> tuple[da.Array, da.Array]:
    """Return X and y as Dask arrays that the workers hold; they read the rows themselves."""
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder), problem.X, problem.y)
        arrays = executor.client.persist(list(_arrays(Path(folder), problem, partitions)))
        wait(arrays)  # before the files go
    return arrays[0], arrays[1]


def side(X: Any, y: Any, make: MakeModel, who: str = "daskml_exec", **parameters: Any) -> Side:
    """Return our side; a model whose solver has no tolerance has one setting."""
    has_tol = "tol" in make().get_params()
    return Side(who, LADDER if has_tol else ({},), partial(_fit, make, X, y, parameters))


def logistic(X: Any, y: Any, problem: Problem, who: str = "daskml_exec") -> Side:
    return side(X, y, LogisticRegression, who, C=problem.C)


def _fit(make: MakeModel, X: Any, y: Any, parameters: dict[str, Any], setting: Setting) -> Fitted:
    return timed_fit(make(**parameters, **setting), X, y)


def _arrays(folder: Path, problem: Problem | Images, partitions: int) -> tuple[da.Array, da.Array]:
    bounds = cuts(problem.rows, partitions)
    sizes = tuple(stop - start for start, stop in bounds)
    index = da.arange(partitions, chunks=1)
    width = problem.X.shape[1]
    y = index.map_blocks(
        _y_of, folder=folder, bounds=bounds, chunks=(sizes,), meta=np.empty(0, problem.y.dtype)
    )
    X = index.map_blocks(
        _X_of,
        folder=folder,
        bounds=bounds,
        new_axis=1,
        chunks=(sizes, (width,)),
        meta=sp.csr_matrix((0, 0)) if sp.issparse(problem.X) else np.empty((0, 0), problem.X.dtype),
    )
    return X, y


def _X_of(index: Any, folder: Path, bounds: list[tuple[int, int]]) -> Any:
    return load_X(folder, *bounds[int(index[0])])


def _y_of(index: Any, folder: Path, bounds: list[tuple[int, int]]) -> Any:
    return load_y(folder, *bounds[int(index[0])])
