"""The samples: Fashion-MNIST, and the bytes of Python's own library."""

import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from peers import images
from peers.other_interpreter import PeerUnavailableError
from torch_tasks import WINDOW

_STRIDE = WINDOW - 1
_NOT_OURS = {"site-packages", "test", "tests", "idlelib"}


@dataclass(frozen=True)
class Samples:
    """X with one leading axis, and y, or None where X has all."""

    X: Any
    y: Any = None

    def __len__(self) -> int:
        return len(self.X)

    def __add__(self, more: "Samples") -> "Samples":
        y = None if self.y is None else np.concatenate([self.y, more.y])
        return Samples(np.concatenate([self.X, more.X]), y)

    def __getitem__(self, rows: slice) -> "Samples":
        return Samples(self.X[rows], None if self.y is None else self.y[rows])


@dataclass(frozen=True)
class Data:
    """Samples to train on, to choose a learning rate with, and to judge it on."""

    train: Samples
    validation: Samples
    test: Samples

    def part(self, name: str) -> tuple[Samples, Samples]:
        """Return what to fit and what to score, for the part "validation" or "test"."""
        if name == "test":
            return self.train + self.validation, self.test
        return self.train, self.validation

    def ranges(self, name: str) -> dict[str, tuple[int, int]]:
        """Return the same as ranges of `rows`."""
        first, second = len(self.train), len(self.train) + len(self.validation)
        if name == "test":
            return {"fit": (0, second), "score": (second, second + len(self.test))}
        return {"fit": (0, first), "score": (first, second)}

    @cached_property
    def rows(self) -> Samples:
        """All of them, one part after the other: what a peer is started with."""
        return self.train + self.validation + self.test


def data(task: str, quick: bool = False) -> Data:
    """Return the samples of a task; `quick` for fewer, which tell nothing about accuracy."""
    if task == "gpt":
        sizes = (400, 64, 64) if quick else (12_000, 1_000, 1_000)
        return Data(*_windows(sizes))
    train, test = _fashion_mnist()
    order = np.random.default_rng(0).permutation(train.rows)
    shape = (-1, 784) if task == "mlp" else (-1, 1, 28, 28)
    n, held_out, tested = (4_000, 500, 500) if quick else (50_000, 10_000, 10_000)
    return Data(
        _images(train[order[:n]], shape),
        _images(train[order[-held_out:]], shape),
        _images(test[:tested], shape),
    )


def stream(windows: Samples) -> Any:
    """Return the bytes of which the windows are cut, as they follow one another."""
    return np.append(windows.X[:, :_STRIDE], windows.X[-1, _STRIDE:])


def sources() -> Iterator[bytes]:
    """Return the files of Python's library, without its tests, in an order drawn once."""
    root = Path(sysconfig.get_path("stdlib"))
    found = sorted(
        path for path in root.rglob("*.py") if not _NOT_OURS & set(path.relative_to(root).parts)
    )
    order = np.random.default_rng(0).permutation(len(found))
    return (found[i].read_bytes() + b"\0" for i in order)


def _windows(sizes: tuple[int, ...]) -> Iterator[Samples]:
    """Return so many windows for each part, of unlike files."""
    files = sources()
    for n in sizes:
        text = bytearray()
        while len(text) < n * _STRIDE + 1:
            text += next(files)
        windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(text, np.uint8), WINDOW)
        yield Samples(np.ascontiguousarray(windows[: n * _STRIDE : _STRIDE]))


def _fashion_mnist() -> tuple[images.Images, images.Images]:
    try:
        return images.fashion_mnist("train"), images.fashion_mnist("t10k")
    except PeerUnavailableError as missing:
        raise SystemExit(str(missing)) from missing


def _images(of: images.Images, shape: tuple[int, ...]) -> Samples:
    return Samples(of.X.reshape(shape), of.y)
