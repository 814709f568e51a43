"""How much sooner two Workers are with blocks of an output layer: ``python -m torch_output``.

A language model of some layers, and an output for each word: once with its output layer in two
blocks on two worker processes of one thread, once as a pipeline of two stages on one such Worker,
once as a pipeline of two stages on two, where the layer is in the last, and once in the usual loop
through the same micro-batches, in this process on one thread. The first epoch is left out, in which
a fit begins. Runs take turns; each figure is the median of how many times as fast blocks are
(smallest - largest). "bytes" is what travels per token and step between the Workers, both ways. The
shapes are from where blocks should win to where they are weakest: few words beside the layers, and
steps of few tokens.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec import Executor
from peers.table import aligned, spread

PARTS = 4


@contextmanager
def workers(n: int) -> Iterator[Executor]:
    with Executor(n_workers=n, threads_per_worker=1) as executor:
        executor.client.wait_for_workers(n)
        yield executor


@dataclass(frozen=True)
class Shape:
    """A language model, and its step."""

    words: int
    width: int
    layers: int
    length: int
    batch: int

    def __str__(self) -> str:
        return f"{self.words:,} x {self.width}, {self.layers}, {self.batch} x {self.length}"


SHAPES = (
    Shape(32_000, 256, 2, 32, 16),
    Shape(32_000, 256, 6, 32, 16),
    Shape(32_000, 512, 1, 32, 16),
    Shape(32_000, 256, 2, 9, 8),
    Shape(8_000, 256, 2, 32, 16),
    Shape(1_000, 256, 2, 32, 16),
)
QUICK = (Shape(500, 16, 1, 8, 8),)
_HEADER = ("words x width, layers, step", "blocks, s", "loop", "one Worker", "two stages", "bytes")


def network(shape: Shape) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    options: Any = {"dropout": 0.0, "batch_first": True, "norm_first": True}
    layers = [
        nn.TransformerEncoderLayer(shape.width, 4, 4 * shape.width, **options)
        for _ in range(shape.layers)
    ]
    embedding = nn.Embedding(shape.words, shape.width)
    norm = nn.LayerNorm(shape.width)
    return nn.Sequential(embedding, *layers, norm, nn.Linear(shape.width, shape.words))


def loss(module: Any, ids: Any) -> Any:
    from torch.nn import functional

    return functional.cross_entropy(module(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def loop(X: Any, shape: Shape, epochs: int) -> float:
    """Train by the usual loop; return the seconds."""
    import torch

    torch.set_num_threads(1)
    module, rows = network(shape).train(), torch.from_numpy(X)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True)
    started = time.perf_counter()
    for _ in range(epochs):
        for some in rows.split(shape.batch):
            optimiser.zero_grad()
            for piece in some.chunk(PARTS):
                (loss(module, piece) * len(piece) / len(some)).backward()
            optimiser.step()
    return time.perf_counter() - started


class Epochs:
    """A callback that notes when each epoch ended, and what had travelled until then."""

    def __init__(self) -> None:
        self.noted: list[tuple[float, int]] = []
        self._sent = 0

    def __call__(self, event: Any) -> None:
        self._sent += event.record.nbytes
        if float(event.reached.done).is_integer():
            self.noted.append((time.perf_counter(), self._sent))


def ours(X: Any, shape: Shape, epochs: int, **arguments: Any) -> tuple[float, float]:
    """Train on the Workers that there are; return seconds and bytes of epochs after the first."""
    from daskml_exec.torch import TorchEstimator

    seen = Epochs()
    TorchEstimator(
        network,
        module__shape=shape,
        loss=loss,
        lr=1e-4,
        batch_size=shape.batch,
        max_epochs=1 + epochs,
        shuffle=False,
        parallel="pipeline",
        micro_batches=PARTS,
        random_state=0,
        callbacks=[seen],
        **arguments,
    ).fit(X)
    (began, sent), *_, (ended, all_sent) = seen.noted
    return ended - began, all_sent - sent


def line(
    shape: Shape,
    two: Executor,
    one: Executor,
    *,
    blocks: int,
    epochs: int,
    pairs: int,
    steps: int,
) -> tuple[str, ...]:
    ids = np.random.default_rng(0).integers(shape.words, size=(steps * shape.batch, shape.length))
    tokens = ids[:, 1:].size * epochs
    last = [str(shape.layers + 2)]  # where the output layer is

    def on(executor: Executor, **arguments: Any) -> Callable[[], tuple[float, float]]:
        def run() -> tuple[float, float]:
            with executor:
                return ours(ids, shape, epochs, **arguments)

        return run

    sides: dict[str, Callable[[], tuple[float, float]]] = {
        "blocks": on(two, output_blocks=blocks),
        "loop": lambda: (loop(ids, shape, epochs), 0.0),
        "one": on(one, stages=last),
        "two": on(two, stages=last),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(pairs):
        for name, run in sides.items():
            found[name].append(run())
            print(name, *found[name][-1], file=sys.stderr, flush=True)
    own = [seconds for seconds, _ in found["blocks"]]
    return (
        str(shape),
        f"{statistics.median(own):.2f}",
        *(
            spread([theirs / mine for (theirs, _), mine in zip(found[name], own, strict=True)])
            for name in ("loop", "one", "two")
        ),
        f"{found['blocks'][0][1] / tokens:,.0f}",
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_output",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few words, one pair")
    parser.add_argument("--pairs", type=int, help="of runs; 3, or 1 with --quick")
    parser.add_argument("--blocks", type=int, default=2, help="of the output layer")
    parser.add_argument("--shape", type=int, help="of all shapes, the one to run")
    given = parser.parse_args(arguments)
    shapes = QUICK if given.quick else SHAPES
    if given.shape is not None:
        shapes = shapes[given.shape : given.shape + 1]
    lines: list[tuple[str, ...]] = [_HEADER]
    with workers(2) as two, workers(1) as one:
        for shape in shapes:
            lines.append(
                line(
                    shape,
                    two,
                    one,
                    blocks=given.blocks,
                    epochs=2,
                    pairs=given.pairs or (1 if given.quick else 3),
                    steps=2,
                )
            )
            print("; ".join(lines[-1]), file=sys.stderr, flush=True)
    print(aligned(lines))


if __name__ == "__main__":
    main()
