"""What is wrong with the data is said with the argument, the place and what is allowed."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from tests.partitions.toolbox import N, labels, load, rows, weights

KINDS = {
    "dask": lambda a: da.from_array(a, chunks=(5, *a.shape[1:])),
    "frame": lambda a: dd.from_pandas((pd.DataFrame if a.ndim == 2 else pd.Series)(a), 4),
    "numpy": np.asarray,
}


def of(kind, array):
    return KINDS[kind](np.asarray(array))


def changed(column, where, value):
    column = np.array(column, dtype=object if value is None else type(value))
    column[where] = value
    return column


@pytest.mark.parametrize("x_kind", ["dask", "frame"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [N - 1, N + 1])
@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_lengths_that_differ(executor, x_kind, kind, n, name):
    columns = {"y": labels(), "sample_weight": weights()}
    columns = {k: of(kind, np.resize(v, n if k == name else N)) for k, v in columns.items()}
    with pytest.raises(ValueError, match=f"X has 23 rows, {name} has {n}; they must be the same"):
        load(executor, of(x_kind, rows()), **columns)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_labels_that_are_not_finite(executor, kind, value):
    y = changed(labels(), 12, value)
    with pytest.raises(
        ValueError, match="Input y contains NaN or infinity in row 2 of partition 2"
    ):
        load(executor, of("dask", rows()), of(kind, y))


@pytest.mark.parametrize("kind", ["dask", "numpy"])
def test_missing_string_labels(executor, kind):
    y = changed(np.array(["a", "b", "c"])[labels()], 12, None)
    with pytest.raises(
        ValueError, match="Input y contains NaN or infinity in row 2 of partition 2"
    ):
        load(executor, of("dask", rows()), of(kind, y))


def test_labels_of_several_types(executor):
    y = changed(labels(), slice(None), None)
    y[::2], y[1::2] = "a", 1
    with pytest.raises(TypeError, match=r"labels of types that have no order .* int, str"):
        load(executor, of("dask", rows()), y)


@pytest.mark.parametrize("kind", KINDS)
def test_continuous_targets(executor, kind):
    with pytest.raises(ValueError, match="Unknown label type: continuous") as caught:
        load(executor, of("dask", rows()), of(kind, rows()[:, 0] / 3))
    assert "of y" in caught.value.__notes__[0]


@pytest.mark.parametrize("x_kind", KINDS)
@pytest.mark.parametrize("y", [np.ones(N, int), np.full(N, "one")])
def test_one_class(executor, x_kind, y):
    with pytest.raises(ValueError, match=r"at least 2 classes .* one class: (1|'one') "):
        load(executor, of(x_kind, rows()), y)


@pytest.mark.parametrize("x_kind", KINDS)
def test_one_class_with_weight(executor, x_kind):
    with pytest.raises(ValueError, match=r"one class: 0 \(rows of weight zero do not count\)"):
        load(executor, of(x_kind, rows()), labels(), (labels() == 0) * 1.0)


@pytest.mark.parametrize("x_kind", KINDS)
def test_no_weight_at_all(executor, x_kind):
    with pytest.raises(ValueError, match=r"[wW]eights .* zero|at least 2 classes"):
        load(executor, of(x_kind, rows()), labels(), np.zeros(N))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf])
def test_weights_that_are_negative_or_not_finite(executor, kind, value):
    weight = changed(weights(), 12, value)
    message = f"sample_weight has {value:g} in row 2 of partition 2; allowed are finite values"
    with pytest.raises(ValueError, match=message):
        load(executor, of("dask", rows()), labels(), of(kind, weight))


def test_negative_weights_in_memory(executor):
    with pytest.raises(ValueError, match="sample_weight has -1 in row 3 of the data"):
        load(executor, rows(), labels(), changed(weights(), 3, -1.0))


def test_weights_that_are_no_numbers(executor):
    with pytest.raises(ValueError, match="sample_weight is not numeric in partition"):
        load(executor, of("dask", rows()), labels(), np.full(N, "much"))


@pytest.mark.parametrize("name", ["y", "sample_weight"])
@pytest.mark.parametrize("chunks", [(5, 1), (5, 2)])
def test_matrices_as_columns(executor, name, chunks):
    columns = {"y": labels(), "sample_weight": weights()}
    columns[name] = da.from_array(np.column_stack([columns[name]] * 2), chunks=chunks)
    with pytest.raises(ValueError, match=f"{name} has 2 dimensions and 2 columns; allowed is one"):
        load(executor, of("dask", rows()), **columns)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("y", 3, "0 dimensions"),
        ("y", np.ones((N, 2)), "2 dimensions and 2 columns"),
        ("sample_weight", np.ones((N, 2)), "2 dimensions and 2 columns"),
        ("sample_weight", np.array("much"), "0 dimensions"),
    ],
    ids=["number", "matrix", "matrix of weights", "text"],
)
def test_columns_in_memory_that_are_no_columns(executor, name, value, found):
    columns = {"y": labels(), "sample_weight": weights(), name: value}
    with pytest.raises(ValueError, match=f"{name} has {found}; allowed is one value per row"):
        load(executor, of("dask", rows()), **columns)


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (da.ones(N, chunks=5), "1D dask.array"),
        (da.ones((N, 2, 2), chunks=5), "3D dask.array"),
        (of("frame", np.ones(N)), "1D dask.series"),
    ],
)
def test_matrices_that_are_not(executor, X, kind):
    with pytest.raises(ValueError, match=f"Expected 2D array, got {kind} instead"):
        load(executor, X, labels())


def test_futures_of_vectors_as_matrix(executor):
    X = executor.client.scatter([np.ones(10), np.ones(13)], hash=False)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array") as caught:
        load(executor, X, labels())
    assert caught.value.__notes__[0].endswith("of X")


def test_no_columns(executor):
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        load(executor, da.ones((N, 0), chunks=5), labels())


def test_no_rows(executor):
    with pytest.raises(ValueError, match="X has 0 rows: at least two classes"):
        load(executor, da.ones((0, 3)), da.ones(0))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (da.from_array(np.full((N, 2), "word"), chunks=5), "could not convert string to float"),
        (da.ones((N, 2), chunks=5, dtype=complex), "Complex data not supported"),
        (dd.from_pandas(pd.DataFrame({"a": ["x"] * N}), 2), "could not convert string to float"),
    ],
    ids=["strings", "complex", "frame-of-strings"],
)
def test_matrices_that_are_not_numeric(executor, X, message):
    with pytest.raises(ValueError, match=message) as caught:
        load(executor, X, labels())
    assert any(note.startswith("in partition") for note in caught.value.__notes__)


def test_objects_that_are_numbers_are_numbers(executor):
    data = load(executor, of("dask", rows().astype(object)), labels())
    assert data.partitions.dtype == np.float64


@pytest.mark.parametrize("x_kind", ["dask", "numpy"])
def test_class_weights_of_an_unknown_name(executor, x_kind):
    with pytest.raises(ValueError, match="class_weight='even'; allowed are"):
        load(executor, of(x_kind, rows()), labels(), class_weight="even")
