"""The work of training a network of one hidden layer, counted and made into seconds."""

import statistics
from collections.abc import Sequence

INPUTS, HIDDEN, OUTPUTS = 784, 128, 10
EPOCHS = 8
WARM_UP = 3
"""Epochs not counted: the first compile and allocate; by the fourth, moments have decayed."""


def epoch_flops(
    rows: int, inputs: int = INPUTS, hidden: int = HIDDEN, outputs: int = OUTPUTS
) -> int:
    """Return the floating-point operations in the matrix products of an epoch.

    The first layer has two (forward, and the gradient of its weights), the last one three: it also
    sends the gradient back.
    """
    return 2 * rows * (2 * inputs * hidden + 3 * hidden * outputs)


def steady(epochs: Sequence[float]) -> float:
    """Return the median seconds of an epoch after the warm-up."""
    return statistics.median(epochs[WARM_UP:])
