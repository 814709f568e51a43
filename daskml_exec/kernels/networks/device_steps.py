"""Local training on another array namespace: the same steps as `local_steps`, on a device.

Arrays there cannot be written into by all namespaces, so that steps return new ones. Parameters
are transferred once before the steps and once after them.
"""

from typing import Any

import numpy as np
from array_api_compat import device

from daskml_exec.kernels.array_namespace import array_namespace, beside, to_device_of, to_host
from daskml_exec.kernels.networks.local_steps import StepSums
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import Optimiser, OptimiserState
from daskml_exec.kernels.stop_points import stop_point

Array = np.ndarray[Any, np.dtype[Any]]


def train_on_device(
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
    """Do what `train_locally` does, for X on a device; all else comes from the host.

    `parameters` and `state` are changed in place, after the last step.
    """
    xp = array_namespace(X)
    order = xp.asarray(rows, device=device(X))
    y_there = xp.asarray(y, device=device(X)) if y.dtype.kind == "i" else to_device_of(y, X)
    weight_there = None if weight is None else beside(weight, X)
    flat = to_device_of(parameters, X)
    there = OptimiserState(to_device_of(state.moments, X), state.scales)
    loss: Any = 0.0
    seen, steps = 0.0, 0
    for start in range(0, len(rows), batch):
        stop_point()
        stop = min(start + batch, len(rows))
        chosen = order[start:stop]
        total = float(stop - start)
        row_weight = None
        if weight is not None:
            total = float(weight[rows[start:stop]].sum(dtype=np.float64))
            if not total:
                continue  # rows without weight are rows that are not there
            row_weight = xp.take(weight_there, chosen, axis=0)
        batch_loss, gradient = loss_and_gradient_on(
            xp,
            network,
            flat,
            xp.take(X, chosen, axis=0),
            xp.take(y_there, chosen, axis=0),
            row_weight,
            total,
            penalty,
        )
        loss = loss + batch_loss
        flat, there = optimiser.update_on(xp, flat, gradient, there, learning_rate)
        seen, steps = seen + total, steps + 1
    parameters[:] = to_host(flat)
    state.moments[:] = to_host(there.moments)
    state.scales[:] = there.scales
    return StepSums(
        float(to_host(xp.reshape(xp.asarray(loss), (1,)))[0]) if steps else 0.0, seen, steps
    )


def loss_and_gradient_on(
    xp: Any,
    network: Network,
    flat: Any,
    X: Any,
    y: Any,
    weight: Any,
    total: float,
    penalty: float,
) -> tuple[Any, Any]:
    """Return a batch's sum of weighted losses with the penalty, and the gradient of their mean.

    Parameters
    ----------
    xp : array namespace
    network : Network
    flat : array of shape (n_parameters,)
    X : array of shape (rows, features)
    y : array of shape (rows,)
    weight : array of shape (rows,), or None for ones
    total : float
        Sum of the weights.
    penalty : float
    """
    coefs, intercepts = network.layout.layers(flat)
    activation = network.activation
    values = [X]
    for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
        values.append(activation.apply_on(xp, values[-1] @ coef + intercept[None, :]))
    z = values[-1] @ coefs[-1] + intercepts[-1][None, :]
    losses, residual = network.output.losses_and_residual_on(xp, z.T, y)
    if weight is not None:
        losses, residual = losses * weight, residual * weight[None, :]
    delta = residual.T / total
    coef_gradients: list[Any] = []
    intercept_gradients: list[Any] = []
    for layer in range(len(coefs) - 1, -1, -1):
        coef_gradients.insert(0, values[layer].T @ delta + (penalty / total) * coefs[layer])
        intercept_gradients.insert(0, xp.sum(delta, axis=0))
        if layer:
            delta = (delta @ coefs[layer].T) * activation.slope_on(xp, values[layer])
    n = network.layout.n_coefs
    loss = xp.sum(losses) + 0.5 * penalty * xp.sum(flat[:n] * flat[:n])
    pieces = [xp.reshape(piece, (-1,)) for piece in (*coef_gradients, *intercept_gradients)]
    return loss, xp.concat(pieces)
