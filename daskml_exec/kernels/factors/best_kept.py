"""A loop that keeps the best scores of each user so far, compiled by Numba where it is installed.

A partial sort moves all scores of a user to find a few. Here most are only compared with the worst
of those that are kept, a vector register at once.
"""

import importlib.util
from collections.abc import Callable
from functools import cache

import numpy as np

from daskml_exec.kernels.arrays import Array

_RUN = 64  # scores that are looked at together for one that is good enough

Keep = Callable[[Array, int, int, Array, Array, Array, Array, Array], None]
"""``keep(block, start, stop, seen, cursors, ends, scores, index)``: look through a block of scores.

Rows of `scores` and `index` are heaps of the best so far, with the worst one first: of equal scores
the higher item is worse. They begin as minus infinity, which is never kept, nor is NaN. Column `j`
of the block is item ``start + j``, up to `stop`. In row `i`, scores of the items
``seen[cursors[i] : ends[i]]``, which are sorted, are overwritten by minus infinity, and the cursor
moves to the first item behind the block.
"""


@cache
def compiled_keep() -> Keep | None:
    """Return the compiled function, or None where Numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    import numba

    compiled: Keep = numba.njit(nogil=True, cache=True)(_keep)
    return compiled


def _keep(
    block: Array,
    start: int,
    stop: int,
    seen: Array,
    cursors: Array,
    ends: Array,
    scores: Array,
    index: Array,
) -> None:
    n = scores.shape[1]
    for i in range(len(scores)):
        row, heap, items = block[i], scores[i], index[i]
        at = cursors[i]
        while at < ends[i] and seen[at] < stop:
            row[seen[at] - start] = -np.inf
            at += 1
        cursors[i] = at
        for begin in range(start, stop, _RUN):
            run = row[begin - start : min(begin + _RUN, stop) - start]
            worst, better = heap[0], False
            for j in range(len(run)):  # a slice of unknown length: so vector registers are used
                better |= run[j] > worst
            if not better:
                continue
            for j in range(len(run)):
                score = run[j]
                # An item that comes later is higher: it does not replace one with the same score.
                if not score > heap[0]:
                    continue
                place, below = 0, 1
                while below < n:
                    other = below + 1
                    if other < n and (
                        heap[other] < heap[below]
                        or (heap[other] == heap[below] and items[other] > items[below])
                    ):
                        below = other
                    # Of a score as good as this one the item is lower, and so it is better.
                    if heap[below] >= score:
                        break
                    heap[place], items[place] = heap[below], items[below]
                    place, below = below, 2 * below + 1
                heap[place], items[place] = score, begin + j
