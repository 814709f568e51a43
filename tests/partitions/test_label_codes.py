"""The quick way to the labels gives what sorting all of them gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.partitions._labels import FEW, Encoding, _few_numbers, codes_among, unique_labels
from daskml_exec.partitions._partition import Partition

DTYPES = ["?", "i1", "u1", "i2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f8", ">i4"]


@given(
    codes=st.lists(st.integers(0, 2 * FEW), max_size=60),
    repeats=st.integers(1, 100),
    dtype=st.sampled_from(DTYPES),
    step=st.sampled_from([1, 0, -1, 3]),
)
def test_labels_and_codes_are_those_of_unique(codes, repeats, dtype, step):
    numbers = np.repeat(np.array(codes, dtype=np.int64) * step, repeats)
    y = numbers.astype(dtype)
    expected_classes, expected_codes = np.unique(y, return_inverse=True)
    classes, codes = unique_labels(y, where="the data")
    assert classes.dtype == expected_classes.dtype
    np.testing.assert_array_equal(classes, expected_classes)
    np.testing.assert_array_equal(codes, expected_codes)
    found = codes_among(classes, y)
    assert found.dtype == np.intp
    np.testing.assert_array_equal(found, expected_codes)


@pytest.mark.parametrize("kind", [float, int, str])
def test_a_label_that_no_sample_shows_is_found(kind):
    y = np.zeros(125_000, dtype=int)
    y[77_777] = 1
    classes, codes = unique_labels(y.astype(kind), where="the data")
    assert classes.tolist() == [kind(0), kind(1)]
    assert np.array_equal(codes, y)


def test_what_is_no_label_is_refused():
    with pytest.raises(ValueError, match="Unknown label type: continuous") as caught:
        unique_labels(np.array([0.0, 1.0, 0.5]), where="partition 3")
    assert caught.value.__notes__ == ["in partition 3 of y"]


def test_the_quick_way_is_for_few_numbers_only():
    assert _few_numbers(np.array([0.0, 1.0])) is not None
    for y in (np.array([0.0, np.nan]), np.arange(FEW + 1), np.array(["a"]), np.empty(0)):
        assert _few_numbers(y) is None


def test_many_labels_are_no_reason_to_warn():
    classes, _ = unique_labels(np.arange(50), where="the data")
    assert classes.tolist() == list(range(50))


def test_zeros_of_both_signs_are_one_label():
    classes, codes = unique_labels(np.array([0.0, -0.0, 1.0]), where="the data")
    assert classes.tolist() == [0, 1] and codes.tolist() == [0, 0, 1]


@pytest.mark.parametrize("y_dtype", ["i8", "u1", "f4", "?"])
@pytest.mark.parametrize("class_dtype", ["i8", "u8", "f8"])
@pytest.mark.parametrize("weight", [None, [1.0, 0.0, 2.0, 1.0], [0.0] * 4])
def test_encoding_across_dtypes(y_dtype, class_dtype, weight):
    y, classes = np.array([1, 0, 0, 1], y_dtype), np.array([0, 1], class_dtype)
    weight = None if weight is None else np.array(weight)
    partition = Partition(0, 0, np.ones((4, 1)), y, weight)
    codes, found_weight = Encoding(classes, None)(partition)
    assert found_weight is weight
    expected = np.array([1, 0, 0, 1]) if weight is None else np.where(weight > 0, [1, 0, 0, 1], 0)
    assert codes.tolist() == expected.tolist()
