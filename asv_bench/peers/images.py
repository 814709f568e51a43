"""Images of clothes, 28 by 28 pixels in ten classes: Fashion-MNIST, or drawn in its likeness."""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from peers.other_interpreter import PeerUnavailableError

PIXELS, CLASSES = 784, 10
_VARIABLE = "PEERS_FASHION_MNIST"
_DEBIAN = "/usr/share/datasets/fashion-mnist"


@dataclass(frozen=True)
class Images:
    """Pixels between 0 and 1 in float32, and the classes."""

    X: Any
    y: Any

    @property
    def rows(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> "Images":
        return Images(self.X[rows], self.y[rows])


def fashion_mnist(part: str) -> Images:
    """Return "train" (60,000 rows) or "t10k" (10,000) from the gzipped files of the data set."""
    folder = Path(os.environ.get(_VARIABLE) or _DEBIAN)
    try:
        pixels = _values(folder / f"{part}-images-idx3-ubyte.gz", header=16)
        labels = _values(folder / f"{part}-labels-idx1-ubyte.gz", header=8)
    except FileNotFoundError as error:
        raise PeerUnavailableError(
            f"not found: Fashion-MNIST (Debian's dataset-fashion-mnist; {_VARIABLE} names the "
            f"folder): {error}"
        ) from error
    X = pixels.reshape(-1, PIXELS).astype(np.float32)
    X /= np.float32(255)
    return Images(X, labels.astype(np.int64))


def synthetic(n: int, seed: int = 0) -> Images:
    """About half the pixels are zero, those at the border always; a linear rule gives the class."""
    rng = np.random.default_rng(seed)
    inside = np.zeros((28, 28), dtype=bool)
    inside[3:-3, 3:-3] = True
    X = np.zeros((n, PIXELS), dtype=np.float32)
    drawn = rng.random((n, int(inside.sum())), dtype=np.float32)
    X[:, inside.ravel()] = np.maximum(drawn - np.float32(0.2), 0)
    # The rule is the same for every seed, so that one draw can test what another has trained.
    rule = np.random.default_rng(1).normal(size=(PIXELS, CLASSES)).astype(np.float32)
    scores = X @ rule
    return Images(X, np.argmax(scores - scores.mean(axis=0), axis=1))


def _values(path: Path, header: int) -> Any:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), dtype=np.uint8, offset=header)
