"""What a function of samples returns: found from one sample, and checked for each block."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from daskml_exec.partitions._row_trees import has_rows
from daskml_exec.partitions._sample_trees import objects
from daskml_exec.partitions._trees import leaves_of, with_leaves

RESULT = "function(X)"
"""What results are called in messages."""


def found_meta(function: Callable[[Any], Any], zeros: Any, first_sample: Callable[[], Any]) -> Any:
    """Return the meta of what a function returns, from a call on one sample.

    Parameters
    ----------
    function : callable
    zeros : tree of arrays, or None
        One sample like those of X, if its shapes are known.
    first_sample : callable
        Returns the first sample of X, or None if there is none. It is asked where the function
        takes no zeros.

    Raises
    ------
    ValueError
        The function raises, or returns what is no result; or there is no sample.
    """
    failure = None
    if zeros is not None:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                made = function(zeros)
        except Exception as error:
            failure = error
        else:
            return empty_of(made)
    sample = first_sample()
    if sample is None:
        raise ValueError(
            "X has no samples to call function with, to find what it returns; pass meta"
        ) from failure
    try:
        made = function(sample)
    except Exception as error:
        raise ValueError(
            f"function raised {type(error).__name__} in the call on one sample that finds what it "
            f"returns: {error}. It must take blocks of one sample, or meta be passed"
        ) from error
    return empty_of(made)


def empty_of(made: Any) -> Any:
    """Return the meta of a result for one sample."""
    arrays = _arrays_of(made, 1, " (called on one sample)")
    return with_leaves(made, [_unbounded(array[:0]) for array in arrays.values()])


def require_meta(meta: Any) -> None:
    """Raise ValueError for a meta that is no tree of arrays without samples."""
    for path, leaf in leaves_of(meta, "meta"):
        if not isinstance(leaf, np.ndarray) or leaf.shape[:1] != (0,):
            told = f"has the shape {leaf.shape}" if hasattr(leaf, "shape") else f"is {leaf!r}"
            raise ValueError(
                f"{path} {told}; allowed are NumPy arrays of shape (0, ...), in a tree of dicts and"
                " tuples"
            )


def checked_leaves(made: Any, rows: int, meta: Any) -> tuple[Any, ...]:
    """Return the leaves of a result, in the order of those of its meta.

    Raises
    ------
    ValueError
        A leaf is not as the meta says, or has not as many samples as X.
    """
    expected = dict(leaves_of(meta, RESULT))
    found = _arrays_of(made, rows, "")
    if found.keys() != expected.keys():
        raise ValueError(
            f"function returned {', '.join(found)} for a block; expected were "
            f"{', '.join(expected)}, as meta has them"
        )
    return tuple(_as_expected(path, found[path], leaf) for path, leaf in expected.items())


def as_result(made: Any, rows: int, meta: Any = None) -> Any:
    """Return a result in memory as a tree of arrays, checked as far as it is known."""
    if meta is None:
        arrays = _arrays_of(made, rows, "")
    else:
        arrays = dict(
            zip(dict(leaves_of(meta, RESULT)), checked_leaves(made, rows, meta), strict=True)
        )
    return with_leaves(made, [arrays[path] for path, _ in leaves_of(made, RESULT)])


def _arrays_of(made: Any, rows: int, when: str) -> dict[str, Any]:
    """Return the leaves by path, lists as columns of objects."""
    arrays = {}
    for path, leaf in leaves_of(made, RESULT):
        if not has_rows(leaf):
            raise ValueError(
                f"{path} is {_shortly(leaf)}{when}; allowed are arrays and lists with one leading "
                "axis, as long as that of X"
            )
        array = objects(leaf) if isinstance(leaf, list) else np.asarray(leaf)
        if len(array) != rows:
            raise ValueError(
                f"{path} has {len(array)} samples for {rows} of X{when}; it must have as many"
            )
        arrays[path] = array
    return arrays


def _as_expected(path: str, array: Any, meta: Any) -> Any:
    if array.shape[1:] != meta.shape[1:]:
        raise ValueError(
            f"{path} has the shape {array.shape} for a block; expected was "
            f"{(len(array), *meta.shape[1:])}, as meta says. What differs in length from sample to "
            "sample can be returned as a list of objects"
        )
    if meta.dtype == object:
        return array.astype(object, copy=False)
    if array.dtype != meta.dtype:
        raise ValueError(
            f"{path} has the dtype {array.dtype} for a block; expected was {meta.dtype}, as meta "
            "says"
        )
    return array


def _unbounded(empty: Any) -> Any:
    """Return texts as objects: another block may have longer ones."""
    return empty.astype(object) if empty.dtype.kind in "US" else empty.copy()


def _shortly(value: Any) -> str:
    return f"{value!r}" if value is None or np.isscalar(value) else f"of {type(value).__name__}"
