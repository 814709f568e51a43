"""A look at each column: against pandas, on whatever holds the rows."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from daskml_exec import Executor
from daskml_exec.preprocessing import profile
from daskml_exec.training import load


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def table(n=600):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "count": rng.integers(0, 5, n),
            "size": rng.normal(3, 2, n),
            "city": rng.choice(["Bonn", "Rome", None], n, p=[0.5, 0.3, 0.2]),
            "name": [f"name {i}" for i in range(n)],
            "kind": pd.Categorical(rng.choice(list("ab"), n), categories=list("abc")),
            "flag": rng.random(n) < 0.3,
            "day": pd.date_range("2020", periods=n),
            "constant": 7,
            "nothing": np.nan,
        }
    )
    frame["same"] = frame["size"]
    frame["gaps"] = frame["size"].where(rng.random(n) < 0.9)
    frame.loc[5, "gaps"] = np.inf
    frame.loc[6, "size"] = 1e9
    frame.loc[6, "same"] = 1e9
    return frame


@pytest.fixture(params=["memory", "cluster", "futures", "data"])
def found(request, executor):
    frame = table()
    if request.param == "memory":
        yield frame, profile(frame)
    elif request.param == "cluster":
        yield frame, profile(dd.from_pandas(frame, npartitions=4))
    elif request.param == "futures":
        pieces = [frame[:100], frame[100:100], frame[100:]]
        yield frame, profile(executor.client.scatter(pieces, hash=False))
    else:
        with load(dd.from_pandas(frame, npartitions=3), raw=True) as data:
            yield frame, profile(data)


def test_it_is_what_pandas_says(found):
    frame, found = found
    assert [each.name for each in found.columns] == list(frame.columns)
    for each in found.columns:
        column = frame[each.name]
        assert each.rows == len(frame) and each.missing == column.isna().sum()
        there = column.dropna()
        if each.name not in ("size", "same", "gaps", "name", "day"):
            assert each.distinct == there.nunique()
            if len(there):
                counts = there.value_counts()
                common = counts[counts == counts.max()].index
                number = pd.api.types.is_numeric_dtype(column.dtype)
                assert each.commonest in [f"{float(v):g}" if number else str(v) for v in common]
        if pd.api.types.is_numeric_dtype(column.dtype):
            finite = column.astype(float).replace(np.inf, np.nan).dropna()
            assert each.zeros == (finite == 0).sum()
            if len(finite):
                got = [each.mean, each.std, each.least, each.q25, each.median, each.largest]
                wanted = [
                    finite.mean(),
                    finite.std(ddof=0),
                    finite.min(),
                    *finite.quantile([0.25, 0.5]),
                    finite.max(),
                ]
                assert_allclose(got, wanted, rtol=1e-10)


def test_what_to_clean(found):
    _, found = found
    remarks = found.remarks
    assert remarks["no value"] == "nothing"
    assert remarks["one value"] == "constant"
    assert remarks["alike"] == "size = same"
    assert remarks["infinite"] == "gaps 1"
    assert remarks["many values"].startswith("name 600")
    assert "city" in remarks["missing"] and "gaps" in remarks["missing"]
    size = next(each for each in found.columns if each.name == "size")
    assert 1 <= size.outliers < 20
    for line in remarks.values():
        assert line in str(found)
    assert "<table>" in found._repr_html_() and found.to_frame().shape[0] == 11


def test_arrays_and_sparse_matrices(executor):
    X = np.random.default_rng(0).normal(size=(300, 4))
    X[X < 0] = 0.0
    for given in (X, X.tolist(), sp.csr_array(X), da.from_array(X, chunks=(70, 2))):
        found = profile(given)
        assert [each.name for each in found.columns] == ["x0", "x1", "x2", "x3"]
        assert_allclose([each.mean for each in found.columns], X.mean(axis=0))
        assert [each.zeros for each in found.columns] == (X == 0).sum(axis=0).tolist()


def test_partitions_with_other_dtypes(executor):
    pieces = [pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": ["x", None]})]
    found = profile(executor.client.scatter(pieces, hash=False))
    assert found.remarks["several dtypes"].startswith("a int64 or ")
    assert found.columns[0].missing == 1


def test_what_it_refuses(executor):
    with pytest.raises(ValueError, match="0 rows"):
        profile(pd.DataFrame({"a": []}))
    with pytest.raises(ValueError, match="1 dimensions"):
        profile([1, 2, 3])
    frame = dd.from_pandas(pd.DataFrame({"a": [1, 2]}), npartitions=1)
    for vector in (da.arange(3, chunks=2), frame["a"]):
        with pytest.raises(ValueError, match="1 dimensions"):
            profile(vector)
    pieces = [pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})]
    with pytest.raises(ValueError, match="partition 1 of X has the columns"):
        profile(executor.client.scatter(pieces, hash=False))
