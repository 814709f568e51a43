"""Local training: optimiser steps over batches of one partition's rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import get_blas_funcs

from daskml_exec.kernels.networks.backpropagation import Workspace, backpropagate, workspace
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import (
    Optimiser,
    OptimiserState,
    flush_denormals,
)
from daskml_exec.kernels.stop_points import stop_point

Array = np.ndarray[Any, np.dtype[Any]]

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
    X : ndarray or CSR matrix of shape (n, features)
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
    layers = network.layout.layers(parameters)
    coefs = parameters[: network.layout.n_coefs]
    gradient, scratch = np.empty_like(parameters), np.empty_like(parameters)
    coef_gradient = gradient[: network.layout.n_coefs]
    add, dot = get_blas_funcs(("axpy", "dot"), (parameters,))
    take_X, take_y, take_weight = (rows_taker(array, rows, batch) for array in (X, y, weight))
    spaces: dict[int, Workspace] = {}
    loss, seen, steps = 0.0, 0.0, 0
    for start in range(0, len(rows), batch):
        stop_point()
        stop = min(start + batch, len(rows))
        size = stop - start
        space = spaces.get(size) or workspace(network, size, gradient)
        spaces[size] = space
        batch_loss, total = backpropagate(
            network,
            layers,
            take_X(start, stop),
            take_y(start, stop),
            take_weight(start, stop),
            space,
        )
        if not total:
            continue  # rows without weight are rows that are not there
        if penalty:
            batch_loss += 0.5 * penalty * float(dot(coefs, coefs))
            add(coefs, coef_gradient, a=penalty / total)
        optimiser.update(parameters, gradient, state, learning_rate, scratch)
        loss, seen, steps = loss + batch_loss, seen + total, steps + 1
        if steps % _FLUSH_STEPS == 0:
            flush_denormals(state, scratch)
    flush_denormals(state, scratch)
    return StepSums(loss, seen, steps)


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
