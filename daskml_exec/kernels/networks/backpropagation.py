"""Loss and gradient of a batch, in work space that is allocated once."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.networks.layout import Layers
from daskml_exec.kernels.networks.network import Network

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Workspace:
    """Arrays for batches of one size.

    Attributes
    ----------
    hidden, deltas, scratch : lists of ndarray of shape (rows, units)
        Per hidden layer: its values, the gradient of the loss by its inputs, and space.
    outputs : ndarray of shape (outputs, rows)
    losses : ndarray of shape (rows,)
    gradient : ndarray of shape (n_parameters,)
        Shared by the work spaces of all sizes; `layers` are its views.
    """

    hidden: list[Array]
    deltas: list[Array]
    scratch: list[Array]
    outputs: Array
    losses: Array
    gradient: Array
    layers: Layers


def workspace(network: Network, rows: int, gradient: Array) -> Workspace:
    """Return work space for batches of so many rows."""
    units, dtype = network.layout.units, gradient.dtype

    def per_layer() -> list[Array]:
        return [np.empty((rows, n), dtype) for n in units[1:-1]]

    return Workspace(
        hidden=per_layer(),
        deltas=per_layer(),
        scratch=per_layer(),
        outputs=np.empty((units[-1], rows), dtype),
        losses=np.empty(rows, dtype),
        gradient=gradient,
        layers=network.layout.layers(gradient),
    )


def backpropagate(
    network: Network, layers: Layers, X: Any, y: Array, weight: Array | None, space: Workspace
) -> tuple[float, float]:
    """Write the gradient of the batch's mean loss to the work space; no penalty.

    Parameters
    ----------
    network : Network
    layers : Layers
        Views of the parameters.
    X : ndarray or CSR matrix of shape (rows, features)
    y : ndarray of shape (rows,)
        As ``network.output.targets`` returns it.
    weight : ndarray of shape (rows,), or None for ones
    space : Workspace

    Returns
    -------
    loss : float
        Sum of weight times loss.
    total : float
        Sum of the weights. If it is zero, so is the gradient.
    """
    _forward(network, layers, X, space)
    outputs = space.outputs
    network.output.residual(outputs, y, space.losses)
    if weight is None:
        loss, total = float(space.losses.sum()), float(len(y))
        outputs *= 1.0 / total
    else:
        loss, total = float(space.losses @ weight), float(weight.sum(dtype=np.float64))
        outputs *= weight / (total or 1.0)
    _backward(network, layers, X, space)
    return loss, total


def _forward(network: Network, layers: Layers, X: Any, space: Workspace) -> None:
    values, outputs = X, space.outputs
    for coef, intercept, hidden in zip(*layers, space.hidden, strict=False):
        _product(values, coef, hidden)
        hidden += intercept
        network.activation.apply(hidden)
        values = hidden
    if values is X and not isinstance(X, np.ndarray):
        outputs[:] = (X @ layers.coefs[-1]).T
    else:
        np.matmul(layers.coefs[-1].T, values.T, out=outputs)
    outputs += layers.intercepts[-1][:, None]


def _backward(network: Network, layers: Layers, X: Any, space: Workspace) -> None:
    """Propagate the residual back; the first layer's inputs need no gradient."""
    delta = space.outputs.T
    np.sum(space.outputs, axis=1, out=space.layers.intercepts[-1])
    for layer in range(len(layers.coefs) - 1, 0, -1):
        values, previous = space.hidden[layer - 1], space.deltas[layer - 1]
        np.matmul(values.T, delta, out=space.layers.coefs[layer])
        np.matmul(delta, layers.coefs[layer].T, out=previous)
        network.activation.times_slope(values, previous, space.scratch[layer - 1])
        np.sum(previous, axis=0, out=space.layers.intercepts[layer - 1])
        delta = previous
    _product(X.T, delta, space.layers.coefs[0])


def _product(A: Any, B: Array, out: Array) -> None:
    if isinstance(A, np.ndarray):
        np.matmul(A, B, out=out)
    else:
        out[:] = A @ B  # SciPy has no place for the result of a sparse product
