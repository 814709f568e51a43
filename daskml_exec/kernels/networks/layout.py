"""Where the weights and intercepts of a network lie in one flat vector."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.array_namespace import array_namespace
from daskml_exec.kernels.arrays import Array


class Layers(NamedTuple):
    """Per layer, a weight matrix of shape (fan_in, fan_out) and intercepts of shape (fan_out,)."""

    coefs: list[Any]
    intercepts: list[Any]


@dataclass(frozen=True)
class Layout:
    """A fully connected network's shape: units per layer, from the features to the outputs.

    All weights come first in the flat vector, then all intercepts, so that what is penalised is
    one contiguous piece.

    Examples
    --------
    >>> layout = Layout((3, 2, 1))
    >>> layout.n_coefs, layout.size
    (8, 11)
    >>> [coef.shape for coef in layout.layers(np.zeros(11)).coefs]
    [(3, 2), (2, 1)]
    """

    units: tuple[int, ...]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Per layer, the shape of its weight matrix."""
        return list(itertools.pairwise(self.units))

    @property
    def n_coefs(self) -> int:
        """Number of weights, without intercepts."""
        return sum(fan_in * fan_out for fan_in, fan_out in self.shapes)

    @property
    def size(self) -> int:
        """Number of weights and intercepts."""
        return self.n_coefs + sum(self.units[1:])

    def layers(self, flat: Any) -> Layers:
        """Return views of a flat vector, in any array namespace."""
        xp = array_namespace(flat)
        coefs, intercepts = [], []
        at, at_intercept = 0, self.n_coefs
        for fan_in, fan_out in self.shapes:
            coefs.append(xp.reshape(flat[at : at + fan_in * fan_out], (fan_in, fan_out)))
            intercepts.append(flat[at_intercept : at_intercept + fan_out])
            at += fan_in * fan_out
            at_intercept += fan_out
        return Layers(coefs, intercepts)

    def flat(self, coefs: Sequence[Array], intercepts: Sequence[Array]) -> Array:
        """Return a new flat vector with these weights and intercepts."""
        return np.concatenate([piece.ravel() for piece in (*coefs, *intercepts)])


def initial_parameters(layout: Layout, *, seed: int, logistic: bool, dtype: np.dtype[Any]) -> Array:
    r"""Draw weights and intercepts of each layer uniformly from :math:`\pm\sqrt{f / (m + n)}`.

    Here m and n are the units before and after the layer, and f is 6, or 2 for the logistic
    activation, whose slope at zero is a quarter. Each layer has a random stream of its own, from
    ``(seed, layer)``.

    Source: Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward
    neural networks, AISTATS.
    """
    coefs, intercepts = [], []
    for layer, (fan_in, fan_out) in enumerate(layout.shapes):
        draw = np.random.default_rng(np.random.SeedSequence((seed, layer)))
        bound = np.sqrt((2.0 if logistic else 6.0) / (fan_in + fan_out))
        coefs.append(draw.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype))
        intercepts.append(draw.uniform(-bound, bound, fan_out).astype(dtype))
    return layout.flat(coefs, intercepts)
