"""A network and its objective: what all that computes with it needs to know."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import is_host, zeros
from daskml_exec.kernels.networks.activations import ACTIVATIONS, Activation
from daskml_exec.kernels.networks.layout import Layout
from daskml_exec.kernels.networks.outputs import Identity, Logistic, Output, Softmax
from daskml_exec.kernels.stop_points import stop_point

OUTPUTS: dict[str, Output] = {"identity": Identity(), "logistic": Logistic(), "softmax": Softmax()}
"""By scikit-learn's names."""


@dataclass(frozen=True)
class Network:
    r"""A fully connected network with hidden layers of one activation.

    Over rows of weight s the objective is

    .. math:: \frac{1}{\sum_i s_i} \Big( \sum_i s_i\, \ell(f(x_i), y_i)
              + \tfrac{\alpha}{2} \sum_l \|W_l\|_F^2 \Big)

    as scikit-learn has it for each batch. Intercepts are not penalised.
    """

    layout: Layout
    activation_name: str
    output_name: str

    @property
    def activation(self) -> Activation:
        """That of the hidden layers."""
        return ACTIVATIONS[self.activation_name]

    @property
    def output(self) -> Output:
        """That of the last layer, with its loss."""
        return OUTPUTS[self.output_name]


def forward(network: Network, flat: Any, X: Any, *, rows: int = 4096) -> Any:
    """Return the inputs of the output layer's activation, shape (n, outputs).

    X is an array or a CSR matrix. On the host rows are taken in blocks, so that hidden layers take
    little memory.
    """
    coefs, intercepts = network.layout.layers(flat)
    n = X.shape[0]
    if is_host(X):
        result = np.empty((n, network.layout.units[-1]), np.result_type(X.dtype, flat.dtype))
    else:
        result, rows = zeros((n, network.layout.units[-1]), X), max(1, n)
    for start in range(0, n, rows):
        stop_point()
        here = slice(start, start + rows)
        values = X[here] if is_host(X) else X
        if isinstance(values, np.ndarray):
            values = np.require(values, requirements="A")
        for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
            values = values @ coef
            values += intercept
            network.activation.apply(values)
        result[here, :] = values @ coefs[-1] + intercepts[-1]
    return result
