"""The fifth tutorial at full size: ``python tutorials/images_with_pytorch.py [--epochs 6] ...``.

A convolutional network on the 60,000 images of Fashion-MNIST, in two partitions on two Workers of
one thread, beside PyTorch's own loop in one process of one thread: the same module, augmentation,
schedule and epochs, and as many samples in a step of both partitions together as in one of the
loop. The learning rate of each side is the best of `--rates` for 5,000 training images that are
held out, after few epochs on 10,000 others; then it trains on all 60,000. Printed are the accuracy
on the 10,000 test images, and the seconds that training takes.

The images are those of Debian's `dataset-fashion-mnist`; `--images` names another folder of them.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import usual_loop
from daskml_exec import Executor
from daskml_exec.torch import TorchClassifier
from scenes.items import DEBIAN, clothes
from scenes.rates import best_rate

WORKERS = 2
BATCH = 128
"""Images of a step: of the loop's, and of all partitions together."""
RATES = (2e-3, 4e-3, 8e-3)
EPOCHS_TO_CHOOSE, ROWS_TO_CHOOSE, HELD_OUT = 3, 10_000, 5_000

Rows = tuple[np.ndarray, np.ndarray]
Train = Callable[[Rows, Rows, float, int, int], tuple[float, float]]
"""Of rows to train on, others, rate, epochs and seed: the accuracy on the others, and seconds."""


class CNN(nn.Module):
    """Three convolutions of 3 by 3, each with batch normalization, and dropout before the end."""

    def __init__(self, channels: int = 32, width: int = 128, dropout: float = 0.3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolution(1, channels),
            *convolution(channels, 2 * channels),
            *convolution(2 * channels, 4 * channels),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(4 * channels * 3 * 3, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, 10),
        )

    def forward(self, pixels: Any) -> Any:
        return self.layers(pixels.float() / 255)


def convolution(before: int, after: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]


def flip(image: Any, generator: np.random.Generator) -> Any:
    """Return the image or its mirror image."""
    return image[:, :, ::-1] if generator.random() < 0.5 else image


def one_cycle(step: int, total: int) -> float:
    """Rise for a fifth of the steps, and fall to nothing on half a wave."""
    done, rise = step / total, 0.2
    if done < rise:
        return 0.1 + 0.9 * done / rise
    return 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))


def on_workers(
    executor: Executor, train: Rows, test: Rows, rate: float, epochs: int, seed: int
) -> tuple[float, float]:
    parts = [np.array_split(each, WORKERS) for each in train]
    held = [executor.client.scatter(each) for each in parts]
    began = time.perf_counter()
    model = TorchClassifier(
        CNN,
        lr=rate,
        batch_size=BATCH,
        max_epochs=epochs,
        augment=flip,
        scheduler=one_cycle,
        random_state=seed,
    ).fit(*held)
    seconds = time.perf_counter() - began
    return model.score(*test), seconds


def in_one_process(
    train: Rows, test: Rows, rate: float, epochs: int, seed: int
) -> tuple[float, float]:
    def batch_of(rows: np.ndarray, generator: np.random.Generator) -> Any:
        images = np.stack([flip(train[0][row], generator) for row in rows])
        return torch.from_numpy(images), torch.from_numpy(train[1][rows])

    def loss(module: nn.Module, batch: Any) -> torch.Tensor:
        images, labels = batch
        return functional.cross_entropy(module(images), labels)

    module, seconds = usual_loop.train(
        CNN,
        loss,
        batch_of,
        len(train[0]),
        batch=BATCH,
        rate=rate,
        schedule=one_cycle,
        epochs=epochs,
        seed=seed,
    )
    with torch.inference_mode():
        scores = [module(some) for some in torch.from_numpy(test[0]).split(1000)]
    return float((torch.cat(scores).argmax(1).numpy() == test[1]).mean()), seconds


def judge(who: str, fit: Train, train: Rows, test: Rows, given: argparse.Namespace) -> None:
    """Choose the rate, train at it, and print what comes out."""

    def in_validation(rate: float) -> float:
        return fit(*parts_to_choose(train), rate, EPOCHS_TO_CHOOSE, given.seed)[0]

    rate = best_rate(who, given.rates, in_validation, ".2%")
    accuracy, seconds = fit(train, test, rate, given.epochs, given.seed)
    print(
        f"{who}: {accuracy:.2%} of test images, {given.epochs} epochs at rate {rate:g}, "
        f"{seconds:.0f} s",
        flush=True,
    )


def parts_to_choose(rows: Rows) -> tuple[Rows, Rows]:
    """Return rows to train on for the choice of a rate, and others to judge it by."""
    order = np.random.default_rng(0).permutation(len(rows[0]))
    return tuple(
        tuple(each[part] for each in rows) for part in (order[:ROWS_TO_CHOOSE], order[-HELD_OUT:])
    )


def read(folder: Path, part: str) -> Rows:
    items = clothes(folder, part)
    return items.pixels[:, None].copy(), items.labels.astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, default=DEBIAN)
    add("--epochs", type=int, default=6)
    add("--rates", type=float, nargs="+", default=RATES, help="to choose from")
    add("--seed", type=int, default=0)
    add("--rows", type=int, help="train on so few images: does it run")
    given = parser.parse_args()
    train, test = (read(given.images, part) for part in ("train", "t10k"))
    train = tuple(each[: given.rows] for each in train)
    with Executor(n_workers=WORKERS, threads_per_worker=1) as executor:
        judge(f"{WORKERS} Workers", partial(on_workers, executor), train, test, given)
    judge("one process", in_one_process, train, test, given)


if __name__ == "__main__":
    main()
