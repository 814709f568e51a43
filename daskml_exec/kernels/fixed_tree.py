"""The fixed binary tree of every reduction.

Floating-point addition is not associative, so the order of a sum is part of its result. Here the
order is a binary tree over the index of the leaves, whatever worker computed which leaf: node
``(level, j)`` covers the leaves ``j * 2**level`` up to ``(j + 1) * 2**level``, cut at the last
leaf. A group of leaves can be combined ahead of time exactly where it holds whole subtrees.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")
Node = tuple[int, int]


def fold_siblings(
    nodes: Mapping[Node, T], n_leaves: int, combine: Callable[[T, T], T]
) -> dict[Node, T]:
    """Combine all pairs of siblings that are present, level by level, and return what is left.

    Parameters
    ----------
    nodes : mapping of (level, index) to partial result
        Disjoint nodes of the tree.
    n_leaves : int
        Number of leaves of the whole tree.
    combine : callable
        ``combine(left, right)``, the left argument covering the lower indices.

    Returns
    -------
    dict
        The remaining nodes; the root alone when the leaves were complete.

    Examples
    --------
    >>> fold_siblings({(0, 0): "a", (0, 1): "b", (0, 2): "c"}, 3, str.__add__)
    {(2, 0): 'abc'}
    >>> fold_siblings({(0, 1): "b", (0, 2): "c", (0, 3): "d"}, 5, str.__add__)
    {(0, 1): 'b', (1, 1): 'cd'}
    """
    level, width = 0, n_leaves
    pending = dict(nodes)
    settled: dict[Node, T] = {}
    while pending:
        if width == 1:
            settled.update(pending)
            break
        here = sorted(j for at, j in pending if at == level)
        for j in here:
            if (level, j) not in pending:
                continue  # the right half of a pair that is combined already
            sibling = (level, j ^ 1)
            if j % 2 == 0 and j + 1 == width:
                pending[level + 1, j // 2] = pending.pop((level, j))
            elif j % 2 == 0 and sibling in pending:
                left, right = pending.pop((level, j)), pending.pop(sibling)
                pending[level + 1, j // 2] = combine(left, right)
            else:
                settled[level, j] = pending.pop((level, j))
        level, width = level + 1, -(-width // 2)
    return settled


def fold(leaves: Iterable[T], combine: Callable[[T, T], T]) -> T:
    """Reduce all leaves, in the order of the fixed tree.

    Examples
    --------
    >>> fold(["a", "b", "c", "d", "e"], lambda l, r: f"({l}{r})")
    '(((ab)(cd))e)'
    """
    nodes = {(0, j): leaf for j, leaf in enumerate(leaves)}
    if not nodes:
        raise ValueError("leaves is empty: a reduction needs at least one leaf")
    (root,) = fold_siblings(nodes, len(nodes), combine).values()
    return root
