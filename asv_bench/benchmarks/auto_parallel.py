"""Whether ``parallel="auto"`` chooses the fastest strategy: 24 networks of drawn shapes.

``cd asv_bench; python -m benchmarks.auto_parallel`` fits each with data, model and hybrid
parallelism on two worker processes, and prints the seconds of an epoch, what was chosen, and
whether that was the fastest or within a tenth of it. ``--seed`` draws other shapes.

Shapes are drawn log-uniformly: one to three hidden layers of 32 to 4096 units, 16 to 2048 features,
1,000 to 60,000 rows in 2 to 8 partitions, batches of 32 to 1024 rows. Rows are then limited so
that an epoch takes about a second at most; two batches remain in any case.
"""

import argparse
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from distributed import wait
from sklearn.exceptions import ConvergenceWarning

from benchmarks._measure import scale
from daskml_exec import Executor
from daskml_exec.neural_network import MLPClassifier
from daskml_exec.neural_network.planning import calibrate

SEED = 4177
SHAPES = {"full": 24, "tiny": 2}
LARGEST_UNITS = {"full": 4096, "tiny": 48}
LARGEST_ROWS = {"full": 60_000, "tiny": 1_000}
REPETITIONS = {"full": 2, "tiny": 1}
STRATEGIES = ("data", "model", "hybrid")
CLASSES = 10
# What bounds an epoch: products at this rate, and updates by Adam in each partition at that.
FLOPS, PARAMETERS, SECONDS = 1e11, 1e9, 0.4
SECONDS_OF_A_FIT, MOST_EPOCHS = 1.5, 5
NEARLY = 1.1


@dataclass(frozen=True)
class Shape:
    """A network and its data."""

    features: int
    hidden: tuple[int, ...]
    rows: int
    partitions: int
    batch: int

    def __str__(self) -> str:
        units = "-".join(map(str, (self.features, *self.hidden, CLASSES)))
        return f"{units}, {self.rows} rows in {self.partitions}, batch {self.batch}"


@dataclass(frozen=True)
class Outcome:
    """What was measured of a shape, and what was chosen for it."""

    shape: Shape
    seconds: dict[str, float]
    predicted: dict[str, float | None]
    chosen: str

    @property
    def fastest(self) -> str:
        return min(self.seconds, key=lambda parallel: self.seconds[parallel])

    @property
    def good(self) -> bool:
        """Whether the choice is the fastest or within a tenth of it."""
        return self.seconds[self.chosen] <= NEARLY * self.seconds[self.fastest]


def shapes(seed: int) -> Iterator[Shape]:
    """Yield as many shapes as the scale wants."""
    draw = np.random.default_rng(seed)

    def between(low: int, high: int) -> int:
        return round(float(np.exp(draw.uniform(np.log(low), np.log(high)))))

    for _ in range(SHAPES[scale()]):
        hidden = tuple(between(32, LARGEST_UNITS[scale()]) for _ in range(draw.integers(1, 4)))
        features, rows = between(16, 2048), between(1_000, LARGEST_ROWS[scale()])
        partitions, batch = int(draw.integers(2, 9)), between(32, 1024)
        units = (features, *hidden, CLASSES)
        parameters = sum(a * b for a, b in itertools.pairwise(units))
        most = min(
            SECONDS * FLOPS / (6 * parameters),
            SECONDS * PARAMETERS * 2 * batch / (partitions * parameters),
        )
        rows = int(max(min(rows, most), 2 * batch))
        yield Shape(features, hidden, rows // partitions * partitions, partitions, batch)


def measured(executor: Executor, shape: Shape) -> Outcome:
    """Fit a shape with each strategy, and ask what would have been chosen."""
    draw = da.random.default_rng(0)
    size = shape.rows // shape.partitions
    X = draw.standard_normal((shape.rows, shape.features), chunks=(size, shape.features))
    X, y = executor.client.persist(
        [X.astype(np.float32), draw.integers(0, CLASSES, shape.rows, chunks=size)]
    )
    wait([X, y])

    def network(parallel: str, **arguments: Any) -> MLPClassifier:
        return MLPClassifier(
            shape.hidden, parallel=parallel, batch_size=shape.batch, random_state=0, **arguments
        )

    plan = network("auto").explain(X, y)
    predicted = {each.parallel: each.seconds_per_epoch for each in plan.estimates}
    seconds: dict[str, list[float]] = {parallel: [] for parallel in STRATEGIES}
    for _ in range(REPETITIONS[scale()]):
        for parallel in STRATEGIES:
            epochs = max(1, min(MOST_EPOCHS, int(SECONDS_OF_A_FIT / (predicted[parallel] or 1.0))))
            model = network(parallel, max_iter=epochs, tol=0, n_iter_no_change=epochs)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.simplefilter("ignore", UserWarning)
                model.fit(X, y)
            seconds[parallel].append(model.history_.seconds / model.n_iter_)
    return Outcome(
        shape,
        {parallel: min(taken) for parallel, taken in seconds.items()},
        predicted,
        plan.chosen.parallel,
    )


class AutoParallel:
    """The share of drawn shapes for which the choice is good."""

    timeout = 900

    def setup(self) -> None:
        self.executor = Executor(n_workers=2)

    def teardown(self) -> None:
        self.executor.shutdown()

    def track_share_of_good_choices(self) -> float:
        """Share of choices that are the fastest or within a tenth of it."""
        outcomes = [measured(self.executor, shape) for shape in shapes(SEED)]
        return sum(outcome.good for outcome in outcomes) / len(outcomes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    seed = parser.parse_args().seed
    with Executor(n_workers=2) as executor:
        print(calibrate(executor))
        print(f"seed {seed}; seconds an epoch, measured (predicted)")
        good = []
        for shape in shapes(seed):
            outcome = measured(executor, shape)
            cells = "  ".join(
                f"{parallel} {outcome.seconds[parallel]:.3f} ({outcome.predicted[parallel]:.3f})"
                for parallel in STRATEGIES
            )
            verdict = "good" if outcome.good else f"{outcome.fastest} is faster"
            print(f"{shape}\n    {cells}  chosen {outcome.chosen}: {verdict}", flush=True)
            good.append(outcome.good)
    print(f"{sum(good)} of {len(good)} choices are the fastest or within a tenth of it")


if __name__ == "__main__":
    main()
