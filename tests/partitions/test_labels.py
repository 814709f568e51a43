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
