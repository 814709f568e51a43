"""Dask dataframes and series of blocks that are lazy, or are held by futures."""

from collections.abc import Sequence
from typing import Any

import dask
import dask.dataframe as dd
from dask._task_spec import Task, TaskRef
from dask.dataframe.dask_expr.io._delayed import FromDelayed


class _OfBlocks(FromDelayed):
    """Dask's own, whose tasks have the keys under which they stand in the graph.

    Where blocks are not compared with the meta, Dask's tasks are aliases with the keys of what they
    stand for. Computed together with an array, as labels are with predictions, these are fused,
    and a key that stands for itself is a cycle.
    """

    def _filtered_task(self, name: Any, index: int) -> Task:
        return Task(name, as_it_is, TaskRef((self.delayed_container._name, index)))


def frame_of_blocks(blocks: Sequence[Any], meta: Any) -> Any:
    """Return the Dask dataframe or series of blocks.

    Parameters
    ----------
    blocks : sequence of Delayed or Future
    meta : DataFrame or Series
        Says what they are, and is not compared with them.
    """
    # Objects stay what they are: the meta has said so.
    with dask.config.set({"dataframe.convert-string": False}):
        made = dd.from_delayed(blocks, meta=meta, verify_meta=False)
    return type(made)(_OfBlocks(*made.expr.operands))


def as_it_is(block: Any) -> Any:
    """Return a block: a task that has a key of its own, in place of an alias."""
    return block
