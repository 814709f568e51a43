"""What a fitted linear model says of a block of rows: picklable functions of the block."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host, to_device_of, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Distribution
from daskml_exec.kernels.probabilities import class_probabilities
from daskml_exec.partitions import block_to_predict


@dataclass(frozen=True)
class MarginsOf:
    """Margins ``X W' + b``, shape (n,) for one row of coefficients, else (n, K)."""

    coef: Any
    """An array, or a CSR matrix of the same shape."""
    intercept: Array
    estimator: str
    """Named in messages."""
    __name__ = "margins"  # what Dask calls the result

    def __call__(self, block: Any) -> Array:
        X = block_to_predict(block, self.coef.shape[1], self.estimator)
        margins: Array
        if is_host(X):
            if not sp.issparse(X):
                X = np.require(X, requirements="A")  # what came in a message may be at odd places
            product = X @ self.coef.T
            margins = (product.toarray() if sp.issparse(product) else product) + self.intercept
        else:
            coef = self.coef.toarray() if sp.issparse(self.coef) else self.coef
            there = X @ to_device_of(coef.T, X) + to_device_of(self.intercept, X)
            margins = to_host(there)
        return margins[:, 0] if self.coef.shape[0] == 1 else margins


@dataclass(frozen=True)
class ProbabilitiesOf:
    """Class probabilities, or their logarithms, shape (n, K)."""

    margins: MarginsOf
    log: bool = False
    __name__ = "probabilities"

    def __call__(self, block: Any) -> Array:
        return class_probabilities(self.margins(block), log=self.log)


def labels_of(z: Array, classes: Array) -> Array:
    """Return the class of the largest margin, of margins (n,) of the second class or (n, K)."""
    labels: Array = classes[(z > 0).astype(np.intp) if z.ndim == 1 else z.argmax(axis=1)]
    return labels


@dataclass(frozen=True)
class LabelsOf:
    """The label with the largest margin, shape (n,)."""

    margins: MarginsOf
    classes: Array
    __name__ = "labels"

    def __call__(self, block: Any) -> Array:
        return labels_of(self.margins(block), self.classes)


@dataclass(frozen=True)
class MeansOf:
    """The distribution's mean at the margin, shape (n,)."""

    margins: MarginsOf
    distribution: Distribution
    __name__ = "means"

    def __call__(self, block: Any) -> Array:
        means: Array = self.distribution.mean(self.margins(block))
        return means


@dataclass(frozen=True)
class ColumnOf:
    """The values of another function, shape (n, 1)."""

    values: Callable[[Any], Array]
    __name__ = "column"

    def __call__(self, block: Any) -> Array:
        return self.values(block)[:, None]
