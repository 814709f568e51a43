"""Rows in .npy files, from which worker processes and other interpreters read their own.

Imports nothing of ours: the interpreters of Spark and dask-ml run it too.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np


def store(folder: Path, X: Any, y: Any) -> None:
    """Write dense rows as they are, and sparse ones as the three arrays of CSR; y may be None."""
    folder.mkdir(parents=True, exist_ok=True)
    if y is not None:
        np.save(folder / "y.npy", y)
    if hasattr(X, "indptr"):
        for name in ("data", "indices", "indptr"):
            np.save(folder / f"{name}.npy", getattr(X, name))
        np.save(folder / "width.npy", X.shape[1])
    else:
        np.save(folder / "X.npy", X)


def load_y(folder: Path, start: int, stop: int | None) -> Any:
    return np.array(np.load(folder / "y.npy", mmap_mode="r")[start:stop])


def load_X(folder: Path, start: int, stop: int | None) -> Any:
    """Return a copy of these rows, in memory; of dense ones those to the end without `stop`."""
    if (folder / "X.npy").exists():
        return np.array(np.load(folder / "X.npy", mmap_mode="r")[start:stop])
    import scipy.sparse as sp  # an interpreter for dense problems need not have it

    data, indices, indptr = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("data", "indices", "indptr")
    )
    bounds = np.array(indptr[start : stop + 1])
    inside = slice(bounds[0], bounds[-1])
    return sp.csr_matrix(
        (np.array(data[inside]), np.array(indices[inside]), bounds - bounds[0]),
        shape=(stop - start, int(np.load(folder / "width.npy"))),
    )


def cuts(n: int, parts: int) -> list[tuple[int, int]]:
    """Return the row ranges of partitions of equal size."""
    edges = [n * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))
