"""Two sides of a comparison: partitions on Workers, and PyTorch's own loop in one process."""

import argparse
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import usual_loop
from daskml_exec import Executor
from daskml_exec.torch import TorchEstimator
from scenes.compose import Scenes, compose, mirrored
from scenes.items import DEBIAN, clothes
from scenes.rates import best_rate
from usual_loop import rise_and_fall

WORKERS = 2
BATCH = 16
"""Scenes of a step: of the loop's, and of all partitions together."""
SYNC_EVERY = 8
EPOCHS_TO_CHOOSE = 4
HELD_OUT = 11
MOST_HELD_OUT = 500
"""One scene of so many, but no more, is held out to choose the rate by; twice as many train."""


@dataclass(frozen=True)
class Task:
    """What is trained, and how it is judged.

    Attributes
    ----------
    module : callable
        Returns a module of images.
    loss : callable
        Of a module and scenes: the mean, and over how much it is.
    find : callable
        ``find(module, scenes)`` returns arrays, or a dict of them, with a row for each scene.
    judge : callable
        ``judge(found, truth)`` returns a number, the larger, the better.
    measure : str
        What the number is.
    """

    module: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Any], Any]
    find: Callable[[nn.Module, Any], Any]
    judge: Callable[[Any, Mapping[str, np.ndarray]], float]
    measure: str


@dataclass(frozen=True)
class Outcome:
    """Of training: how good it is for other scenes, after how long, and what was found in them."""

    score: float
    seconds: float
    found: Any


Train = Callable[[Scenes, Scenes, float, int, int], Outcome]
"""Of scenes to train on, others, rate, epochs and seed."""


def on_workers(
    task: Task,
    executor: Executor,
    train: Scenes,
    test: Scenes,
    rate: float,
    epochs: int,
    seed: int,
) -> Outcome:
    ends = np.linspace(0, len(train["image"]), WORKERS + 1).astype(int)
    held = executor.client.scatter([rows(train, slice(*some)) for some in itertools.pairwise(ends)])
    began = time.perf_counter()
    model = TorchEstimator(
        task.module,
        loss=task.loss,
        lr=rate,
        batch_size=BATCH,
        rows_least=BATCH // WORKERS,
        sync_every=SYNC_EVERY,
        max_epochs=epochs,
        augment=mirrored,
        scheduler=rise_and_fall,
        random_state=seed,
    ).fit(held)
    seconds = time.perf_counter() - began
    found = model.map_samples(task.find, {"image": test["image"]})
    return Outcome(task.judge(found, test), seconds, found)


def in_one_process(
    task: Task, train: Scenes, test: Scenes, rate: float, epochs: int, seed: int
) -> Outcome:
    def batch_of(chosen: np.ndarray, generator: np.random.Generator) -> Any:
        scenes = [mirrored(rows(train, row), generator) for row in chosen]
        return {name: torch.from_numpy(np.stack([each[name] for each in scenes])) for name in train}

    module, seconds = usual_loop.train(
        task.module,
        lambda module, batch: task.loss(module, batch)[0],
        batch_of,
        len(train["image"]),
        batch=BATCH,
        rate=rate,
        schedule=rise_and_fall,
        epochs=epochs,
        seed=seed,
    )
    with torch.inference_mode():
        pieces = [
            task.find(module, {"image": some})
            for some in torch.from_numpy(test["image"]).split(250)
        ]
    found = _joined(pieces)
    return Outcome(task.judge(found, test), seconds, found)


def _joined(pieces: list[Any]) -> Any:
    if isinstance(pieces[0], dict):
        return {name: _joined([each[name] for each in pieces]) for name in pieces[0]}
    return np.concatenate([np.asarray(each) for each in pieces])


def rows(scenes: Scenes, chosen: Any) -> Scenes:
    """Return some of the scenes, or one, without the leading axis."""
    return {name: each[chosen] for name, each in scenes.items()}


def compare(
    task: Task, about: str, rates: tuple[float, ...], *, scenes: int, epochs: int, draw: Any
) -> None:
    """Train both sides as the command line says, and print how good they are.

    ``draw(scenes, found, names)`` returns a figure of matplotlib's, for ``--picture``.
    """
    given = _given(about, rates, scenes, epochs)
    items = [clothes(given.images, part) for part in ("train", "t10k")]
    train = compose(items[0], range(given.scenes))
    test = compose(items[1], range(given.test_scenes), seed=1)
    found = []
    if "data" in given.ways:
        with Executor(n_workers=WORKERS, threads_per_worker=1) as executor:
            fit = partial(on_workers, task, executor)
            found.append(_tell(f"{WORKERS} Workers", task, fit, train, test, given))
    if "loop" in given.ways:
        fit = partial(in_one_process, task)
        found.append(_tell("one process", task, fit, train, test, given))
    if given.picture is not None:
        draw(test, found[0], items[1].names).savefig(given.picture)


def _given(about: str, rates: tuple[float, ...], scenes: int, epochs: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, default=DEBIAN)
    add("--scenes", type=int, default=scenes, help="to train on")
    add("--test-scenes", type=int, default=1_000)
    add("--epochs", type=int, default=epochs)
    add("--rates", type=float, nargs="+", default=rates, help="to choose from")
    add("--ways", nargs="+", choices=["data", "loop"], default=["data", "loop"])
    add("--seed", type=int, default=0)
    add("--picture", type=Path, help="file to draw some test scenes in; needs matplotlib")
    return parser.parse_args()


def _tell(
    who: str, task: Task, fit: Train, train: Scenes, test: Scenes, given: argparse.Namespace
) -> Any:
    """Choose the rate, train at it, print what comes out, and return what was found."""
    n = min(-(-len(train["image"]) // HELD_OUT), MOST_HELD_OUT)
    parts = rows(train, slice(2 * n)), rows(train, slice(-n, None))

    def in_validation(rate: float) -> float:
        return fit(*parts, rate, EPOCHS_TO_CHOOSE, given.seed).score

    print(f"{who}: choosing a rate, then training", flush=True)
    rate = best_rate(who, given.rates, in_validation)
    outcome = fit(train, test, rate, given.epochs, given.seed)
    print(
        f"{who}: {task.measure} {outcome.score:.4f} on {len(test['image']):,} test scenes, "
        f"{given.epochs} epochs at rate {rate:g}, {outcome.seconds:.0f} s",
        flush=True,
    )
    return outcome.found
