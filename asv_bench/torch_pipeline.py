"""How much sooner two Workers are with a stage each: ``python -m torch_pipeline [--quick]``.

A chain of equal layers, so wide that each of two stages takes 50 ms at least of one thread for a
micro-batch, forwards and backwards. Ours has a worker process of one thread for each stage; the
loop goes through the same micro-batches in this process, on one thread, one after the other, and
takes its step from their sum. What begins a fit is left out: a fit of one epoch is taken from one
of as many more as keep the loop busy for 8 seconds. Runs of ours and of the loop take turns.
"sooner" is the loop's seconds over ours, the median of the pairs (smallest - largest); "at best" is
what the begin and the end of each step leave of it, in which one of two stages waits: 2 m / (m + 1)
for m micro-batches.

With ``--memory``: the peak of resident memory of the worker that has most, less what it has before,
for the whole module on one worker (as data parallelism has it, and as stages on one worker) and for
a stage on each of two; the layers are so wide that weights, gradients and moments take about 1 GB.
"""

import argparse
import statistics
import sys
import time
from typing import Any

import numpy as np

from daskml_exec import Executor
from peers.table import aligned
from torch_memory import peak_of

LEAST_MILLISECONDS = 50.0
LEAST_SECONDS = 8.0
LAYERS = 8
WIDTHS = tuple(256 * 2**i for i in range(6))
_HEADER = ("micro-batches", "width", "stage, ms", "loop, s", "ours, s", "sooner", "at best")


def network(width: int) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = [each for _ in range(LAYERS) for each in (nn.Linear(width, width), nn.Tanh())]
    return nn.Sequential(*layers)


def loss(module: Any, X: Any) -> Any:
    from torch import nn

    return nn.functional.mse_loss(module(X), X)


def loop(X: Any, width: int, batch: int, parts: int, epochs: int) -> float:
    """Train by the usual loop; return the seconds."""
    import torch

    torch.set_num_threads(1)
    module, rows = network(width).train(), torch.from_numpy(X)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True)
    started = time.perf_counter()
    for _ in range(epochs):
        for some in rows.split(batch):
            optimiser.zero_grad()
            for piece in some.chunk(parts):
                (loss(module, piece) * len(piece) / len(some)).backward()
            optimiser.step()
    return time.perf_counter() - started


def in_two_stages(width: int, batch: int, epochs: int, **arguments: Any) -> Any:
    """Return an estimator in two stages, each of half of the layers."""
    from daskml_exec.torch import TorchEstimator

    given = {"parallel": "pipeline", "stages": [str(LAYERS)]}  # each layer has two parts
    return TorchEstimator(
        network,
        module__width=width,
        loss=loss,
        lr=1e-4,
        batch_size=batch,
        max_epochs=epochs,
        shuffle=False,
        random_state=0,
        **(given | arguments),
    )


def ours(X: Any, width: int, batch: int, parts: int, epochs: int) -> float:
    """Train in two stages, on the Workers that there are; return the seconds of these epochs."""
    taken = []
    for n in (1, 1 + epochs):
        model = in_two_stages(width, batch, n, micro_batches=parts)
        started = time.perf_counter()
        model.fit(X)
        taken.append(time.perf_counter() - started)
    return taken[1] - taken[0]


def milliseconds(width: int, rows: int) -> float:
    """Return what a stage takes of a micro-batch, forwards and backwards."""
    X = np.zeros((rows, width), np.float32)
    return 1e3 * min(loop(X, width, rows, 1, 1) for _ in range(3)) / 2


def wide_enough(rows: int, least: float) -> tuple[int, float]:
    """Return the first width by which a stage takes so many milliseconds, and these."""
    for width in WIDTHS:
        takes = milliseconds(width, rows)
        if takes >= least:
            break
    return width, takes


def line(parts: int, rows: int, least: float, seconds: float, pairs: int) -> tuple[str, ...]:
    width, takes = wide_enough(rows, least)
    batch = rows * parts
    X = np.random.default_rng(0).normal(size=(4 * batch, width)).astype(np.float32)
    epochs = max(2, round(seconds / loop(X, width, batch, parts, 1)))
    ours(X, width, batch, parts, 1)  # Workers import PyTorch in their first fit
    found = [
        (loop(X, width, batch, parts, epochs), ours(X, width, batch, parts, epochs))
        for _ in range(pairs)
    ]
    sooner = [theirs / own for theirs, own in found]
    return (
        str(parts),
        str(width),
        f"{takes:.1f}",
        *(f"{statistics.median(each):.2f}" for each in zip(*found, strict=True)),
        f"{statistics.median(sooner):.2f} ({min(sooner):.2f} - {max(sooner):.2f})",
        f"{2 * parts / (parts + 1):.2f}",
    )


def memory(quick: bool) -> list[tuple[str, ...]]:
    """Return what a worker needs, of the whole module and of a stage."""
    width, batch = (64, 64) if quick else (2800, 128)
    X = np.random.default_rng(0).normal(size=(4 * batch, width)).astype(np.float32)
    state = 16 * LAYERS * width * (width + 1)
    whole = {"parallel": "data", "stages": None}
    lines = [("on a worker", "workers", "grows by, MB", "of the whole", "of its weights x 4")]
    found: dict[str, int] = {}
    for name, n, arguments in (
        ("a copy", 1, whole),
        ("both stages", 1, {}),
        ("a stage", 2, {}),
    ):
        with Executor(n_workers=n, threads_per_worker=1) as executor:
            executor.client.wait_for_workers(n)
            in_two_stages(8, 16, 1, **arguments).fit(X[:64, :8])  # imports PyTorch
            model = in_two_stages(width, batch, 2, **arguments)
            _, before, peak = peak_of(executor.client, lambda model=model: model.fit(X))
        found[name] = peak - before
        share = state / 2 if name == "a stage" else state
        lines.append(
            (
                name,
                str(n),
                f"{found[name] / 1e6:.0f}",
                f"{found[name] / found['a copy']:.2f}",
                f"{found[name] / share:.2f}",
            )
        )
    return lines


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="narrow layers, one pair")
    parser.add_argument("--memory", action="store_true", help="what workers need, not how fast")
    parser.add_argument("--pairs", type=int, help="of runs; 5, or 1 with --quick")
    given = parser.parse_args(arguments)
    if given.memory:
        print(aligned(memory(given.quick)))
        return
    lines: list[tuple[str, ...]] = [_HEADER]
    with Executor(n_workers=2, threads_per_worker=1) as executor:
        executor.client.wait_for_workers(2)
        for parts in (2,) if given.quick else (2, 4, 8):
            lines.append(
                line(
                    parts,
                    rows=32 if given.quick else 128,
                    least=1.0 if given.quick else LEAST_MILLISECONDS,
                    seconds=0.0 if given.quick else LEAST_SECONDS,
                    pairs=given.pairs or (1 if given.quick else 5),
                )
            )
            print("; ".join(lines[-1]), file=sys.stderr, flush=True)
    print(aligned(lines))


if __name__ == "__main__":
    main()
