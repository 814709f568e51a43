"""Modules of drawn shapes, chains that can be cut, with their samples and losses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

VOCABULARY, LENGTH, IMAGE = 512, 32, 16


def perceptron(width: int, depth: int) -> Any:
    from torch import nn

    layers = [each for _ in range(depth) for each in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers)


def unbalanced(width: int, depth: int) -> Any:
    """Return a chain whose last layers are eight times as wide as all others."""
    from torch import nn

    wide = 8 * width
    layers = [each for _ in range(depth) for each in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, wide), nn.ReLU(), nn.Linear(wide, width))


def convolutions(width: int, depth: int) -> Any:
    """Return layers of few weights and many products."""
    from torch import nn

    layers = [
        each
        for i in range(depth)
        for each in (nn.Conv2d(width if i else 1, width, 3, padding=1), nn.ReLU())
    ]
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 1))


def transformer(width: int, depth: int) -> Any:
    from torch import nn

    layers = [
        nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
        for _ in range(depth)
    ]
    return nn.Sequential(nn.Embedding(VOCABULARY, width), *layers, nn.Linear(width, VOCABULARY))


def _rows(width: int, n: int) -> Any:
    return np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)


def _images(width: int, n: int) -> Any:
    return np.random.default_rng(0).normal(size=(n, 1, IMAGE, IMAGE)).astype(np.float32)


def _tokens(width: int, n: int) -> Any:
    return np.random.default_rng(0).integers(0, VOCABULARY, size=(n, LENGTH + 1))


def itself(module: Any, X: Any) -> Any:
    from torch import nn

    return nn.functional.mse_loss(module(X), X)


def next_token(module: Any, ids: Any) -> Any:
    from torch import nn

    scores = module(ids[:, :-1])
    return nn.functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())


@dataclass(frozen=True)
class Drawn:
    """Modules of one kind.

    Attributes
    ----------
    make : callable
        Of width and depth.
    samples : callable
        Of width and how many.
    widths, batches : tuple of int
        The smallest and the largest.
    multiple : int
        Of which widths are.
    flops : callable
        Of width and depth, for a sample, forwards and backwards.
    """

    make: Callable[[int, int], Any]
    samples: Callable[[int, int], Any]
    widths: tuple[int, int]
    batches: tuple[int, int]
    multiple: int
    flops: Callable[[int, int], float]


MODULES = {
    "perceptron": Drawn(
        perceptron, _rows, (32, 2048), (32, 512), 8, lambda width, depth: 6.0 * depth * width**2
    ),
    "convolutions": Drawn(
        convolutions,
        _images,
        (4, 48),
        (16, 128),
        4,
        lambda width, depth: 6.0 * 9 * IMAGE**2 * width**2 * depth,
    ),
    "transformer": Drawn(
        transformer,
        _tokens,
        (32, 256),
        (16, 64),
        8,
        lambda width, depth: 6.0 * LENGTH * (12 * width**2 * depth + VOCABULARY * width),
    ),
    "unbalanced": Drawn(
        unbalanced,
        _rows,
        (32, 512),
        (32, 512),
        8,
        lambda width, depth: 6.0 * (depth + 16) * width**2,
    ),
}
LOSSES = {
    "perceptron": itself,
    "convolutions": itself,
    "transformer": next_token,
    "unbalanced": itself,
}
