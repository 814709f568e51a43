"""Small networks with rows for them."""

from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.array_namespace import number, total, total_weight, zeros
from daskml_exec.kernels.networks.backpropagation import backpropagate, workspace
from daskml_exec.kernels.networks.layout import Layout, initial_parameters
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import SGD, Adam

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
N_OUTPUTS = {"softmax": 3, "logistic": 1, "identity": 1}
HIDDEN = [(), (5,), (5, 4)]
OPTIMISERS = {
    "adam": Adam(0.9, 0.999, 1e-8),
    "sgd": SGD(0.0, False),
    "momentum": SGD(0.9, False),
    "nesterov": SGD(0.9, True),
}


class Example(NamedTuple):
    """What is trained, from where, and on what; `y` is as the output wants it."""

    network: Network
    parameters: np.ndarray[Any, Any]
    X: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    weight: np.ndarray[Any, Any]

    def astype(self, dtype: Any) -> "Example":
        y = self.y if self.y.dtype.kind == "i" else self.y.astype(dtype)
        return Example(
            self.network,
            self.parameters.astype(dtype),
            self.X.astype(dtype),
            y,
            self.weight.astype(dtype),
        )


def example(output="softmax", activation="tanh", hidden=(5, 4), *, n=60, d=6, seed=0) -> Example:
    rng = np.random.default_rng(seed)
    layout = Layout((d, *hidden, N_OUTPUTS[output]))
    network = Network(layout, activation, output)
    parameters = initial_parameters(layout, seed=seed, logistic=False, dtype=np.dtype(float))
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.7)
    y = (
        rng.normal(size=n)
        if output == "identity"
        else rng.integers(0, max(2, N_OUTPUTS[output]), n)
    )
    y = network.output.targets(y, np.dtype(float))
    return Example(network, parameters, X, y, rng.uniform(0.2, 2.0, n))


def loss_and_gradient(network, parameters, X, y, weight, penalty):
    """The objective of a batch, and its gradient, as `train_locally` puts them together."""
    gradient = zeros(parameters.shape, parameters)
    weight_of_all = total_weight(X, weight)
    loss = backpropagate(
        network,
        network.layout.layers(parameters),
        X,
        y,
        weight,
        weight_of_all,
        workspace(network, X.shape[0], gradient),
    )
    coefs = parameters[: network.layout.n_coefs]
    gradient[: network.layout.n_coefs] += penalty / weight_of_all * coefs
    squares = total(coefs, coefs)
    return (number(loss) + 0.5 * penalty * squares) / weight_of_all, gradient


def odd(array):
    """Return the array at an odd address, read-only, as messages give it."""
    there = np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)
    assert not there.flags.aligned and not there.flags.writeable
    return there
