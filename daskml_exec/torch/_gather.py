"""Batches of a partition's samples as tensors, augmented where that is asked for."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import Partition, leaves_of, map_leaves
from daskml_exec.torch._draws import SampleGenerator
from daskml_exec.torch._hints import called
from daskml_exec.torch._tensors import batch_of, taken, tensors


class Gather:
    """Makes batches of samples, on the CPU.

    Parameters
    ----------
    samples : Partition
    dtype : torch.dtype
        Of real numbers.
    augment : callable or None
    seed, epoch : int
        Of what `augment` draws.
    """

    def __init__(
        self,
        samples: Partition,
        dtype: torch.dtype,
        augment: Callable[[Any, Any], Any] | None,
        seed: int,
        epoch: int,
    ) -> None:
        self._samples, self._dtype, self._augment = samples, dtype, augment
        self._generator = None if augment is None else SampleGenerator(seed, epoch)

    def __call__(self, rows: Array) -> Any:
        """Return what a loss gets of these rows."""
        here, samples = torch.device("cpu"), self._samples
        X = taken(samples.X, rows)
        if self._augment is not None:
            X = self._augmented(X, rows)
        return batch_of(
            tensors(X, self._dtype, here),
            *(
                tensors(taken(each, rows), self._dtype, here)
                for each in (samples.y, samples.sample_weight)
                if each is not None
            ),
        )

    def _augmented(self, X: Any, rows: Array) -> Any:
        generator: Any = self._generator
        augment: Any = self._augment
        made = []
        for i, row in enumerate(rows):
            sample = map_leaves(operator.itemgetter(i), X)
            own = generator.of(self._samples.start + int(row))
            made.append(called("augment(sample, generator)", augment, sample, own))
        return map_leaves(_stacked, *made)


def _stacked(*samples: Any) -> Array:
    shapes = {np.shape(each) for each in samples}
    if len(shapes) > 1 or not _is_number(samples[0]):
        for each in samples:
            if not _is_number(each):
                raise TypeError(
                    f"augment returned a {type(each).__name__}; allowed is a sample as it was "
                    "given: arrays of numbers, in the same dicts and tuples"
                )
        raise ValueError(
            f"augment returned samples of different shapes: {sorted(shapes)}; allowed is one shape"
        )
    return np.stack(samples)


def _is_number(sample: Any) -> bool:
    return np.asarray(sample).dtype.kind in "biuf"


def not_finite_loss(
    samples: Partition, rows: Array, loss: float, step: int, epoch: int
) -> tuple[str, str]:
    """Say where a loss is not finite, and what is wrong with the data if that is why.

    Parameters
    ----------
    samples : Partition
    rows : ndarray of int
        Those of the step.
    loss : float
    step : int
        In the epoch.
    epoch : int
    """
    where = (
        f"the loss is {loss:g} in step {step} of epoch {epoch}, partition {samples.index}, of "
        f"{len(rows)} samples between {samples.start + int(rows.min())} and "
        f"{samples.start + int(rows.max())}"
    )
    return where, _not_finite_sample(samples, rows)


def _not_finite_sample(samples: Partition, rows: Array) -> str:
    """Say which sample has a number that is not finite; nothing where all are."""
    for name, tree in (("X", samples.X), ("y", samples.y)):
        for path, leaf in leaves_of(tree, name):
            if leaf is None or leaf.dtype.kind != "f":
                continue
            bad = ~np.isfinite(leaf[rows]).reshape(len(rows), -1).all(axis=1)
            if bad.any():
                row = int(rows[bad].min())
                value = leaf[row].reshape(-1)
                value = value[~np.isfinite(value)][0]
                return (
                    f"{path} has {value} in sample {row} of partition {samples.index}, sample "
                    f"{samples.start + row} of all; allowed are finite numbers"
                )
    return ""
