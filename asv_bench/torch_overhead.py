"""What a step costs more than in the user's own loop: ``python -m torch_overhead [--quick]``.

An MLP of one hidden layer, 128 rows a step, as wide as makes a step of the loop take about 1, 3 and
10 ms of one thread. Ours has all rows in one partition: NumPy in memory, without a cluster, and on
one worker process, where a round also brings the model to the driver and back. An epoch is a round;
between two of ours the loop takes one of its own in this process, while ours waits, so that both
meet the same moods of the machine. The first is not counted. "more" is the median of our epochs
over that of the loop's, less one, in per cent: of several fits (lowest - highest).
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import dask

import torch_ours
from peers.options import Options
from peers.table import aligned
from torch_data import Samples, data
from torch_tasks import TASKS

MILLISECONDS = (1.0, 3.0, 10.0)
WIDTHS = tuple(8 * 2**i for i in range(10))
TASK = TASKS["mlp"]
_HEADER = ("step, ms", "width", "ours", "more, %")


class Loop:
    """The user's own loop, which goes on from where it was."""

    def __init__(self, samples: Samples, width: int) -> None:
        import torch

        from peers import torch_training as training

        torch.set_num_threads(1)
        plan = training.Plan(TASK.name, 0, TASK.batch, TASK.rate, 0, module={"width": width})
        self._X, self._y = torch.from_numpy(samples.X), torch.from_numpy(samples.y)
        model = training.network(plan)
        self._loss = training.loss_of(model, plan)
        self._optimiser = training.optimiser_of(model, plan)

    def epoch(self) -> float:
        """Train for an epoch; return the seconds."""
        import torch

        from peers import torch_training as training

        started = time.perf_counter()
        order = torch.randperm(len(self._X))
        for batch in training.batches(self._X, self._y, order, TASK.batch):
            training.step(batch, self._loss, self._optimiser)
        return time.perf_counter() - started


def in_memory(samples: Samples, **arguments: Any) -> Any:
    model = torch_ours.estimator(TASK, 1, **arguments)
    with dask.config.set({"daskml-exec.partition-bytes": 1 << 40}):
        return model.fit(samples.X, samples.y)


def on_a_worker(samples: Samples, **arguments: Any) -> Any:
    with torch_ours.workers(1) as executor:
        X, y = torch_ours.on_workers(executor, TASK, samples, 1)
        return torch_ours.estimator(TASK, 1, **arguments).fit(X, y)


WAYS: dict[str, Callable[..., Any]] = {"in memory": in_memory, "one worker process": on_a_worker}


def n_steps(samples: Samples) -> int:
    return -(-len(samples) // TASK.batch)


def widths(samples: Samples) -> list[int]:
    """Return the widths of steps nearest to the milliseconds asked for."""
    some = samples[: 20 * TASK.batch]
    takes = {}
    for width in WIDTHS:
        loop = Loop(some, width)
        takes[width] = 1e3 * min(loop.epoch() for _ in range(4)) / n_steps(some)
    return sorted({min(takes, key=lambda width: abs(takes[width] / ms - 1)) for ms in MILLISECONDS})


def seconds(samples: Samples, width: int, train: Callable[..., Any], epochs: int) -> Any:
    """Return what an epoch takes: ours, and the loop's."""
    loop, theirs = Loop(samples, width), []
    model = train(
        samples,
        max_epochs=epochs,
        sync_every="epoch",
        module__width=width,
        callbacks=[lambda event: theirs.append(loop.epoch())],
    )
    ours = [record.seconds for record in model.history_]
    return statistics.median(ours[1:]), statistics.median(theirs[1:])


def line(samples: Samples, width: int, way: str, epochs: int, fits: int) -> tuple[str, ...]:
    found = [seconds(samples, width, WAYS[way], epochs) for _ in range(fits)]
    step = 1e3 * statistics.median(theirs for _, theirs in found) / n_steps(samples)
    more = [100 * (ours / theirs - 1) for ours, theirs in found]
    spread = f"{statistics.median(more):+.1f} ({min(more):+.1f} - {max(more):+.1f})"
    return f"{step:.2f}", str(width), way, spread


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two widths, few rows, two epochs")
    parser.add_argument("--epochs", type=int, help="of a fit; 6, or 2 with --quick")
    parser.add_argument("--fits", type=int, help="3, or 1 with --quick")
    given = parser.parse_args(arguments)
    samples = data(TASK.name, given.quick).train
    epochs = given.epochs or (2 if given.quick else 6)
    fits = given.fits or (1 if given.quick else 3)
    lines: list[tuple[str, ...]] = [_HEADER]
    for width in widths(samples)[: 2 if given.quick else None]:
        for way in WAYS:
            lines.append(line(samples, width, way, epochs, fits))
            Options().say("  ".join(lines[-1]))
    print(aligned(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
