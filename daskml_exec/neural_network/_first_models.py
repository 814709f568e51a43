"""The model that training starts from."""

from typing import Any

import numpy as np

from daskml_exec.kernels.networks.layout import Layers, initial_parameters
from daskml_exec.kernels.networks.optimisers import OptimiserState, init
from daskml_exec.neural_network._model import Model
from daskml_exec.neural_network._problem import NetworkProblem

Array = np.ndarray[Any, np.dtype[Any]]
Remembered = tuple[Array, Array]
"""The moments of an optimiser, and their scales: arrays, which any way of saving a model takes."""


def new_model(problem: NetworkProblem, dtype: np.dtype[Any]) -> Model:
    """Return drawn parameters, with an optimiser that remembers nothing."""
    layout = problem.network.layout
    logistic = problem.network.activation_name == "logistic"
    parameters = initial_parameters(layout, seed=problem.seed, logistic=logistic, dtype=dtype)
    return Model(parameters, init(problem.optimiser, layout.size, dtype))


def going_on(
    problem: NetworkProblem, dtype: np.dtype[Any], layers: Layers, last: Remembered | None
) -> Model:
    """Return a model with the parameters of these layers, and what the optimiser remembers.

    Parameters
    ----------
    problem : NetworkProblem
    dtype : numpy.dtype
    layers : Layers
    last : Remembered or None
        It counts if its moments are of this dtype and shape.
    """
    layout = problem.network.layout
    fresh = init(problem.optimiser, layout.size, dtype)
    parameters = layout.flat(*layers).astype(dtype, copy=False)
    if last is not None:
        moments, scales = last
        if moments.dtype == dtype and moments.shape == fresh.moments.shape:
            return Model(parameters, OptimiserState(moments, scales))
    return Model(parameters, fresh)


def remembered(model: Model) -> Remembered:
    """Return what a model's optimiser remembers."""
    return model.optimiser.moments, model.optimiser.scales
