"""Whether ``parallel="auto"`` chooses well: ``python -m torch_auto [--quick] [--limit]``.

Modules of drawn shapes, each trained with data, pipeline and hybrid parallelism on two worker
processes of one thread. Printed are the seconds of an epoch as measured (and predicted), what was
chosen, how many times the fastest's seconds it takes, and the peak of the worker with most
resident memory as measured (and predicted), in MB. A choice is good up to 1.15 of the fastest.

Of the shapes there are perceptrons, convolutions (few weights, many products), embeddings with
layers of a transformer (sequences), and chains of which one layer is much wider than all others.
Widths, depths, batches and samples are drawn; samples are then limited so that an epoch takes about
a second, and at most 50 steps. Runs take turns; the begin of a fit is left out.

With ``--limit`` a module is trained whose weights, gradients and moments, of 1 GB, have no room in
a worker of ``memory_limit="1.6GB"`` beside PyTorch itself, on four such workers.
"""

import argparse
import statistics
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from distributed import wait

from daskml_exec import Executor
from peers.table import aligned
from torch_drawn import LOSSES, MODULES
from torch_measure import Marks
from torch_memory import peak_of

SEED, SHAPES, NEARLY = 2718, 24, 1.15
WAYS: dict[str, dict[str, Any]] = {
    "data": {},
    "pipeline": {"stages": 2},
    "hybrid": {"stages": 2, "n_replicas": 2},
}
KINDS = tuple(MODULES)
FLOPS = 3e10
SECONDS = {"full": 0.7, "quick": 0.02}
MOST_STEPS = 50
LIMIT = "1.6GB"
_HEADER = (
    *("shape", "data, s", "pipeline, s", "hybrid, s", "chosen", "by fastest"),
    *("data, MB", "pipeline, MB", "hybrid, MB"),
)


@dataclass(frozen=True)
class Shape:
    """A module, and what it is trained on."""

    kind: str
    width: int
    depth: int
    batch: int
    samples: int
    partitions: int

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.width} x {self.depth}, {self.samples} in {self.partitions}, "
            f"batch {self.batch}"
        )

    @property
    def options(self) -> dict[str, Any]:
        return {"module__width": self.width, "module__depth": self.depth}


def shapes(seed: int, n: int, seconds: float) -> Iterator[Shape]:
    """Yield so many shapes, all kinds in turn."""
    draw = np.random.default_rng(seed)

    def between(low: int, high: int) -> int:
        return round(float(np.exp(draw.uniform(np.log(low), np.log(high)))))

    for i in range(n):
        kind = KINDS[i % len(KINDS)]
        made = MODULES[kind]
        width = between(*made.widths) // made.multiple * made.multiple
        depth, batch = between(2, 8), between(*made.batches)
        partitions = int(draw.choice([2, 2, 4]))
        wanted = between(1_000, 60_000)
        most = min(seconds * FLOPS / made.flops(width, depth), MOST_STEPS * batch)
        samples = int(max(min(wanted, most), 2 * batch)) // partitions * partitions
        yield Shape(kind, width, depth, batch, samples, partitions)


def estimator(shape: Shape, parallel: str, **arguments: Any) -> Any:
    from daskml_exec.torch import TorchEstimator

    return TorchEstimator(
        MODULES[shape.kind].make,
        loss=LOSSES[shape.kind],
        batch_size=shape.batch,
        parallel=parallel,
        lr=1e-4,
        random_state=0,
        **shape.options,
        **arguments,
    )


@dataclass(frozen=True)
class Outcome:
    """What was measured of a shape, and predicted: seconds of an epoch, bytes of a worker."""

    shape: Shape
    seconds: dict[str, float]
    peaks: dict[str, int]
    predicted: dict[str, Any]
    chosen: str

    @property
    def by_fastest(self) -> float:
        return self.seconds[self.chosen] / min(self.seconds.values())

    @property
    def memory(self) -> list[float]:
        """Predicted over measured, of each way."""
        return [self.predicted[way].memory / peak for way, peak in self.peaks.items()]

    def cells(self) -> tuple[str, ...]:
        """Return a line of the table."""
        return (
            str(self.shape),
            *(f"{self.seconds[w]:.3f} ({self.predicted[w].seconds:.3f})" for w in WAYS),
            self.chosen,
            f"{self.by_fastest:.2f}" + ("" if self.by_fastest <= NEARLY else " *"),
            *(f"{self.peaks[w] / 1e6:.0f} ({self.predicted[w].memory / 1e6:.0f})" for w in WAYS),
        )


def measured(executor: Executor, shape: Shape, epochs: int, repetitions: int) -> Outcome:
    """Train a shape in each way, and ask what would have been chosen."""
    X = MODULES[shape.kind].samples(shape.width, shape.samples)
    chunks = (shape.samples // shape.partitions, *X.shape[1:])
    data = executor.client.persist(da.from_array(X, chunks=chunks))
    wait(data)
    asked = estimator(shape, "auto", max_epochs=epochs, callbacks=[lambda event: True]).fit(data)
    predicted = {each.parallel: each for each in asked.explain().choice.ways}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    peaks: dict[str, int] = dict.fromkeys(WAYS, 0)
    for _ in range(repetitions):
        for way, arguments in WAYS.items():
            marks = Marks(lambda: 0.0)
            model = estimator(shape, way, max_epochs=epochs, callbacks=[marks], **arguments)
            _, _, peak = peak_of(executor.client, lambda model=model: model.fit(data))
            cost = marks.cost(1.0)
            seconds[way].append(cost.seconds / cost.units)
            peaks[way] = max(peak, peaks[way])
    return Outcome(
        shape,
        {way: min(taken) for way, taken in seconds.items()},
        peaks,
        predicted,
        asked.parallel_,
    )


def table(given: argparse.Namespace) -> str:
    """Return the table of shapes, and what it comes to."""
    n = 4 if given.quick else SHAPES
    drawn = list(shapes(given.seed, n, SECONDS["quick" if given.quick else "full"]))
    first, last = given.shapes or (0, n)
    outcomes = []
    lines: list[tuple[str, ...]] = [_HEADER]
    with Executor(n_workers=2, threads_per_worker=1) as executor:
        executor.client.wait_for_workers(2)
        warm_up(executor)
        for shape in drawn[first:last]:
            outcomes.append(measured(executor, shape, 3, given.repetitions))
            lines.append(outcomes[-1].cells())
            print("; ".join(lines[-1]), file=sys.stderr, flush=True)
    return f"{aligned(lines)}\n{summary(outcomes)}"


def warm_up(executor: Executor) -> None:
    """Have workers import PyTorch, and train in each way."""
    measured(executor, Shape("perceptron", 16, 2, 16, 64, 2), 2, 1)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return what the shapes came to together."""
    good = sum(each.by_fastest <= NEARLY for each in outcomes)
    off = [abs(ratio - 1) for each in outcomes for ratio in each.memory]
    return (
        f"{good} of {len(outcomes)} choices take at most {NEARLY} times as long as the fastest; "
        f"predicted memory is off by {statistics.median(off):.0%} of the peak (median), "
        f"{max(off):.0%} at worst"
    )


def in_little_memory(quick: bool) -> str:
    """Return what becomes of a module that no worker has room for as a whole."""
    width, depth = (64, 4) if quick else (2800, 8)
    limit = "0" if quick else LIMIT
    shape = Shape("perceptron", width, depth, 64, 256, 2)
    X = da.from_array(MODULES[shape.kind].samples(width, shape.samples), chunks=(128, -1))
    with Executor(n_workers=4, threads_per_worker=1, memory_limit=limit) as executor:
        executor.client.wait_for_workers(4)
        before = set(executor.client.scheduler_info()["workers"])
        warm_up(executor)
        model = estimator(shape, "auto", max_epochs=2)
        _, idle, peak = peak_of(executor.client, lambda: model.fit(X))
        lost = len(before - set(executor.client.scheduler_info()["workers"]))
    text = f"limit {limit}; idle {idle / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB; workers lost {lost}"
    return f"{model.explain()}\n{text}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_auto",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="four shapes, small ones")
    parser.add_argument("--limit", action="store_true", help="workers of little memory")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--shapes", type=int, nargs=2, metavar=("FIRST", "END"))
    parser.add_argument("--repetitions", type=int, default=1)
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore", UserWarning)
    print(in_little_memory(given.quick) if given.limit else table(given))


if __name__ == "__main__":
    main()
