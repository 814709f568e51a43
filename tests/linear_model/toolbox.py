"""Kinds of input, and records of rounds that nobody ran."""

import itertools

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import scipy.sparse as sp

from daskml_exec.training import RoundRecord

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


def round_record(number, step):
    return RoundRecord(
        round=number,
        step=step,
        loss=None if step == "moments" else 0.5,
        gradient_norm=None if step == "moments" else 0.1,
        seconds=0.5,
        bytes_out=1_500_000,
        bytes_back=500_000,
        workers=2,
        busiest_seconds=0.25,
        workers_lost=0,
        tasks_recomputed=0,
        retries=0,
    )


def as_dask(X):
    """Return a Dask array of four row chunks, one of them empty."""
    return da.from_array(X, chunks=((20, 0, 33, len(X) - 53), *X.shape[1:]))


def as_csr(X):
    return as_dask(X).map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0)))


def as_frame(X):
    """Return a Dask dataframe of up to four columns or a series, with an index of threes."""
    index = np.arange(len(X)) * 3
    if X.ndim == 1:
        return dd.from_pandas(pd.Series(X, index), npartitions=4)
    return dd.from_pandas(pd.DataFrame(X, index, NAMES[: X.shape[1]]), npartitions=4)


def as_futures(executor, X, cuts=(20, 20, 53)):
    """Return futures of the rows between the cuts."""
    bounds = [0, *cuts, X.shape[0]]
    return executor.client.scatter([X[a:b] for a, b in itertools.pairwise(bounds)], hash=False)


def computed(result):
    return np.asarray(result.compute() if dask.is_dask_collection(result) else result)
