"""The distinct values of a column with counts, sorted as scikit-learn's encoders sort them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class CategoryCounts:
    """Distinct values and how often each comes.

    Attributes
    ----------
    values : ndarray of shape (k,)
        Sorted; None and NaN come last, in this order.
    counts : ndarray of int64 of shape (k,)
    ordered : bool
        Whether objects are sorted; else they come as they were met, and may be of any types.
    """

    values: Array
    counts: Array
    ordered: bool = True

    def __add__(self, other: CategoryCounts) -> CategoryCounts:
        pair = (self.values, other.values)
        if any(each.dtype == object for each in pair) or _mixed(pair):
            found: Counter[Any] = Counter()
            for each in (self, other):
                for value, count in each.items():
                    found[value] += count
            return _of_objects(found, ordered=self.ordered)
        values, codes = np.unique(np.concatenate(pair), return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, codes, np.concatenate([self.counts, other.counts]))
        return CategoryCounts(values, counts, self.ordered)

    def items(self) -> Iterable[tuple[Any, int]]:
        """Return pairs of a value, as a Python object where it has such, and its count."""
        return zip(self.values.tolist(), self.counts.tolist(), strict=True)

    def of(self, values: Any) -> Array:
        """Return the counts of these values: 0 of what is not there."""
        table = {known(value): count for value, count in self.items()}
        return np.array([table.get(known(value), 0) for value in values.tolist()], np.int64)


class MixedTypes(TypeError):
    """Values have no order, because they are of several types."""


def category_counts(column: Any, *, ordered: bool = True) -> CategoryCounts:
    """Return the distinct values of a column.

    Parameters
    ----------
    column : ndarray of shape (n,)
        Of numbers, texts or objects.
    ordered : bool
        Whether objects must have an order.

    Raises
    ------
    MixedTypes
        Objects have no order. The message is scikit-learn's.

    Examples
    --------
    >>> one = category_counts(np.array(["b", None, "a", "b"], dtype=object))
    >>> one.values, one.counts
    (array(['a', 'b', None], dtype=object), array([1, 2, 1]))
    >>> (one + category_counts(np.array(["c"]))).values
    array(['a', 'b', 'c', None], dtype=object)
    """
    if column.dtype == object:
        values = column.tolist()
        try:
            return _of_objects(Counter(values), ordered=ordered)
        except MixedTypes:
            raise
        except TypeError:  # not hashable
            raise _of_several(values) from None
    values, counts = np.unique(column, return_counts=True)
    return CategoryCounts(values, counts.astype(np.int64), ordered)


def counted(values: Array, counts: Array) -> CategoryCounts:
    """Return distinct values with known counts, in any order, as what `category_counts` returns."""
    order = np.argsort(values, kind="stable") if values.dtype != object else None
    if order is not None:
        return CategoryCounts(values[order], counts[order].astype(np.int64))
    return _of_objects(Counter(dict(zip(values.tolist(), counts.tolist(), strict=True))))


def is_nan(value: Any) -> bool:
    """Whether a value is a float that is NaN."""
    return isinstance(value, float) and math.isnan(value)


_NAN = object()


def known(value: Any) -> Any:
    """Return what stands for a value in tables: NaN equals nothing, and itself neither."""
    return _NAN if is_nan(value) else value


def _mixed(pair: tuple[Array, Array]) -> bool:
    """Whether one array of both would turn numbers into texts."""
    return len({each.dtype.kind in "biuf" for each in pair}) > 1


def _of_objects(found: Counter[Any], *, ordered: bool = True) -> CategoryCounts:
    missing = [value for value in found if is_nan(value)]
    n_nan = sum(found[value] for value in missing)
    none = found.get(None, 0)
    present = {
        value: count for value, count in found.items() if value is not None and not is_nan(value)
    }
    try:
        keys: list[Any] = sorted(present) if ordered else list(present)
    except TypeError:
        raise _of_several(found) from None
    counts = [present[value] for value in keys]
    for value, count in ((None, none), (np.nan, n_nan)):
        if count:
            keys.append(value)
            counts.append(count)
    values = np.empty(len(keys), dtype=object)
    values[:] = keys
    return CategoryCounts(values, np.array(counts, np.int64), ordered)


def _of_several(values: Iterable[Any]) -> MixedTypes:
    types = sorted({type(value).__qualname__ for value in values})
    return MixedTypes(
        f"Encoders require their input argument must be uniformly strings or numbers. Got {types}"
    )
