"""Partitions of any kind: trees whose leaves share one leading axis of rows.

Nodes are dataclasses, tuples and dicts. Leaves with rows are arrays, sparse matrices, frames,
series and lists; all else, such as a number or None, belongs to the partition as a whole.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from daskml_exec.kernels.arrays import Rows
from daskml_exec.partitions._row_leaves import (
    bytes_of,
    row_count,
    rows_between,
    stacked,
    taken_rows,
)
from daskml_exec.partitions._trees import leaves_of, map_leaves


def tree_rows(tree: Any) -> int:
    """Return the rows of a partition.

    Raises
    ------
    ValueError
        Leaves have different numbers of rows, or none has any.

    Examples
    --------
    >>> import numpy as np
    >>> tree_rows((np.ones((3, 2)), {"words": ["a", "b", "c"]}, None))
    3
    """
    found = {row_count(leaf) for leaf in _leaves(tree)}
    if len(found) != 1:
        what = f"leaves of {sorted(found)} rows" if found else "no leaf with rows"
        raise ValueError(
            f"a partition of type {type(tree).__name__} has {what}; allowed are dataclasses, tuples"
            " and dicts of arrays, frames and lists that have the same number of rows"
        )
    return found.pop()


def tree_taken(tree: Any, rows: Rows) -> Any:
    """Return these rows of a partition.

    Examples
    --------
    >>> import numpy as np
    >>> tree_taken((np.array([1, 2, 3]), ["a", "b", "c"], "all"), np.array([2, 0]))
    (array([3, 1]), ['c', 'a'], 'all')
    """
    return _mapped(lambda leaves: taken_rows(leaves[0], rows), [tree])


def tree_between(tree: Any, start: int, stop: int) -> Any:
    """Return a range of the rows of a partition.

    Examples
    --------
    >>> tree_between({"words": ["a", "b", "c"], "by": 2}, 1, 3)
    {'words': ['b', 'c'], 'by': 2}
    """
    return _mapped(lambda leaves: rows_between(leaves[0], start, stop), [tree])


def tree_nbytes(tree: Any) -> int:
    """Return the bytes of all rows of a partition, about.

    Examples
    --------
    >>> import numpy as np
    >>> tree_nbytes((np.zeros(3), {"mask": np.zeros((3, 2), dtype=np.uint8)}, None))
    30
    """
    return sum(bytes_of(leaf) for leaf in _leaves(tree))


def tree_stacked(trees: Sequence[Any]) -> Any:
    """Return the rows of several partitions as one, with all else that of the first.

    Examples
    --------
    >>> import numpy as np
    >>> tree_stacked([(np.array([1]), ["a"]), (np.array([2]), ["b"])])
    (array([1, 2]), ['a', 'b'])
    """
    return _mapped(stacked, trees)


def has_rows(leaf: Any) -> bool:
    """Whether a leaf has a leading axis."""
    return isinstance(leaf, list) or len(getattr(leaf, "shape", ())) > 0


def _leaves(tree: Any) -> Iterator[Any]:
    return (leaf for _, leaf in leaves_of(tree, "") if has_rows(leaf))


def _mapped(function: Callable[[list[Any]], Any], trees: Sequence[Any]) -> Any:
    def leaf(*leaves: Any) -> Any:
        return function(list(leaves)) if has_rows(leaves[0]) else leaves[0]

    return map_leaves(leaf, *trees)
