r"""Optimisers as ``init`` and ``update``, with all that they remember as an explicit state.

A state is linear in what it has seen: the moments are exponential averages, and so are the
scales, the averages of ones that say how far a moment has come from its first value of zero. A
weighted average of states, of local models in a round, is therefore again a state.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.linalg import get_blas_funcs

from daskml_exec.kernels.array_namespace import array_namespace, is_host, write
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.compiled_updates import compiled_updates


@dataclass(frozen=True)
class OptimiserState:
    """What an optimiser remembers.

    Attributes
    ----------
    moments : ndarray of shape (n_moments, n_parameters)
        In the dtype of the parameters.
    scales : ndarray of shape (n_moments,)
        In float64: one less the product of the decays of all steps.
    """

    moments: Array
    scales: Array

    def copy(self) -> "OptimiserState":
        """Return a state that may be updated without changing this one."""
        return OptimiserState(self.moments.copy(), self.scales.copy())


class Optimiser(Protocol):
    """Changes parameters by gradients, in any namespace whose arrays can be written into."""

    @property
    def n_moments(self) -> int:
        """How many vectors it remembers."""

    def update(
        self,
        parameters: Any,
        gradient: Any,
        state: OptimiserState,
        learning_rate: float,
        scratch: Any,
    ) -> None:
        """Take a step in place; `gradient` and `scratch` are used up."""


def init(optimiser: Optimiser, n_parameters: int, dtype: np.dtype[Any]) -> OptimiserState:
    """Return the state before the first step."""
    n = optimiser.n_moments
    return OptimiserState(np.zeros((n, n_parameters), dtype), np.zeros(n))


def flush_denormals(state: OptimiserState, scratch: Array) -> None:
    """Make moments zero that have decayed to almost nothing, as those of constant inputs do.

    Below the smallest normal number arithmetic is several times slower. What is flushed changes
    no parameter: its step is smaller than the last digit of any.
    """
    if not is_host(state.moments):
        return  # a device does not mind
    single = state.moments.dtype == np.float32
    for moment, smallest in zip(
        state.moments, (1e-30, 1e-33) if single else (1e-290, 1e-300), strict=False
    ):
        np.abs(moment, out=scratch)
        np.copyto(moment, 0, where=scratch < smallest)


@dataclass(frozen=True)
class Adam:
    r"""Steps of about the learning rate in each coordinate.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
              v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
              \theta \leftarrow \theta - \eta \frac{\sqrt{c_2}}{c_1} \frac{m}{\sqrt v + \epsilon}

    with the scales :math:`c_i = 1 - \beta_i^t` after t steps.

    Source: Kingma and Ba (2015), Adam: a method for stochastic optimization, ICLR, section 2 (the
    order that it calls more efficient).
    """

    beta_1: float
    beta_2: float
    epsilon: float

    @property
    def n_moments(self) -> int:
        """How many vectors it remembers."""
        return 2

    def update(
        self,
        parameters: Any,
        gradient: Any,
        state: OptimiserState,
        learning_rate: float,
        scratch: Any,
    ) -> None:
        """Take a step in place; `gradient` and `scratch` are used up."""
        first, second = state.moments[0, :], state.moments[1, :]
        rate = self._rate(state, learning_rate)
        updates = compiled_updates() if is_host(parameters) else None
        if updates is not None:
            updates.adam(
                parameters,
                gradient,
                first,
                second,
                *(
                    parameters.dtype.type(value)
                    for value in (
                        self.beta_1,
                        1 - self.beta_1,
                        self.beta_2,
                        1 - self.beta_2,
                        rate,
                        self.epsilon,
                    )
                ),
            )
            return
        add, xp = axpy(parameters), array_namespace(parameters)
        first *= self.beta_1
        add(gradient, first, a=1 - self.beta_1)
        second *= self.beta_2
        gradient *= gradient
        add(gradient, second, a=1 - self.beta_2)
        write(xp.sqrt, second, out=scratch)
        scratch += self.epsilon
        write(xp.divide, first, scratch, out=scratch)
        add(scratch, parameters, a=-rate)

    def _rate(self, state: OptimiserState, learning_rate: float) -> float:
        """Advance the scales by a step, and return the learning rate that makes up for them."""
        beta = np.array([self.beta_1, self.beta_2])
        state.scales[:] = beta * state.scales + (1 - beta)
        first, second = state.scales.tolist()
        return float(learning_rate * second**0.5 / first)


@dataclass(frozen=True)
class SGD:
    r"""Steps down the gradient, with momentum.

    .. math:: v \leftarrow \mu v - \eta g, \quad
              \theta \leftarrow \theta + v \quad\text{or}\quad \theta + \mu v - \eta g

    the latter with Nesterov's momentum.

    Source: Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and
    momentum in deep learning, ICML.
    """

    momentum: float
    nesterov: bool

    @property
    def n_moments(self) -> int:
        """How many vectors it remembers."""
        return 1 if self.momentum else 0

    def update(
        self,
        parameters: Any,
        gradient: Any,
        state: OptimiserState,
        learning_rate: float,
        scratch: Any,
    ) -> None:
        """Take a step in place; `gradient` and `scratch` are used up."""
        add = axpy(parameters)
        if not self.momentum:
            add(gradient, parameters, a=-learning_rate)
            return
        velocity = state.moments[0, :]
        velocity *= self.momentum
        add(gradient, velocity, a=-learning_rate)
        if self.nesterov:
            add(velocity, parameters, a=self.momentum)
            add(gradient, parameters, a=-learning_rate)
        else:
            parameters += velocity


def axpy(like: Any) -> Callable[..., Any]:
    """Return ``y += a x``: on the host that of BLAS, which reads and writes y once."""
    return _AXPY[like.dtype.char] if is_host(like) else _add


def _add(x: Any, y: Any, *, a: float) -> None:
    y += a * x


_AXPY = {char: get_blas_funcs("axpy", dtype=char) for char in "fd"}
