"""Trees: dicts, tuples and dataclasses of leaves, each of which is known by its path.

A node without children is a leaf: what to make of it is the matter of those who walk.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import scipy.sparse as sp


def is_node(tree: Any) -> bool:
    """Whether it is a tuple, dict or dataclass, and no leaf."""
    return _children(tree) is not None


def _children(tree: Any) -> dict[Any, Any] | None:
    """Return the children of a node by name; None for a leaf."""
    if is_dataclass(tree) and not isinstance(tree, type):
        return {field.name: getattr(tree, field.name) for field in fields(tree) if field.init}
    if isinstance(tree, dict) and not sp.issparse(tree):  # one kind of sparse matrix is a dict
        return tree
    return dict(enumerate(tree)) if isinstance(tree, tuple) else None


def leaves_of(tree: Any, name: str) -> list[tuple[str, Any]]:
    """Return the leaves of a tree, each with how it is written in Python.

    Parameters
    ----------
    tree : dict, tuple, dataclass, or a leaf
    name : str
        What the tree is called.

    Examples
    --------
    >>> dict(leaves_of({"image": 1, "boxes": (2, 3)}, "X"))
    {"X['image']": 1, "X['boxes'][0]": 2, "X['boxes'][1]": 3}
    """
    found = _children(tree)
    if not found:
        return [(name, tree)]
    return [
        leaf for key, child in found.items() for leaf in leaves_of(child, _path(tree, name, key))
    ]


def with_leaves(tree: Any, leaves: Iterable[Any]) -> Any:
    """Return the same tree with other leaves, given in the order of `leaves_of`.

    Examples
    --------
    >>> with_leaves({"image": 0, "box": (1, 2)}, "abc")
    {'image': 'a', 'box': ('b', 'c')}
    """
    left = iter(leaves)
    return map_leaves(lambda leaf: next(left), tree)


def map_leaves(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Return the tree with ``function(leaf, *leaves)`` for its leaves and those of others like it.

    Raises
    ------
    ValueError
        Another tree has other nodes.

    Examples
    --------
    >>> map_leaves(max, {"image": 1, "boxes": (2, 5)}, {"image": 3, "boxes": (4, 4)})
    {'image': 3, 'boxes': (4, 5)}
    """
    found = _children(tree)
    if not found:
        return function(tree, *others)
    rest: list[Any] = [_children(other) for other in others]
    for other, its in zip(others, rest, strict=True):
        if its is None or its.keys() != found.keys():
            has = type(other).__name__ if its is None else list(its)
            raise ValueError(f"a tree has {has}, another has {list(found)}; allowed are the same")
    made = {
        key: map_leaves(function, child, *(each[key] for each in rest))
        for key, child in found.items()
    }
    return _with_children(tree, made)


def _with_children(node: Any, made: dict[Any, Any]) -> Any:
    if isinstance(node, dict):
        return made
    if isinstance(node, tuple):
        named = hasattr(node, "_fields")
        return type(node)(*made.values()) if named else tuple(made.values())
    return replace(node, **made)


def _path(node: Any, name: str, key: Any) -> str:
    if isinstance(node, dict):
        return f"{name}[{key!r}]"
    names = getattr(node, "_fields", None)
    if names is not None:
        return f"{name}.{names[key]}"
    return f"{name}[{key}]" if isinstance(node, tuple) else f"{name}.{key}"
