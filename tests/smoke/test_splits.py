"""Splits of each kind of collection, once: what must work with every release that is supported."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from daskml_exec import Executor
from daskml_exec.model_selection import StratifiedKFold, train_test_split

pytestmark = pytest.mark.smoke

X = np.arange(40.0).reshape(20, 2)
Y = np.arange(20) % 2
ROWS = da.from_array(X, chunks=(7, 2))
KINDS = {
    "array": lambda: ROWS,
    "sparse": lambda: ROWS.map_blocks(sp.csr_matrix),
    "frame": lambda: dd.from_pandas(pd.DataFrame(X, columns=["a", "b"]), npartitions=3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_splits(kind):
    with Executor(processes=False, n_workers=2):
        y = da.from_array(Y, chunks=5)
        rows = KINDS[kind]()
        for train, test in StratifiedKFold(2).split(rows, y):
            found = train(rows).compute()
            assert found.shape == test(rows).compute().shape == (10, 2)
            assert train(y).compute().sum() == 5
        _, some = train_test_split(rows, test_size=0.25, shuffle=False)
        some = some.compute()
        values = some.toarray() if sp.issparse(some) else np.asarray(some)
        assert values.tolist() == X[15:].tolist()
