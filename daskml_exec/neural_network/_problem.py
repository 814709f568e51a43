"""What a partition computes for a network: local training, and a score."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host, largest_magnitude, total
from daskml_exec.kernels.networks.batches import RowOrder, held_out
from daskml_exec.kernels.networks.device_steps import train_on_device
from daskml_exec.kernels.networks.local_steps import train_locally
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import Optimiser
from daskml_exec.neural_network._batching import Batching
from daskml_exec.neural_network._model import Changes, Failure, Losses, Model, Training, Work
from daskml_exec.neural_network._predictions import margins
from daskml_exec.neural_network._target_spread import TargetSpread, of_classes, of_numbers
from daskml_exec.partitions import (
    Partition,
    SquaredError,
    block_sums,
    combine_sums,
    describe_non_finite,
    explained_share,
)

Array = np.ndarray[Any, np.dtype[Any]]


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
        return block_sums(SquaredError(), y, z[:, 0].astype(np.float64), weight)

    def combine(self, left: Array, right: Array) -> Array:
        return combine_sums(SquaredError(), left, right)

    def score(self, sums: Array) -> float:
        weight = sums[1]
        return explained_share(SquaredError(), sums) if weight else float("nan")


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
    feature_names : tuple of str, or None
        For messages.
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
    feature_names: tuple[str, ...] | None
    weight_unit: float = 1.0

    def data_failure(self, partition: Partition, dtype: np.dtype[Any]) -> str:
        """Say what is wrong with a partition's rows; an empty text if nothing is.

        Parameters
        ----------
        partition : Partition
        dtype : numpy.dtype
            In which is trained.
        """
        return self._wrong_with_X(partition) or self._wrong_with_y(partition, dtype)

    def _wrong_with_X(self, partition: Partition) -> str:
        X = partition.X
        # One sum says that all is finite; only where it is not, or overflowed, is it looked at.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(total(X.data if sp.issparse(X) else X)):
                return ""
        return describe_non_finite(partition, self.feature_names)

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

    def train(self, partition: Partition, training: Training) -> tuple[Losses, Model, float]:
        """Take local steps; return what they saw, the local model, and the weight of its rows."""
        work, model = training.work, training.model
        weight, dtype = self.weights(partition), model.parameters.dtype
        spread: Any = 0.0
        if work.first_round:
            with np.errstate(over="ignore", invalid="ignore"):  # y may be wrong: see below
                spread = self.target.spread(partition.y, weight)
            wrong = self.data_failure(partition, dtype)
            if wrong:
                return Losses(0.0, 0.0, Failure(data=wrong), spread), model, 0.0
        rows = self._rows(partition, work)
        if not len(rows):
            return Losses(0.0, 0.0, Failure(), spread), model, 0.0
        local = Model(model.parameters.copy(), model.optimiser.copy())
        train = train_locally if is_host(partition.X) else train_on_device
        # What diverges overflows on the way there; it is found out below.
        with np.errstate(over="ignore", invalid="ignore"):
            sums = train(
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
            return Losses(0.0, 0.0, failure, spread), model, 0.0
        return Losses(sums.loss, sums.weight, Failure(), spread), local, sums.weight

    def score_sums(self, partition: Partition, parameters: Array) -> Array:
        """Return the sums for the score of a partition's rows that are held out."""
        _, held = self.split(partition)
        rows = partition.take(held)
        weight = self.weights(rows)
        if weight is None:
            weight = np.ones(len(held))
        with np.errstate(over="ignore", invalid="ignore"):  # the driver looks at the score
            z = margins(self.network, parameters, rows.X)
            return self.target.score_sums(z, rows.y, weight)

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
        if partition.sample_weight is not None:
            trained_on = trained_on[partition.sample_weight[trained_on] > 0]
        return order.of_epoch(trained_on, epoch)

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

    def _rows(self, partition: Partition, work: Work) -> Array:
        wanted = self.batching.row_range(partition.index, work.first_step, work.n_steps)
        return self.rows_in_order(partition, work.epoch)[wanted]


def _largest_square(dtype: np.dtype[Any]) -> float:
    """Return the largest number whose square is finite."""
    return float(np.finfo(dtype).max) ** 0.5


def changes(losses: Losses, local: Model, weight: float, start: Model) -> Changes:
    """Return one partition's part of a round's sums."""
    scale = local.parameters.dtype.type(weight)
    with np.errstate(over="ignore", invalid="ignore"):  # the driver looks at the average
        return Changes(
            losses,
            scale * (local.parameters - start.parameters),
            scale * local.optimiser.moments,
            weight * local.optimiser.scales,
        )
