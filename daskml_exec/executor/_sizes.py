"""The size of objects of which only Dask, or whoever made their class, knows it."""

from typing import Any

from dask.sizeof import sizeof


def object_nbytes(value: Any) -> int:
    """Return the bytes of an object, as `dask.sizeof.sizeof` says them."""
    return int(sizeof(value))


def is_registered(kind: Any) -> bool:
    """Return whether Dask has been told how large objects of a class, or of a base of it, are.

    Of others Python knows the object itself, and not what it holds.

    Examples
    --------
    >>> is_registered(dict), is_registered(range)
    (True, False)
    """
    known: bool = sizeof.dispatch(kind) is not sizeof.dispatch(object)
    return known
