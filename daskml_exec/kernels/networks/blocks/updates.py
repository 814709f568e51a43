"""Updates of a block's piece of a layer, in chunks for which alone there is a gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.chunks import row_chunks, rows_per_chunk
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.optimisers import (
    Optimiser,
    OptimiserState,
    flush_denormals,
)

GradientRows = Callable[[int, int, Array], None]
"""Writes the loss's gradient by some rows of a matrix, from the first to that behind the last."""


@dataclass(frozen=True)
class Updater:
    """What all updates of a call have in common.

    Attributes
    ----------
    group : BlockGroup
    optimiser : Optimiser
    learning_rate : float
    gradient, scratch : ndarray of shape (n,)
        For the largest chunk.
    """

    group: BlockGroup
    optimiser: Optimiser
    learning_rate: float
    gradient: Array
    scratch: Array

    def update(
        self, layer: int, block: int, rows: GradientRows, delta: Array, penalty: float
    ) -> None:
        """Take a step of one piece, in place, and sum the squares of its new weights.

        Parameters
        ----------
        layer, block : int
        rows : callable
        delta : ndarray of shape (intercepts of the piece, rows of the batch)
            Gradient by the inputs of the units whose intercepts the piece holds.
        penalty : float
            Gradient of the penalty by weight, in weights.
        """
        state = self.group.states[block]
        coef = self.group.coef(layer, block)
        flat, memory = state.parameters[layer], state.optimiser[layer]
        add, dot = get_blas_funcs(("axpy", "dot"), (flat,))
        n_columns = coef.shape[1]
        squares, scales = 0.0, memory.scales
        for start, stop in row_chunks(coef.shape):
            n = (stop - start) * n_columns
            weights = flat[start * n_columns : stop * n_columns]
            gradient = self.gradient[:n]
            rows(start, stop, gradient.reshape(-1, n_columns))
            if penalty:
                add(weights, gradient, a=penalty)
            end = stop * n_columns
            if stop == len(coef):  # the intercepts come behind the last weights
                end, gradient = flat.size, self.gradient[: n + len(delta)]
                np.sum(delta, axis=1, out=gradient[n:])
            here = slice(start * n_columns, end)
            part = OptimiserState(memory.moments[:, here], memory.scales.copy())
            scratch = self.scratch[: len(gradient)]
            self.optimiser.update(flat[here], gradient, part, self.learning_rate, scratch)
            scales = part.scales
            squares += float(dot(weights, weights))  # while they are in cache
        # All chunks were updated from the scales before the step.
        memory.scales[:] = scales
        state.squares[layer] = squares

    def flush(self) -> None:
        """Make moments zero that have decayed to almost nothing."""
        n = len(self.scratch)
        for state in self.group.states.values():
            for memory in state.optimiser:
                size = memory.moments.shape[1]
                for start in range(0, size, n):
                    part = memory.moments[:, start : start + n]
                    flush_denormals(
                        OptimiserState(part, memory.scales), self.scratch[: part.shape[1]]
                    )


def updater(group: BlockGroup, optimiser: Optimiser, learning_rate: float) -> Updater:
    """Return an updater with buffers for the largest chunk of the group's pieces."""
    layout = group.layout
    size = 0
    for layer in range(layout.n_layers):
        for block in group.blocks:
            n_rows, n_columns = layout.coef_shape(layer, block)
            chunk = min(n_rows, rows_per_chunk(n_columns)) * n_columns
            size = max(size, chunk + len(group.intercept(layer, block)))
    gradient, scratch = np.empty(size, group.dtype), np.empty(size, group.dtype)
    return Updater(group, optimiser, learning_rate, gradient, scratch)


def product_rows(inputs: Any, delta: Array) -> GradientRows:
    """Return a function that writes rows of the gradient ``inputs @ delta.T``.

    Parameters
    ----------
    inputs : ndarray or CSR matrix of shape (units read, rows of the batch)
    delta : ndarray of shape (units made, rows of the batch)
    """
    if isinstance(inputs, np.ndarray):

        def dense(start: int, stop: int, out: Array) -> None:
            np.matmul(inputs[start:stop], delta.T, out=out)

        return dense

    by_rows = np.ascontiguousarray(delta.T)  # SciPy would copy it for each chunk

    def sparse(start: int, stop: int, out: Array) -> None:
        out[:] = inputs[start:stop] @ by_rows

    return sparse
