"""Loss and gradient of a batch, in work space that is allocated once.

Arrays are of any namespace in which they can be written into, and slices are views.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import array_namespace, summed, write, zeros
from daskml_exec.kernels.networks.layout import Layers
from daskml_exec.kernels.networks.network import Network


@dataclass(frozen=True)
class Workspace:
    """Arrays for batches of one size.

    Attributes
    ----------
    hidden, deltas : lists of array of shape (rows, units)
        Per hidden layer: its values, and the gradient of the loss by its inputs.
    outputs : array of shape (outputs, rows)
    losses : array of shape (rows,)
    gradient : array of shape (n_parameters,)
        Shared by the work spaces of all sizes; `layers` are its views.
    """

    hidden: list[Any]
    deltas: list[Any]
    outputs: Any
    losses: Any
    gradient: Any
    layers: Layers


def workspace(network: Network, rows: int, gradient: Any) -> Workspace:
    """Return work space for batches of so many rows, where the gradient is."""
    units = network.layout.units
    return Workspace(
        hidden=[zeros((rows, n), gradient) for n in units[1:-1]],
        deltas=[zeros((rows, n), gradient) for n in units[1:-1]],
        outputs=zeros((units[-1], rows), gradient),
        losses=zeros((rows,), gradient),
        gradient=gradient,
        layers=network.layout.layers(gradient),
    )


def backpropagate(
    network: Network, layers: Layers, X: Any, y: Any, weight: Any, total: float, space: Workspace
) -> Any:
    """Write the gradient of the batch's mean loss to the work space; no penalty.

    Parameters
    ----------
    network : Network
    layers : Layers
        Views of the parameters.
    X : array or CSR matrix of shape (rows, features)
    y : array of shape (rows,)
        As ``network.output.targets`` returns it.
    weight : array of shape (rows,), or None for ones
    total : float
        Sum of the weights.
    space : Workspace

    Returns
    -------
    loss : float, or an array of a device
        Sum of weight times loss.
    """
    _forward(network, layers, X, space)
    outputs = space.outputs
    network.output.residual(outputs, y, space.losses)
    outputs *= (1.0 if weight is None else weight) / total
    _backward(network, layers, X, space)
    return summed(space.losses, weight)


def _forward(network: Network, layers: Layers, X: Any, space: Workspace) -> None:
    values, outputs = X, space.outputs
    for coef, intercept, hidden in zip(*layers, space.hidden, strict=False):
        _product(values, coef, hidden)
        hidden += intercept
        network.activation.apply(hidden)
        values = hidden
    if values is X and sp.issparse(X):
        outputs[:] = (X @ layers.coefs[-1]).T
    else:
        _product(layers.coefs[-1].T, values.T, outputs)
    outputs += layers.intercepts[-1][:, None]


def _backward(network: Network, layers: Layers, X: Any, space: Workspace) -> None:
    """Propagate the residual back; the first layer's inputs need no gradient."""
    delta = space.outputs.T
    xp = array_namespace(delta)
    space.layers.intercepts[-1][...] = xp.sum(space.outputs, axis=1)
    for layer in range(len(layers.coefs) - 1, 0, -1):
        values, previous = space.hidden[layer - 1], space.deltas[layer - 1]
        _product(values.T, delta, space.layers.coefs[layer])
        _product(delta, layers.coefs[layer].T, previous)
        network.activation.times_slope(values, previous)
        space.layers.intercepts[layer - 1][...] = xp.sum(previous, axis=0)
        delta = previous
    _product(X.T, delta, space.layers.coefs[0])


def _product(A: Any, B: Any, out: Any) -> None:
    if type(A) is np.ndarray:  # at once: to ask takes as long as a small product
        np.matmul(A, B, out=out)
    elif sp.issparse(A):
        out[:] = A @ B  # SciPy has no place for the result of a sparse product
    else:
        write(array_namespace(B).matmul, A, B, out=out)
