"""Distinct values with counts, merged from any cuts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils._encode import _unique

from daskml_exec.kernels.categories import MixedTypes, category_counts, counted

TEXTS = st.sampled_from(["a", "b", "cd", None, float("nan"), np.nan])
FLOATS = st.sampled_from([0.0, -1.5, 2.0, np.nan])


def merged(column, cuts):
    bounds = sorted(min(cut, len(column)) for cut in cuts)
    pieces = np.split(column, bounds)
    total = category_counts(pieces[0])
    for piece in pieces[1:]:
        total = total + category_counts(piece)
    return total


@given(st.lists(TEXTS, min_size=1), st.lists(st.integers(0, 30), max_size=3))
def test_objects(values, cuts):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    check(column, cuts)


@given(st.lists(FLOATS, min_size=1), st.lists(st.integers(0, 30), max_size=3))
def test_numbers(values, cuts):
    check(np.array(values), cuts)


def check(column, cuts):
    found = merged(column, cuts)
    values, counts = _unique(column, return_counts=True)
    assert list(map(repr, found.values.tolist())) == list(map(repr, values.tolist()))
    assert found.values.dtype == values.dtype
    assert found.counts.tolist() == counts.tolist()
    assert found.of(values).tolist() == counts.tolist()
    mixed = counted(found.values[::-1], found.counts[::-1])
    assert list(map(repr, mixed.values.tolist())) == list(map(repr, values.tolist()))


def test_types():
    whole = category_counts(np.array([2, 1])) + category_counts(np.array([0.5]))
    assert whole.values.tolist() == [0.5, 1.0, 2.0]
    texts = category_counts(np.array(["abc"])) + category_counts(np.array(["b"]))
    assert texts.values.dtype == np.dtype("U3")
    with pytest.raises(MixedTypes, match=r"Got \['int', 'str'\]"):
        category_counts(np.array(["a"])) + category_counts(np.array([1]))
    with pytest.raises(MixedTypes, match=r"Got \['list', 'str'\]"):
        category_counts(np.array(["a", [1]], dtype=object))
    several = category_counts(np.array(["a", 1, "a"], dtype=object), ordered=False)
    assert list(several.items()) == [("a", 2), (1, 1)]
