"""The smallest model with all that averaged steps know of: least squares by local steps.

Beside its parameters it keeps a running mean and a running variance of the columns, and counts the
steps that it was trained for.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from daskml_exec.kernels.networks.optimisers import SGD, init
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.partitions import Partition
from daskml_exec.training.averaging import (
    AveragedSteps,
    AveragingState,
    Batching,
    Buffers,
    Failure,
    Losses,
    Model,
    Outer,
    Progress,
    Score,
    Stopping,
    Work,
    outer_rule,
)

DECAY = 0.5


@dataclass(frozen=True)
class Seen(FieldwiseSum):
    """What partitions found when they looked first: how many they are."""

    partitions: int


@dataclass(frozen=True)
class RunningLeastSquares:
    """A `LocalTrainer`; rows at the end of partitions that are not trained on are scored."""

    batching: Batching
    optimiser: SGD

    def train(self, partition: Partition, model: Model, work: Work) -> tuple[Losses, Model, float]:
        index, n = partition.index, self.batching.rows[partition.index]
        seen: Any = Seen(1) if work.first_round else 0
        rows = self.batching.row_range(index, work.first_step, work.n_steps)
        X, y = partition.X[:n][rows], partition.y[:n][rows]
        if not len(X):
            return Losses(0.0, 0.0, Failure(), seen), model, 0.0
        parameters, state = model.parameters.copy(), model.optimiser.copy()
        mean, variance = np.split(model.buffers.statistics, 2)
        loss, n_steps = 0.0, 0
        for start in range(0, len(X), self.batching.batches[index]):
            part = slice(start, start + self.batching.batches[index])
            off = X[part] @ parameters - y[part]
            loss, n_steps = loss + float(off @ off), n_steps + 1
            gradient = X[part].T @ off / len(off)
            self.optimiser.update(parameters, gradient, state, work.learning_rate, off)
            mean = DECAY * mean + (1 - DECAY) * X[part].mean(axis=0)
            variance = DECAY * variance + (1 - DECAY) * X[part].var(axis=0)
        buffers = Buffers(np.concatenate([mean, variance]), model.buffers.largest + n_steps)
        failure = Failure() if np.isfinite(loss) else Failure(diverged=True, partition=index)
        weight = float(len(X))
        return Losses(loss, weight, failure, seen), Model(parameters, state, buffers), weight

    def score_sums(self, partition: Partition, model: Model) -> np.ndarray:
        assert not model.optimiser.moments.size  # these do not travel
        held = slice(self.batching.rows[partition.index], None)
        off = partition.X[held] @ model.parameters - partition.y[held]
        return np.array([off @ off, np.abs(off).sum(), len(off)])

    def combine_scores(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return left + right

    def score(self, sums: np.ndarray) -> Score:
        squared, absolute, n = sums.tolist()
        return Score(-squared / n, {"absolute_error": absolute / n})

    def error(
        self, failure: Failure, state: AveragingState, learning_rate: float, outer: Outer
    ) -> Exception:
        return ArithmeticError(
            f"round {state.rounds}, partition {failure.partition}, rate {learning_rate:g}"
        )


RNG = np.random.default_rng(5)
N, D = 120, 3
X = RNG.standard_normal((N, D)) * [1.0, 3.0, 0.1] + [0.0, 5.0, -2.0]
Y = X @ [0.3, -0.2, 0.5] + 0.1 * RNG.standard_normal(N)
BOUNDS = [0, 50, 90, 90, 110, N]
"""One partition is empty, and the last one is through before the others are."""


def cut(bounds: list[int]) -> list[Partition]:
    """Return the rows between these indices, as partitions."""
    return [
        Partition(index, start, X[start:stop], Y[start:stop], None)
        for index, (start, stop) in enumerate(pairwise(bounds))
    ]


def problem(
    sizes: list[int], *, sync_every: int = 2, momentum: float = 0.0, held_out: int = 0
) -> RunningLeastSquares:
    """Return how partitions of these sizes are trained on: the large ones for ten steps or so."""
    rows = tuple(max(0, size - held_out) for size in sizes)
    batches = tuple(min(max(n, 1), max(2, -(-n // 10))) for n in rows)
    return RunningLeastSquares(Batching(rows, batches, 1.0, sync_every), SGD(momentum, False))


def steps(trainer: RunningLeastSquares, outer: str = "average", *, scored: bool = False) -> Any:
    """Return the algorithm that averages these local steps."""
    stopping = Stopping(0.0, np.inf, scored, "constant", 0.01)
    return AveragedSteps(trainer, stopping, outer_rule(outer, trainer.batching), (Seen,))


def beginning(trainer: RunningLeastSquares, *, rate: float = 0.01, **given: Any) -> AveragingState:
    """Return the state before the first round."""
    empty = init(trainer.optimiser, D, np.dtype(float))
    model = Model(np.zeros(D), empty, Buffers(np.zeros(2 * D), np.zeros(1)))
    return AveragingState(model, Progress(rate), **{"max_iter": 3, **given})
