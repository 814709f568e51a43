"""Three small networks, each with something that placement may change, and what they train on.

They live in a file of the tests, so that they travel by name, as those of a user's package do.
"""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import torch
from torch import nn

from daskml_exec.torch import TorchEstimator

CHUNKS = (40, 30, 0, 50, 24)
N = sum(CHUNKS)
RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(N, 5)).astype(np.float32)
NUMBERS = (ROWS @ [1.0, -2.0, 0.5, 0.0, 0.3]).astype(np.float32)
IMAGES = RNG.integers(0, 256, size=(N, 1, 8, 8), dtype=np.uint8)
LABELS = (IMAGES[:, 0, :, :4].mean(axis=(1, 2)) > 127).astype(np.int64)
TOKENS = RNG.integers(0, 11, size=(N, 9), dtype=np.uint8)


class MLP(nn.Module):
    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, X: Any) -> Any:
        return self.layers(X)[:, 0]


class CNN(nn.Module):
    """With BatchNorm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(36, 2),
        )

    def forward(self, X: Any) -> Any:
        return self.layers(X.float() / 255)


class GPT(nn.Module):
    """One block, with dropout, and the embedding for the last layer, too."""

    def __init__(self, vocabulary: int = 11, width: int = 8, length: int = 8) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(length, width))
        self.block = nn.TransformerEncoderLayer(
            width, nhead=2, dim_feedforward=16, dropout=0.2, batch_first=True
        )
        self.register_buffer("mask", torch.ones(length, length).triu(1).bool())
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, X: Any) -> Any:
        hidden = self.embedding(X.long()) + self.positions[: X.shape[1]]
        n = X.shape[1]
        return self.head(self.block(hidden, src_mask=self.mask[:n, :n]))


def squares(module: Any, batch: Any) -> Any:
    X, y = batch
    return ((module(X) - y) ** 2).mean()


def entropy(module: Any, batch: Any) -> Any:
    X, y = batch
    return nn.functional.cross_entropy(module(X), y)


def next_token(module: Any, X: Any) -> Any:
    """Return the mean over tokens, and how many there are."""
    X = X.long()
    logits = module(X[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), X[:, 1:].flatten())
    return loss, X[:, 1:].numel()


MODULES: dict[str, tuple[Any, Callable[..., Any], tuple[Any, ...]]] = {
    "mlp": (MLP, squares, (ROWS, NUMBERS)),
    "cnn": (CNN, entropy, (IMAGES, LABELS)),
    "gpt": (GPT, next_token, (TOKENS,)),
}


def lazy(*arrays: Any) -> list[Any]:
    """Return Dask arrays in the usual chunks."""
    return [da.from_array(array, chunks=(CHUNKS, *array.shape[1:])) for array in arrays]


def samples(name: str) -> list[Any]:
    """Return what `fit` takes."""
    return lazy(*MODULES[name][2])


def estimator(name: str, **arguments: Any) -> TorchEstimator:
    module, loss, _ = MODULES[name]
    given = {"batch_size": 24, "rows_least": 4, "sync_every": 2, "max_epochs": 2, "lr": 0.01}
    return TorchEstimator(module, loss=loss, random_state=4, **{**given, **arguments})


def bits(model: TorchEstimator) -> dict[str, bytes]:
    """Return all that a fit leaves, as bytes by name."""
    found = {name: each.numpy().tobytes() for name, each in model.state_dict_.items()}
    kept = model._remembered
    found["moments"] = kept.model.optimiser.moments.tobytes()
    found["counted"] = kept.model.buffers.largest.tobytes()
    found["velocity"] = b"" if kept.velocity is None else kept.velocity.tobytes()
    found["losses"] = np.array(model.loss_curve_).tobytes()
    found["scores"] = np.array(model.validation_scores_ or []).tobytes()
    return found
