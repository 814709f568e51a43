"""The images that scenes are made of: clothes, or handwritten digits where there are none."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's `dataset-fashion-mnist` has its files."""
CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat")
CLOTHES += ("sandal", "shirt", "sneaker", "bag", "boot")


@dataclass(frozen=True)
class Items:
    """Images of one thing each, on black.

    Attributes
    ----------
    pixels : ndarray of shape (n_items, height, width), uint8
    labels : ndarray of shape (n_items,), uint8
    names : tuple of str
        Of each label.
    """

    pixels: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def only(self, kinds: Sequence[int]) -> "Items":
        """Return those with some labels, which count from 0 then, in the order of `kinds`."""
        chosen = np.isin(self.labels, kinds)
        labels = np.zeros(len(self.names), np.uint8)
        labels[list(kinds)] = np.arange(len(kinds))
        names = tuple(self.names[kind] for kind in kinds)
        return Items(self.pixels[chosen], labels[self.labels[chosen]], names)


def clothes(folder: Path, part: str) -> Items:
    """Read "train" or "t10k" of Fashion-MNIST."""
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder: apt-get install dataset-fashion-mnist")
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        return Items(pixels, np.frombuffer(file.read(), np.uint8, offset=8), CLOTHES)


def digits(part: str) -> Items:
    """Return scikit-learn's digits, three times as large: the last 400 are "t10k"."""
    found = load_digits()
    rows = slice(-400) if part == "train" else slice(-400, None)
    pixels = (found.images[rows] * (255 / 16)).astype(np.uint8)
    larger = pixels.repeat(3, axis=1).repeat(3, axis=2)
    return Items(larger, found.target[rows].astype(np.uint8), tuple("0123456789"))


def clothes_or_digits(part: str, folder: Path = DEBIAN) -> Items:
    """Return clothes where their folder is, else digits."""
    return clothes(folder, part) if folder.is_dir() else digits(part)
