"""What has no numbers is refused by name, in memory and in blocks; what has some is read."""

import datetime
import decimal

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.partitions import naming_columns, refuse_unreadable

N = 40
ROWS = np.random.default_rng(0).normal(size=(N, 2))
LABELS = (ROWS[:, 0] > 0).astype(int)
DAY = datetime.date(2026, 1, 1)
TIME = datetime.datetime(2026, 1, 1)


def pandas_column(values, dtype=None):
    column = values if dtype is None else pd.array(values, dtype=dtype)
    return pd.DataFrame({"a": ROWS[:, 0], "b": column})


def arrow(values):
    return pa.table({"a": ROWS[:, 0], "b": pa.array(values)})


DATES = {
    "numpy": ROWS.astype("M8[s]"),
    "durations": ROWS.astype("m8[s]"),
    "list": ROWS.astype("M8[s]").tolist(),
    "list of numpy's": [[np.datetime64("2026-01-01")]] * N,
    "list of durations": [[datetime.timedelta(1)]] * N,
    "list of nothing": [[pd.NaT]] * N,
    "objects": np.array([[TIME]] * N, dtype=object),
    "pandas": pandas_column(pd.Timestamp(TIME)),
    "pandas with a zone": pandas_column(pd.Timestamp(TIME, tz="UTC")),
    "pandas' periods": pandas_column(pd.period_range("2026", periods=N)),
    "pandas' categories": pandas_column(pd.Categorical([pd.Timestamp(TIME)] * N)),
    "pandas' objects": pandas_column(np.array([DAY] * N, dtype=object)),
    "pandas of Arrow": pandas_column([DAY] * N, pd.ArrowDtype(pa.date32())),
    "Arrow": arrow([TIME] * N),
    "Arrow's days": arrow([DAY] * N),
    "Arrow's nothing": arrow(pa.array([None] * N, pa.timestamp("s"))),
    "Arrow's durations": arrow([datetime.timedelta(1)] * N),
    "Arrow's categories": arrow(pa.array([TIME] * N).dictionary_encode()),
}


@pytest.mark.parametrize("kind", DATES)
def test_dates_never_pass_as_numbers(executor, kind):
    X = DATES[kind]
    place = " in column 'b'" if hasattr(X, "shape") and not isinstance(X, np.ndarray) else ""
    model = LogisticRegression()
    for call in (
        lambda: model.fit(X, LABELS),
        lambda: model.fit(executor.client.scatter([X], hash=False), LABELS),
    ):
        with pytest.raises(TypeError, match=rf"X has .*{place}; allowed are numbers"):
            call()


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_no_target_and_no_weight_is_a_date(executor, name):
    seconds = np.arange(N).astype("m8[s]")
    for column in (seconds, da.from_array(seconds, chunks=20), pd.Series(seconds)):
        columns = {"y": LABELS, name: column}
        for X in (ROWS, da.from_array(ROWS, chunks=(20, 2))):
            with pytest.raises(TypeError, match=f"{name} has timedelta64"):
                Ridge().fit(X, **columns)


def test_labels_may_be_dates():
    labels = np.array(["2026-01-01", "2026-01-02"], dtype="M8[D]")[LABELS]
    for X in (ROWS, da.from_array(ROWS, chunks=(20, 2))):
        assert LogisticRegression().fit(X, labels).classes_.dtype == labels.dtype


NUMBERS = {
    "integers": pandas_column(range(N), "Int64"),
    "booleans": pandas_column([True, False] * (N // 2), "boolean"),
    "Arrow's floats": pandas_column(ROWS[:, 1], "double[pyarrow]"),
    "categories that are numbers": pandas_column(pd.Categorical([1, 2] * (N // 2))),
    "decimals": pandas_column([decimal.Decimal("1.5"), decimal.Decimal(2)] * (N // 2)),
    "Arrow's decimals": arrow([decimal.Decimal("1.5"), decimal.Decimal(2)] * (N // 2)),
    "an Arrow table": arrow(ROWS[:, 1]),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_columns_of_numbers_are_read_in_memory_and_in_blocks(executor, kind):
    X = NUMBERS[kind]
    model = LogisticRegression().fit(X, LABELS)
    blocks = executor.client.scatter([X[: N // 2], X[N // 2 :]], hash=False)
    other = LogisticRegression().fit(blocks, LABELS)
    np.testing.assert_allclose(other.coef_, model.coef_, rtol=1e-6)
    assert other.feature_names_in_.tolist() == model.feature_names_in_.tolist() == ["a", "b"]
    assert other.score(blocks, LABELS) == model.score(X, LABELS)
    predicted = np.concatenate(executor.client.gather(other.predict(blocks)))
    assert (predicted == model.predict(X)).all()


@pytest.mark.parametrize(
    "column",
    [
        pd.Categorical(["Rome", "Oslo"] * (N // 2)),
        pd.array(["Rome"] * N, dtype="string"),
        np.array(["Rome"] * N, dtype=object),
        pd.array(["Rome"] * N, dtype=pd.ArrowDtype(pa.string())),
    ],
    ids=["category", "string", "object", "arrow"],
)
def test_text_is_refused_by_its_column(executor, column):
    X = pd.DataFrame({"a": ROWS[:, 0], "city": column})
    model = LogisticRegression().fit(ROWS, LABELS)
    for there in (X, executor.client.scatter([X], hash=False), dd.from_pandas(X, 2)):
        with pytest.raises(ValueError, match=r"X has '(Rome|Oslo)' in column 'city' of dtype"):
            LogisticRegression().fit(there, LABELS)
    with pytest.raises(ValueError, match="in column 1;"):
        model.predict(X.to_numpy(dtype=object))


def test_missing_values_of_nullable_columns_are_named_by_column():
    for dtype in ("Int64", "Float64", "boolean", "double[pyarrow]"):
        X = pandas_column([None] + [1] * (N - 1), dtype)
        with pytest.raises(ValueError, match=r"NaN in partition 0, column 1 \('b'\)"):
            LogisticRegression().fit(X, LABELS)


@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
def test_masked_values_are_no_data(executor, name):
    arguments = {"X": ROWS, "y": LABELS, "sample_weight": np.ones(N)}
    shape = arguments[name].shape
    mask = np.zeros(shape, dtype=bool)
    whole = {**arguments, name: np.ma.masked_array(arguments[name], mask)}
    LogisticRegression().fit(**whole)  # of which nothing is masked
    mask.flat[5] = True
    masked = np.ma.masked_array(arguments[name], mask)
    row = 5 if masked.ndim == 1 else "2 and column 1"
    blocks = da.from_array(masked, chunks=(N, *shape[1:]))
    with pytest.raises(ValueError, match=rf"{name} is a masked array .* 1 values .* row {row};"):
        LogisticRegression().fit(**{**arguments, name: masked})
    rows = da.from_array(ROWS, chunks=(N, 2))
    with pytest.raises(ValueError, match=f"{name} is a masked array"):
        LogisticRegression().fit(**{**arguments, "X": rows, name: blocks})


def test_delayed_values_are_told_their_way_in():
    one = dask.delayed(ROWS)
    for X, remedy in ((one, "da.from_delayed"), ([one, one], r"client.compute\(X\)")):
        with pytest.raises(TypeError, match=f"X is .*dask.delayed .*; allowed is {remedy}"):
            LogisticRegression().fit(X, LABELS)


def test_polars_frames_are_read_and_queries_are_not(executor):
    pl = pytest.importorskip("polars")
    X = pl.DataFrame({"a": ROWS[:, 0], "b": ROWS[:, 1]})
    expected = LogisticRegression().fit(ROWS, LABELS).coef_
    blocks = executor.client.scatter([X[:20], X[20:]], hash=False)
    for there, y in ((X, pl.Series(LABELS)), (blocks, pl.Series(LABELS))):
        model = LogisticRegression().fit(there, y)
        np.testing.assert_allclose(model.coef_, expected, rtol=1e-6)
        assert model.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(TypeError, match=r"X is a polars LazyFrame.*; allowed is X.collect\(\)"):
        LogisticRegression().fit(X.lazy(), LABELS)
    with pytest.raises(TypeError, match=r"X has Datetime\(.* in column 'a'"):
        LogisticRegression().fit(pl.DataFrame({"a": [TIME] * N}), LABELS)
    with pytest.raises(ValueError, match="'x' in column 'b' of dtype Categorical"):
        text = pl.Series("b", ["x"] * N, dtype=pl.Categorical)
        LogisticRegression().fit(X.with_columns(text), LABELS)


def test_xarray_with_chunks_is_told_its_way_in():
    xr = pytest.importorskip("xarray")
    refuse_unreadable(xr.DataArray(ROWS), "X")
    with pytest.raises(TypeError, match=r"an xarray DataArray with chunks; allowed is X\.data"):
        LogisticRegression().fit(xr.DataArray(ROWS).chunk(20), LABELS)
    with pytest.raises(TypeError, match=r"an xarray Dataset; allowed is X.to_dataframe\(\)"):
        LogisticRegression().fit(xr.Dataset({"a": ("row", ROWS[:, 0])}), LABELS)


def test_errors_about_other_things_keep_their_words():
    error = ValueError("something else")
    with pytest.raises(ValueError, match="something else") as caught, naming_columns(ROWS, "X"):
        raise error
    assert caught.value is error


def test_the_remedy_for_dates_is_of_their_column():
    frame = pd.DataFrame({"a": [1.0, 2.0], "t": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    with pytest.raises(
        TypeError, match=r"\(X\['t'\] - X\['t'\].min\(\)\) / np.timedelta64\(1, 's'\)"
    ):
        LogisticRegression().fit(frame, [0, 1])
    durations = frame.assign(t=frame["t"] - frame["t"].min())
    with pytest.raises(TypeError, match=r"seconds, X\['t'\] / np.timedelta64\(1, 's'\)"):
        LogisticRegression().fit(durations, [0, 1])
    seconds = durations.assign(t=durations["t"] / np.timedelta64(1, "s"))
    assert LogisticRegression().fit(seconds, [0, 1]).score(seconds, [0, 1]) == 1.0
