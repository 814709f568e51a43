"""What a fitted network says of a block of rows: picklable functions of the block."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import is_host, to_device_of, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.network import Network, forward
from daskml_exec.kernels.probabilities import class_probabilities
from daskml_exec.partitions import block_to_predict


def margins(network: Network, parameters: Array, X: Any) -> Array:
    """Return the inputs of the output layer's activation on the host, shape (n, outputs)."""
    flat = parameters if is_host(X) else to_device_of(parameters, X)
    return to_host(forward(network, flat, X))


@dataclass(frozen=True)
class OutputsOf:
    """Inputs of the output layer's activation, shape (n, outputs)."""

    network: Network
    parameters: Array
    estimator: str
    """Named in messages."""
    __name__ = "outputs"  # what Dask calls the result

    def __call__(self, block: Any) -> Array:
        X = block_to_predict(block, self.network.layout.units[0], self.estimator)
        return margins(self.network, self.parameters, X)


@dataclass(frozen=True)
class NumbersOf:
    """The only output, shape (n,)."""

    outputs: OutputsOf
    __name__ = "numbers"

    def __call__(self, block: Any) -> Array:
        return self.outputs(block)[:, 0]


@dataclass(frozen=True)
class ProbabilitiesOf:
    """Class probabilities, or their logarithms, shape (n, classes)."""

    outputs: OutputsOf
    log: bool = False
    __name__ = "probabilities"

    def __call__(self, block: Any) -> Array:
        return class_probabilities(self.outputs(block), log=self.log)


@dataclass(frozen=True)
class LabelsOf:
    """The most probable label, shape (n,)."""

    outputs: OutputsOf
    classes: Array
    __name__ = "labels"

    def __call__(self, block: Any) -> Array:
        z = self.outputs(block)
        codes = z.argmax(axis=1) if z.shape[1] > 1 else (z[:, 0] > 0).astype(np.intp)
        labels: Array = self.classes[codes]
        return labels
