import dask.array as da
import numpy as np
import pytest

from tests.partitions.toolbox import check, labels, load, rows

# Three classes, of which each partition of six rows has some only.
CODES = np.repeat([2, 0, 1, 0], [6, 6, 6, 5])


@pytest.mark.parametrize(
    "names",
    [
        np.array([-5, 0, 7]),
        np.array([1, 2, 3], np.uint8),
        np.array([0.0, 1.0, 2.0]),
        np.array(["a", "bb", "ccc"]),
        np.array(["a", "bb", "ccc"], object),
        np.array([False, True, True]),
    ],
    ids=lambda names: f"{names.dtype}-{names[0]}",
)
@pytest.mark.parametrize("chunked", [True, False])
def test_classes_are_the_sorted_union_in_the_dtype_of_the_labels(executor, names, chunked):
    y = names[CODES]
    target = da.from_array(y, chunks=6) if chunked else y
    data = load(executor, da.from_array(rows(), chunks=(6, 4)), target)
    assert data.classes.dtype == names.dtype
    assert data.classes.tolist() == np.unique(y).tolist()
    check(executor, data, rows(), y)


def test_strings_of_different_lengths_are_not_cut(executor):
    client = executor.client
    y = client.scatter([np.array(["no"] * 10), np.array(["certainly"] * 13)], hash=False)
    X = client.scatter([rows()[:10], rows()[10:]], hash=False)
    data = load(executor, X, y)
    assert data.classes.tolist() == ["certainly", "no"]


@pytest.mark.parametrize("in_memory", [True, False])
def test_rows_of_weight_zero_make_no_class(executor, in_memory):
    y, weight = labels() + 10, np.where(labels() == 1, 0.0, 2.0)
    X = rows() if in_memory else da.from_array(rows(), chunks=(6, 4))
    data = load(executor, X, y, weight)
    assert data.classes.tolist() == [10, 12]
    check(executor, data, rows(), y, weight)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("class_weight", [{0: 2.0, 1: 0.5, 2: 1.0}, {1: 3.0}, "balanced"])
def test_class_weights_multiply_row_weights(executor, in_memory, weighted, class_weight):
    from sklearn.utils.class_weight import compute_sample_weight

    y, weight = labels(), np.arange(23) % 4 / 2.0 if weighted else None
    expected = np.ones(23) if weight is None else weight
    if class_weight == "balanced":
        sums = np.bincount(y, expected)
        expected = expected * (sums.sum() / (3 * sums))[y]
    else:
        expected = expected * compute_sample_weight(class_weight, y)
    X = rows() if in_memory else da.from_array(rows(), chunks=(6, 4))
    data = load(executor, X, y, weight, class_weight=class_weight)
    pieces = executor.client.gather(list(data.partitions.futures))
    np.testing.assert_allclose(np.concatenate([p.sample_weight for p in pieces]), expected)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("silenced", [0, 1, 2])
def test_a_class_of_weight_zero_is_no_class(executor, in_memory, weighted, silenced):
    y, weight = labels(), np.arange(23) % 4 / 2.0 if weighted else None
    X = rows() if in_memory else da.from_array(rows(), chunks=(6, 4))
    data = load(executor, X, y + 10, weight, class_weight={silenced + 10: 0.0})
    assert data.classes.tolist() == [k + 10 for k in range(3) if k != silenced]
    expected = (y != silenced) * (1.0 if weight is None else weight)
    check(executor, data, rows(), y + 10, expected)


@pytest.mark.parametrize("in_memory", [True, False])
def test_two_classes_need_a_weight(executor, in_memory):
    X = rows() if in_memory else da.from_array(rows(), chunks=(6, 4))
    with pytest.raises(ValueError, match=r"at least 2 classes .* one class: 2 "):
        load(executor, X, labels(), class_weight={0: 0, 1: 0})
    with pytest.raises(ValueError, match=r"at least 2 classes .* no class"):
        load(executor, X, labels(), class_weight={0: 0, 1: 0, 2: 0})


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("value", [-1, np.nan, np.inf])
def test_class_weights_that_are_negative_or_not_finite(executor, in_memory, value):
    X = rows() if in_memory else da.from_array(rows(), chunks=(6, 4))
    message = f"class_weight has {value:g} for the label 1; allowed are finite values from 0"
    with pytest.raises(ValueError, match=message):
        load(executor, X, labels(), class_weight={1: value})


def in_two_types(executor, first, second):
    """Two partitions of rows, and of labels 0, 1 and 2 in these types."""
    pieces = [(rows()[:10], rows()[10:]), (first(labels()[:10]), second(labels()[10:]))]
    return [executor.client.scatter(list(pair), hash=False) for pair in pieces]


def strings(y):
    return y.astype("U1")


def objects(y):
    return strings(y).astype(object)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.int64, strings, "int64 in partition 0, <U1 in partition 1; allowed are strings"),
        (objects, np.float64, "object in partition 0, float64 in partition 1; allowed are str"),
        (np.uint64, np.int64, "uint64 in partition 0, int64 in partition 1; allowed are int"),
    ],
)
def test_labels_of_another_type_in_another_partition(executor, first, second, message):
    with pytest.raises(TypeError, match=f"y has labels of several types: {message}"):
        load(executor, *in_two_types(executor, first, second))


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [
        (np.uint8, np.int8, np.int16),
        (np.uint64, np.uint8, np.uint64),
        (np.int32, np.float64, np.float64),
        (strings, objects, object),
    ],
)
def test_labels_of_types_that_go_together(executor, first, second, dtype):
    data = load(executor, *in_two_types(executor, first, second))
    assert data.classes.dtype == dtype
    check(executor, data, rows(), strings(labels()) if dtype is object else labels())


def test_labels_of_rows_of_weight_zero_may_have_another_type(executor):
    X = executor.client.scatter([rows()[:10], rows()[10:]], hash=False)
    y = executor.client.scatter([labels()[:10], np.full(13, "x", object)], hash=False)
    data = load(executor, X, y, (np.arange(23) < 10) * 1.0)
    assert data.classes.tolist() == [0, 1, 2]
