"""The average of replicas that were looked at, or stopped, between two averages."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.torch._layout import Layout
from daskml_exec.torch.pipeline._stage import TENSOR, owner_and_key, weight_apart

Arrays = Mapping[str, Array]


def averaged_here(
    units: Mapping[int, Arrays], n_stages: int, layout: Layout, *, forgets: bool
) -> dict[int, Arrays]:
    """Return the stages of one replica: what all would have become by an average of this moment.

    It has the bits of the average on Workers, by `average_stages`.

    Parameters
    ----------
    units : mapping of int to mapping of str to array
        The arrays of the stages of one replica after the other; empty for those of a replica that
        has not trained since it was averaged, but for the first.
    n_stages : int
        Of a replica.
    layout : Layout
    forgets : bool
        Whether optimisers begin anew after an average.
    """
    replicas = range(len(units) // n_stages)
    first = {stage: units[stage] for stage in range(n_stages)}
    weights = [weight_apart(units[replica * n_stages]) for replica in replicas]
    total = fold(weights, float.__add__)
    if not total:
        return first
    shares = [weight / total for weight in weights]
    return {
        stage: _averaged(
            [units[replica * n_stages + stage] for replica in replicas],
            shares,
            layout,
            forgets=forgets,
        )
        for stage in range(n_stages)
    }


def _averaged(
    replicas: Sequence[Arrays], shares: Sequence[float], layout: Layout, *, forgets: bool
) -> Arrays:
    found = dict(replicas[0])
    names = {name for each in replicas for name in each}
    for name in sorted(names):
        owned = owner_and_key(name)
        there = [each.get(name) for each in replicas]
        (like, *_) = (array for array in there if array is not None)
        if owned is not None and forgets:
            found.pop(name, None)
        elif _counts(name, owned, like, layout):
            found[name] = _folded(there, np.maximum)
        elif owned is not None or _is_mean(name, layout):
            # Statistics in float64, where the average of equal numbers of float32 is that number.
            wide = like.dtype if owned is not None else _wide(name, like, layout)
            scaled = [
                None if array is None else array.astype(wide) * wide.type(share)
                for array, share in zip(there, shares, strict=True)
            ]
            found[name] = _folded(scaled, np.add).astype(like.dtype)
    return found


def _is_mean(name: str, layout: Layout) -> bool:
    own = name.removeprefix(TENSOR)
    return own in layout.parameters.names or own in layout.statistics.names


def _wide(name: str, like: Array, layout: Layout) -> np.dtype[Any]:
    exact = name.removeprefix(TENSOR) in layout.statistics.names
    return np.dtype(np.float64) if exact or like.dtype.itemsize < 4 else like.dtype


def _counts(name: str, owned: tuple[str, str] | None, like: Array, layout: Layout) -> bool:
    """Return whether the largest of these numbers counts."""
    if owned is not None:
        return owned in layout.scalars.owned or like.dtype.kind != "f"
    return name.removeprefix(TENSOR) in layout.counters.names


def _folded(arrays: Sequence[Array | None], combine: Callable[[Array, Array], Array]) -> Array:
    """Combine arrays in the fixed tree; those that are missing are zeros, which change nothing."""

    def either(one: Array | None, other: Array | None) -> Array | None:
        if one is None or other is None:
            return other if one is None else one
        return np.asarray(combine(one, other))

    result = fold(arrays, either)
    assert result is not None
    return result
