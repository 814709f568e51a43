"""What a partition computes for a network: local training, and a score."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host, total
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

    def spread(self, partition: Partition) -> TargetSpread:
        """Return how a partition's targets are spread."""

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

    def spread(self, partition: Partition) -> TargetSpread:
        return of_classes(partition.y, partition.sample_weight, self.n_classes)

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

    def spread(self, partition: Partition) -> TargetSpread:
        return of_numbers(partition.y, partition.sample_weight)

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
        Penalty of all partitions together.
    batching : Batching
    seed : int
    shuffle : bool
    validation_fraction : float
        Of the rows, that are held out; 0 for none.
    feature_names : tuple of str, or None
        For messages.
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

    def data_failure(self, partition: Partition) -> str:
        """Say what is not finite in a partition's rows; an empty text if nothing is."""
        X = partition.X
        # One sum says that all is finite; only where it is not, or overflowed, is it looked at.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(total(X.data if sp.issparse(X) else X)):
                return ""
        return describe_non_finite(partition, self.feature_names)

    def train(self, partition: Partition, training: Training) -> tuple[Losses, Model, float]:
        """Take local steps; return what they saw, the local model, and the weight of its rows."""
        work, model = training.work, training.model
        spread: Any = 0.0
        if work.first_round:
            spread = self.target.spread(partition)
            wrong = self.data_failure(partition)
            if wrong:
                return Losses(0.0, 0.0, Failure(data=wrong), spread), model, 0.0
        rows = self._rows(partition, work)
        if not len(rows):
            return Losses(0.0, 0.0, Failure(), spread), model, 0.0
        local = Model(model.parameters.copy(), model.optimiser.copy())
        train = train_locally if is_host(partition.X) else train_on_device
        dtype = model.parameters.dtype
        weight = partition.sample_weight
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
            failure = Failure(diverged=True, partition=partition.index)
            return Losses(0.0, 0.0, failure, spread), model, 0.0
        return Losses(sums.loss, sums.weight, Failure(), spread), local, sums.weight

    def score_sums(self, partition: Partition, parameters: Array) -> Array:
        """Return the sums for the score of a partition's rows that are held out."""
        _, held = self._split(partition)
        rows = partition.take(held)
        weight = np.ones(len(held)) if rows.sample_weight is None else rows.sample_weight
        return self.target.score_sums(margins(self.network, parameters, rows.X), rows.y, weight)

    def _split(self, partition: Partition) -> tuple[Array, Array]:
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
        trained_on, _ = self._split(partition)
        if partition.sample_weight is not None:
            trained_on = trained_on[partition.sample_weight[trained_on] > 0]
        return order.of_epoch(trained_on, epoch)

    def _rows(self, partition: Partition, work: Work) -> Array:
        wanted = self.batching.row_range(partition.index, work.first_step, work.n_steps)
        return self.rows_in_order(partition, work.epoch)[wanted]


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
