"""Blocks of samples that functions are called with: trees of arrays, numbers and texts."""

from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._row_leaves import row_count
from daskml_exec.partitions._row_trees import has_rows
from daskml_exec.partitions._sample_trees import objects, stacked_samples
from daskml_exec.partitions._trees import leaves_of, map_leaves


def samples_of(block: Any) -> Any:
    """Return the samples of a block: frames as arrays, and a list of samples as one tree.

    Examples
    --------
    >>> samples_of([{"x": 1, "text": "a"}, {"x": 2, "text": "b"}])
    {'x': array([1, 2]), 'text': array(['a', 'b'], dtype=object)}
    """
    if isinstance(block, Partition):
        block = block.X
    if isinstance(block, list):
        if not block:
            return objects(block)
        return stacked_samples(block, "X", "X", leaf=lambda value, path: np.asarray(value))
    return map_leaves(_array_of_frame, block)


def _array_of_frame(leaf: Any) -> Any:
    return leaf.to_numpy() if isinstance(leaf, (pd.DataFrame, pd.Series)) else leaf


def rows_of(tree: Any) -> int:
    """Return the samples of a tree; 0 for one without any leaf.

    Raises
    ------
    ValueError
        Its leaves differ.
    """
    rows = {path: row_count(leaf) for path, leaf in leaves_of(tree, "X") if has_rows(leaf)}
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{count} of {path}" for path, count in rows.items())
        raise ValueError(f"a block of X has samples {told}; allowed is one number for all")
    return next(iter(rows.values()), 0)
