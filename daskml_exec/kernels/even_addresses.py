"""Arrays at addresses that their dtype wants.

What comes out of a message lies where it lay there, often at odd addresses. NumPy multiplies such
arrays by loops of its own instead of BLAS, and the last bits are others: which Worker an array came
from would show in the result.
"""

import copy
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp


def at_even_addresses(tree: Any) -> Any:
    """Return the same, with copies of those arrays in it that lie at odd addresses.

    Examples
    --------
    >>> odd = np.frombuffer(b"x" + bytes(16), offset=1)
    >>> at_even_addresses((odd, 1))[0].flags.aligned
    True
    """
    if isinstance(tree, tuple | list):
        return _sequence(tree)
    if isinstance(tree, dict):
        nodes = {key: at_even_addresses(node) for key, node in tree.items()}
        return nodes if any(nodes[key] is not tree[key] for key in tree) else tree
    if is_dataclass(tree) and not isinstance(tree, type):
        return _record(tree)
    return at_even_address(tree)


def at_even_address(value: Any) -> Any:
    """Return an array or sparse matrix, or a copy of one at an odd address; all else as it is."""
    if isinstance(value, np.ndarray):
        return value if value.flags.aligned else value.copy()
    if sp.issparse(value):
        parts = (getattr(value, name, None) for name in ("data", "indices", "indptr"))
        even = all(part is None or part.flags.aligned for part in parts)
        return value if even else value.copy()
    return value


def _sequence(tree: Any) -> Any:
    nodes = [at_even_addresses(node) for node in tree]
    if all(node is before for node, before in zip(nodes, tree, strict=True)):
        return tree
    return type(tree)(*nodes) if hasattr(tree, "_fields") else type(tree)(nodes)


def _record(tree: Any) -> Any:
    changed = {}
    for field in fields(tree):
        before = getattr(tree, field.name)
        after = at_even_addresses(before)
        if after is not before:
            changed[field.name] = after
    if not changed:
        return tree
    moved = copy.copy(tree)
    for name, value in changed.items():
        object.__setattr__(moved, name, value)
    return moved
