"""What a partition computes for a network: local training, and a score."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import largest_magnitude, total
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.kernels.networks.batches import RowOrder, held_out
from daskml_exec.kernels.networks.local_steps import train_locally
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import Optimiser
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.neural_network._predictions import margins
from daskml_exec.partitions import (
    Partition,
    Place,
    block_sums,
    combine_sums,
    explained_share,
)
from daskml_exec.training.averaging import (
    AveragingState,
    Batching,
    Failure,
    Losses,
    Model,
    Outer,
    Score,
    TargetSpread,
    Work,
    data_error,
    of_classes,
    of_numbers,
)


class Target(Protocol):
    """What is special about classes, or about numbers."""

    def spread(self, y: Array, weight: Array | None) -> TargetSpread:
        """Return how a partition's targets are spread."""

    def too_large(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return which targets have a loss that overflows, whatever is predicted."""

    def score_sums(self, z: Array, y: Array, weight: Array) -> Array:
        """Return sums for the score of the output layer's inputs, shape (n, outputs)."""

    def combine(self, left: Array, right: Array) -> Array:
        """Return the sums of two row ranges together."""

    def score(self, sums: Array) -> float:
        """Return the score, the larger the better."""


@dataclass(frozen=True)
class Classes:
    """Class codes; the score is the accuracy."""

    n_classes: int

    def spread(self, y: Array, weight: Array | None) -> TargetSpread:
        return of_classes(y, weight, self.n_classes)

    def too_large(self, y: Array, dtype: np.dtype[Any]) -> Array:
        return np.zeros(len(y), dtype=bool)

    def score_sums(self, z: Array, y: Array, weight: Array) -> Array:
        codes = z.argmax(axis=1) if z.shape[1] > 1 else z[:, 0] > 0
        return np.array([(weight * (codes == y)).sum(), weight.sum()])

    def combine(self, left: Array, right: Array) -> Array:
        return left + right

    def score(self, sums: Array) -> float:
        right, weight = sums.tolist()
        return float(right / weight) if weight else float("nan")


@dataclass(frozen=True)
class Numbers:
    """Real numbers; the score is R²."""

    def spread(self, y: Array, weight: Array | None) -> TargetSpread:
        return of_numbers(y, weight)

    def too_large(self, y: Array, dtype: np.dtype[Any]) -> Array:
        large: Array = np.abs(y) > _largest_square(dtype)
        return large

    def score_sums(self, z: Array, y: Array, weight: Array) -> Array:
        return block_sums(Gaussian(), y, z[:, 0].astype(np.float64), weight)

    def combine(self, left: Array, right: Array) -> Array:
        return combine_sums(Gaussian(), left, right)

    def score(self, sums: Array) -> float:
        weight = sums[1]
        return explained_share(Gaussian(), sums) if weight else float("nan")


@dataclass(frozen=True)
class NetworkProblem:
    """A network, how it is trained, and on which rows.

    Attributes
    ----------
    network : Network
    optimiser : Optimiser
    target : Target
    alpha : float
        Penalty of all partitions together, in the unit of the weights.
    batching : Batching
    seed : int
    shuffle : bool
    validation_fraction : float
        Of the rows, that are held out; 0 for none.
    weight_unit : float, default=1.0
        A power of two near the largest weight of a row: what weights are measured in, since only
        their ratios count.
    """

    network: Network
    optimiser: Optimiser
    target: Target
    alpha: float
    batching: Batching
    seed: int
    shuffle: bool
    validation_fraction: float
    weight_unit: float = 1.0

    def data_failure(self, partition: Partition, dtype: np.dtype[Any]) -> str | Place:
        """Say what is wrong with a partition's rows, or where they are not finite; else nothing.

        Parameters
        ----------
        partition : Partition
        dtype : numpy.dtype
            In which is trained.
        """
        return self._wrong_with_X(partition) or self._wrong_with_y(partition, dtype)

    def _wrong_with_X(self, partition: Partition) -> str | Place:
        X = partition.X
        # One sum says that all is finite; only where it is not, or overflowed, is it looked at.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(total(X.data if sp.issparse(X) else X)):
                return ""
        return partition.first_non_finite() or ""

    def _wrong_with_y(self, partition: Partition, dtype: np.dtype[Any]) -> str:
        bad = self.target.too_large(partition.y, dtype)
        if partition.sample_weight is not None:
            bad &= partition.sample_weight > 0
        if not bad.any():
            return ""
        row = int(np.flatnonzero(bad)[0])
        value = float(partition.y[row])
        double = np.dtype(np.float64)
        helps = dtype != double and abs(value) <= _largest_square(double)
        return (
            f"y has {value:g} in row {row} of partition {partition.index}: its squared error "
            f"overflows in {dtype}. Rescale y" + (", or pass X in float64" if helps else "")
        )

    def weights(self, partition: Partition) -> Array | None:
        """Return the weights of a partition's rows in their unit; None for ones."""
        weight = partition.sample_weight
        return None if weight is None else weight / self.weight_unit

    def train(self, partition: Partition, model: Model, work: Work) -> tuple[Losses, Model, float]:
        """Take local steps; return what they saw, the local model, and the weight of its rows."""
        weight, dtype = self.weights(partition), model.parameters.dtype
        seen: Any = 0.0
        if work.first_round:
            with np.errstate(over="ignore", invalid="ignore"):  # y may be wrong: see below
                seen = self.target.spread(partition.y, weight)
            wrong = self.data_failure(partition, dtype)
            if wrong:
                return Losses(0.0, 0.0, Failure(data=wrong), seen), model, 0.0
        rows = self._rows(partition, work)
        if not len(rows):
            return Losses(0.0, 0.0, Failure(), seen), model, 0.0
        local = Model(model.parameters.copy(), model.optimiser.copy())
        # What diverges overflows on the way there; it is found out below.
        with np.errstate(over="ignore", invalid="ignore"):
            sums = train_locally(
                self.network,
                self.optimiser,
                partition.X,
                self.network.output.targets(partition.y, dtype),
                None if weight is None else np.ascontiguousarray(weight, dtype=dtype),
                rows=rows,
                batch=self.batching.batches[partition.index],
                parameters=local.parameters,
                state=local.optimiser,
                learning_rate=work.learning_rate,
                penalty=self.alpha * self.batching.share(partition.index),
            )
            finite = all(
                np.isfinite(np.sum(found))
                for found in (sums.loss, local.parameters, local.optimiser.moments)
            )
        if not finite:
            failure = Failure(
                diverged=True, partition=partition.index, remedy=self._remedy(partition)
            )
            return Losses(0.0, 0.0, failure, seen), model, 0.0
        return Losses(sums.loss, sums.weight, Failure(), seen), local, sums.weight

    def score_sums(self, partition: Partition, model: Model) -> Array:
        """Return the sums for the score of a partition's rows that are held out."""
        _, held = self.split(partition)
        rows = partition.take(held)
        weight = self.weights(rows)
        if weight is None:
            weight = np.ones(len(held))
        with np.errstate(over="ignore", invalid="ignore"):  # the driver looks at the score
            z = margins(self.network, model.parameters, rows.X)
            return self.target.score_sums(z, rows.y, weight)

    def combine_scores(self, left: Array, right: Array) -> Array:
        """Return the sums of two partitions together."""
        return self.target.combine(left, right)

    def score(self, sums: Array) -> Score:
        """Return the accuracy, or R²."""
        return Score(self.target.score(sums))

    def error(
        self, failure: Failure, state: AveragingState, learning_rate: float, outer: Outer
    ) -> Exception:
        """Return what ends training: what is wrong with the data, or that it diverged."""
        if not failure.diverged:
            return data_error(failure.data)
        layers = self.network.layout.layers(state.model.parameters)
        return DivergenceError(
            state.rounds,
            failure.partition,
            learning_rate,
            failure.remedy or self._remedy_of_average(outer),
            layers.coefs,
            layers.intercepts,
        )

    def split(self, partition: Partition) -> tuple[Array, Array]:
        """Return which rows of a partition are trained on, and which are held out."""
        return held_out(
            partition.start,
            partition.X.shape[0],
            self.validation_fraction,
            seed=self.seed,
            partition=partition.index,
        )

    def rows_in_order(self, partition: Partition, epoch: int) -> Array:
        """Return which rows of a partition are trained on, in the order of an epoch."""
        order = RowOrder(self.seed if self.shuffle else None, partition.index)
        trained_on, _ = self.split(partition)
        return order.of_epoch(trained_on, epoch, partition.sample_weight)

    def _remedy(self, partition: Partition) -> str:
        """Say what may help where training diverged, with what was found in the data."""
        X = partition.X
        reaches = largest_magnitude(X.data if sp.issparse(X) else X)
        text = f"Lower learning_rate_init or rescale X, which reaches {reaches:.3g} in magnitude"
        if isinstance(self.target, Numbers):
            text += f", or y, which reaches {largest_magnitude(partition.y):.3g}"
        weight = self.weights(partition)
        per_row = 1.0 if weight is None else float(weight.mean())
        penalty = self.alpha / (per_row * sum(self.batching.batches))
        if penalty > 1:
            text += f"; alpha over the weight of a step is {penalty:.3g}: lower alpha"
        return text

    def _remedy_of_average(self, outer: Outer) -> str:
        """Say what may help where only the average, or its score, is not finite."""
        text = "Lower learning_rate_init or rescale X"
        if isinstance(self.target, Numbers):
            text += " or y"
        return text + ("; outer='average' may help, too" if outer.momentum else "")

    def _rows(self, partition: Partition, work: Work) -> Array:
        wanted = self.batching.row_range(partition.index, work.first_step, work.n_steps)
        return self.rows_in_order(partition, work.epoch)[wanted]


def _largest_square(dtype: np.dtype[Any]) -> float:
    """Return the largest number whose square is finite."""
    return float(np.finfo(dtype).max) ** 0.5
