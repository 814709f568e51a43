import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskml_exec.partitions import map_rows, meta_of_predictions
from tests.partitions.toolbox import N, check, labels, load, rows, weights

NAMES = ["length", "width", "height", "mass"]
WORDS = np.array(["low", "middle", "high"])[labels()]
INDEX = np.arange(N) * 10


def frame(dtype=np.float64):
    return pd.DataFrame(rows(dtype), columns=NAMES, index=INDEX)


def spread(data, npartitions=4):
    return dd.from_pandas(data, npartitions=npartitions)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_row_partitions_and_names_are_kept(executor, dtype):
    ddf = spread(frame(dtype))
    data = load(executor, ddf, spread(pd.Series(labels(), INDEX)))
    check(executor, data, rows(dtype), labels())
    assert data.partitions.feature_names == tuple(NAMES)
    assert len(data.partitions.rows) == ddf.npartitions
    assert data.partitions.dtype == (np.float32 if dtype == np.float32 else np.float64)


@pytest.mark.parametrize("dtype", [object, "str", "string[pyarrow]", "category"])
def test_string_labels(executor, dtype):
    target = pd.Series(WORDS, INDEX).astype(dtype)
    data = load(executor, spread(frame()), spread(target))
    check(executor, data, rows(), WORDS)
    assert data.classes.tolist() == ["high", "low", "middle"]


@pytest.mark.parametrize("dtype", ["Int64", "Float32", "boolean"])
def test_nullable_columns_without_nulls(executor, dtype):
    target = labels() > 0 if dtype == "boolean" else labels()
    data = load(
        executor, spread(frame().astype("Float64")), spread(pd.Series(target, INDEX, dtype))
    )
    check(executor, data, rows(), target)


def test_categorical_features_of_numbers_and_a_mixture_of_dtypes(executor):
    mixed = frame().astype({"length": np.float32, "mass": np.int64})
    data = load(executor, spread(mixed), spread(pd.Series(labels(), INDEX)))
    check(executor, data, mixed.to_numpy(), labels())
    assert data.partitions.dtype == np.float64


def test_a_target_of_other_partitions_is_aligned_by_position(executor):
    data = load(
        executor,
        spread(frame()),
        spread(pd.Series(labels(), INDEX), 2),
        spread(pd.Series(weights(), INDEX), 7),
    )
    check(executor, data, rows(), labels(), weights())


def test_a_target_in_a_frame_of_one_column(executor):
    with pytest.warns(UserWarning, match="column-vector y"):
        data = load(executor, spread(frame()), spread(pd.DataFrame({"y": labels()}, INDEX)))
    check(executor, data, rows(), labels())


@pytest.mark.parametrize("other", [np.asarray, list, lambda a: da.from_array(a, chunks=5)])
def test_columns_of_other_kinds(executor, other):
    data = load(executor, spread(frame()), other(labels()), other(weights()))
    check(executor, data, rows(), labels(), weights())


def test_an_array_with_a_series_as_target(executor):
    X = da.from_array(rows(), chunks=(6, 2))
    data = load(executor, X, spread(pd.Series(labels(), INDEX)), pd.Series(weights(), INDEX))
    check(executor, data, rows(), labels(), weights())


def test_partitions_left_empty_by_a_filter(executor):
    ddf = spread(frame().assign(y=labels()), 6)
    some = ddf[ddf["length"] > 60]
    data = load(executor, some[NAMES], some["y"])
    keep = rows()[:, 0] > 60
    check(executor, data, rows()[keep], labels()[keep])
    assert 0 in data.partitions.rows


def test_mapped_rows_keep_index_and_divisions(executor):
    ddf = spread(frame())
    meta = meta_of_predictions(ddf, None, np.dtype(np.float64), promote=False)
    single = map_rows(lambda block: block["mass"].to_numpy(), ddf, meta=meta)
    assert isinstance(single, dd.Series) and single.divisions == ddf.divisions
    assert single.dtype == np.float64
    expected = pd.Series(rows()[:, 3], INDEX)
    pd.testing.assert_series_equal(single.compute(scheduler=executor.client), expected)


@pytest.mark.parametrize("columns", [["a", "b"], np.array([3, 5]), np.array([False, True])])
def test_mapped_rows_with_columns_are_a_frame(executor, columns):
    ddf = spread(frame(np.float32))
    meta = meta_of_predictions(ddf, columns, np.dtype(np.float32), promote=True)
    double = map_rows(lambda block: block[NAMES[:2]].to_numpy(), ddf, meta=meta)
    assert isinstance(double, dd.DataFrame) and double.divisions == ddf.divisions
    expected = pd.DataFrame(rows(np.float32)[:, :2], INDEX, columns)
    found = double.compute(scheduler=executor.client)
    pd.testing.assert_frame_equal(found, expected)
    pd.testing.assert_frame_equal(double._meta, expected[:0], check_index_type=False)


@pytest.mark.parametrize("classes", [np.array(["no", "yes"]), np.array(["no", "yes"], object)])
def test_mapped_labels_are_what_the_meta_says(executor, classes):
    ddf = spread(frame())
    result = map_rows(
        lambda block: classes[block["mass"].to_numpy().astype(int) % 2],
        ddf,
        meta=meta_of_predictions(ddf, None, classes.dtype, promote=False),
    )
    found = result.compute(scheduler=executor.client)
    assert found.dtype == result.dtype
    assert found.tolist() == classes[rows()[:, 3].astype(int) % 2].tolist()
