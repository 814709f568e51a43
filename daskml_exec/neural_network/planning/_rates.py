"""Seconds of a network's arithmetic on a worker that was measured."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.neural_network.planning._calibration import Calibration
from daskml_exec.neural_network.planning._worker_times import FEW_ROWS, MANY_ROWS

# Numbers that an update reads and writes per parameter: Adam's in one pass; momentum's in several.
_UPDATE_WORDS = {2: 7, 1: 11, 0: 3}
_CACHED_PARAMETERS = 2**17
"""As many, with gradient and moments, stay in a cache of 2 MB."""


@dataclass(frozen=True)
class Rates:
    """What arithmetic in a dtype takes.

    Attributes
    ----------
    calibration : Calibration
    dtype : numpy.dtype
    n_moments : int
        Of the optimiser: 2 of Adam, 1 of momentum, else 0.
    """

    calibration: Calibration
    dtype: np.dtype[Any]
    n_moments: int

    def products(self, units: Sequence[int], row_values: float, rows: float) -> float:
        """Return the seconds of the products of a step: forth, and back twice but for the inputs.

        Parameters
        ----------
        units : sequence of int
            Per layer.
        row_values : float
            Stored values of a row of the inputs; the units of the first layer if all are.
        rows : float
            Of the batch.
        """
        inner = sum(6 * a * b for a, b in itertools.pairwise(units[1:]))
        first = 4 * row_values * units[1]
        if row_values >= units[0]:
            return (inner + first) * rows * self._seconds_per_flop(rows)
        # A product of sparse rows reads and writes a row of weights per stored value.
        return inner * rows * self._seconds_per_flop(rows) + self.memory(first * rows)

    def memory(self, numbers: float) -> float:
        """Return the seconds that reading or writing so many numbers takes."""
        return numbers * self.dtype.itemsize / self.calibration.memory_bytes_per_second

    def update(self, n_parameters: float) -> float:
        """Return the seconds of the optimiser's update of so many parameters."""
        cached = n_parameters <= _CACHED_PARAMETERS
        rate = (
            self.calibration.adam_cached_parameters_per_second
            if cached
            else self.calibration.adam_parameters_per_second
        )
        words = _UPDATE_WORDS[self.n_moments] / _UPDATE_WORDS[2]
        return n_parameters * words * (self.dtype.itemsize / 4) / rate

    def calls(self, n: float) -> float:
        """Return the seconds of so many calls from Python."""
        return n * self.calibration.call_seconds

    def exchange(self, n_bytes: float) -> float:
        """Return the seconds of an exchange in which a worker sends so many bytes."""
        latency = self.calibration.exchange_seconds
        return 0.0 if latency is None else latency + self.between(n_bytes)

    def between(self, n_bytes: float) -> float:
        """Return the seconds that so many bytes take from worker to worker."""
        rate = self.calibration.exchange_bytes_per_second
        return 0.0 if rate is None else n_bytes / rate

    def _seconds_per_flop(self, rows: float) -> float:
        """Return the inverse rate of products with so many rows.

        It is linear in the inverse of the rows: weights are read and written once per product.
        """
        many, few = (
            (
                self.calibration.float32_flops_per_second,
                self.calibration.float32_small_batch_flops_per_second,
            )
            if self.dtype == np.float32
            else (
                self.calibration.float64_flops_per_second,
                self.calibration.float64_small_batch_flops_per_second,
            )
        )
        weights = max(0.0, 1 / few - 1 / many) / (1 / FEW_ROWS - 1 / MANY_ROWS)
        return max(1 / many - weights / MANY_ROWS, 0.0) + weights / rows
