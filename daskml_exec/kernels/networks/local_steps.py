"""Local training: optimiser steps over batches of one partition's rows, where these are.

For rows on a device all else is transferred once before the steps, and what has changed once after
them; between them nobody waits for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from array_api_compat import device
from scipy.linalg import get_blas_funcs

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    beside,
    is_host,
    number,
    summed,
    to_device_of,
    to_host,
    zeros,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.backpropagation import Workspace, backpropagate, workspace
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import (
    Optimiser,
    OptimiserState,
    axpy,
    flush_denormals,
)
from daskml_exec.kernels.stop_points import stop_point

_FLUSH_STEPS = 100


@dataclass(frozen=True)
class StepSums:
    """What local steps have seen.

    Attributes
    ----------
    loss : float
        Sum over the rows of weight times loss, and over the steps of the penalty.
    weight : float
    steps : int
    """

    loss: float
    weight: float
    steps: int


def train_locally(
    network: Network,
    optimiser: Optimiser,
    X: Any,
    y: Array,
    weight: Array | None,
    *,
    rows: Array,
    batch: int,
    parameters: Array,
    state: OptimiserState,
    learning_rate: float,
    penalty: float,
) -> StepSums:
    """Take a step for each batch of rows, changing `parameters` and `state` in place.

    Parameters
    ----------
    network : Network
    optimiser : Optimiser
    X : array or CSR matrix of shape (n, features)
        It may be on a device; all else is on the host.
    y : ndarray of shape (n,)
        As ``network.output.targets`` returns it.
    weight : ndarray of shape (n,), or None for ones
    rows : ndarray of int
        Which rows of X, in the order in which they are gone through.
    batch : int
        Rows per step; the last step may have fewer.
    parameters : ndarray of shape (n_parameters,)
    state : OptimiserState
    learning_rate : float
    penalty : float
        This partition's share of alpha.
    """
    flat, there = parameters, state
    if not is_host(X):
        flat = to_device_of(parameters, X)
        there = OptimiserState(to_device_of(state.moments, X), state.scales)
    layers = network.layout.layers(flat)
    coefs = flat[: network.layout.n_coefs]
    gradient, scratch = zeros(flat.shape, flat), zeros(flat.shape, flat)
    coef_gradient = gradient[: network.layout.n_coefs]
    add, dot = axpy(flat), _dot(flat)
    take = _batch_taker(X, y, weight, rows, batch)
    spaces: dict[int, Workspace] = {}
    loss: Any = 0.0
    seen, steps = 0.0, 0
    for start in range(0, len(rows), batch):
        stop_point()
        stop = min(start + batch, len(rows))
        size = stop - start
        total = float(size)
        if weight is not None:
            total = float(weight[rows[start:stop]].sum(dtype=np.float64))
            if not total:
                continue  # rows without weight are rows that are not there
        space = spaces.get(size) or workspace(network, size, gradient)
        spaces[size] = space
        batch_X, batch_y, batch_weight = take(start, stop)
        batch_loss = backpropagate(network, layers, batch_X, batch_y, batch_weight, total, space)
        if penalty:
            batch_loss += 0.5 * penalty * dot(coefs, coefs)
            add(coefs, coef_gradient, a=penalty / total)
        optimiser.update(flat, gradient, there, learning_rate, scratch)
        loss, seen, steps = loss + batch_loss, seen + total, steps + 1
        if steps % _FLUSH_STEPS == 0:
            flush_denormals(there, scratch)
    flush_denormals(there, scratch)
    if flat is not parameters:
        parameters[:] = to_host(flat)
        state.moments[:] = to_host(there.moments)
    return StepSums(number(loss), seen, steps)


def _dot(like: Any) -> Callable[[Any, Any], Any]:
    return get_blas_funcs("dot", dtype=like.dtype) if is_host(like) else summed


def _batch_taker(
    X: Any, y: Array, weight: Array | None, rows: Array, batch: int
) -> Callable[[int, int], list[Any]]:
    """Return a function of a range of the order: the rows of X, y and weight, where X is."""
    if is_host(X):
        takers = [rows_taker(array, rows, batch) for array in (X, y, weight)]
        return lambda start, stop: [take(start, stop) for take in takers]
    xp = array_namespace(X)
    order = xp.asarray(rows, device=device(X))
    y_there = xp.asarray(y, device=device(X)) if y.dtype.kind == "i" else to_device_of(y, X)
    there = (X, y_there, None if weight is None else beside(weight, X))
    return lambda start, stop: [
        None if array is None else xp.take(array, order[start:stop], axis=0) for array in there
    ]


def rows_taker(array: Any, rows: Array, batch: int) -> Callable[[int, int], Any]:
    """Return a function of a range of the order: its rows, valid until the next call."""
    if array is None:
        return lambda start, stop: None
    if sp.issparse(array):
        return lambda start, stop: array[rows[start:stop]]
    consecutive = (
        len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
    )
    if consecutive and array.flags.aligned:
        first = int(rows[0])
        return lambda start, stop: array[first + start : first + stop]
    # Bytes are aligned wherever they lie: rows that came in a message are at odd addresses, and
    # `take` would first copy all of them.
    source = array.reshape(len(array), -1).view(np.uint8)
    buffer = np.empty((min(batch, len(rows)), *array.shape[1:]), array.dtype)
    raw = buffer.reshape(len(buffer), -1).view(np.uint8)

    def take(start: int, stop: int) -> Any:
        n = stop - start
        np.take(source, rows[start:stop], axis=0, out=raw[:n], mode="clip")
        return buffer[:n]

    return take
