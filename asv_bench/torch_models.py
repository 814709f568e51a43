"""The modules that are trained beside peers; worker processes import them from here."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class MLP(nn.Module):
    """784-128-10."""

    def __init__(self, inputs: int = 784, width: int = 128, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, classes))

    def forward(self, X: Any) -> Any:
        return self.layers(X)


class CNN(nn.Module):
    """Two convolutions of 3 by 3 for images of 28 by 28, with batch normalization and dropout."""

    def __init__(
        self, channels: int = 16, width: int = 64, classes: int = 10, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(1, channels), *_convolution(channels, 2 * channels)
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels * 7 * 7, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, classes),
        )

    def forward(self, X: Any) -> Any:
        return self.head(self.features(X))


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]


class GPT(nn.Module):
    """A decoder with normalization before each part, whose output weights are its embedding's."""

    def __init__(
        self,
        vocabulary: int = 256,
        block: int = 128,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(block, width)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.apply(_small)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Any) -> Any:
        """Return scores of shape (n, length, vocabulary) for ids of shape (n, length)."""
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.network = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Any) -> Any:
        x = x + self.mixed(self._attention(self.attention_norm(x)))
        return x + self.network(x)

    def _attention(self, x: Any) -> Any:
        n, length, width = x.shape
        split = self.queries_keys_values(x).view(n, length, 3, self.heads, width // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return seen.transpose(1, 2).reshape(n, length, width)


def _small(module: nn.Module) -> None:
    """Draw weights of standard deviation 0.02; tied ones would be too large by either default."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def classification_loss(module: nn.Module, batch: tuple[Any, Any]) -> Any:
    """Return the mean cross-entropy of (X, y)."""
    X, y = batch
    return functional.cross_entropy(module(X), y)


def next_token_loss(module: nn.Module, windows: Any) -> Any:
    """Return the mean cross-entropy, in nats, of each token of a window after those before it."""
    ids = windows.long()
    scores = module(ids[:, :-1])
    return functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())


def one_cycle(step: int, total: int) -> float:
    """Rise for a tenth of the steps, and fall on half a wave to a fiftieth."""
    done, rise = step / total, 0.1
    if done < rise:
        return 0.05 + 0.95 * done / rise
    return max(0.02, 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise))))


def accuracy(module: nn.Module, X: Any, y: Any) -> float:
    """Return the share of samples that the module, in its evaluation mode, classifies rightly."""
    right = sum(
        int((module(some).argmax(1) == labels).sum())
        for some, labels in zip(X.split(1000), y.split(1000), strict=True)
    )
    return right / len(y)


def nats(module: nn.Module, windows: Any, y: None = None) -> float:
    """Return the mean `next_token_loss` of windows of equal length."""
    losses = [float(next_token_loss(module, some)) * len(some) for some in windows.split(64)]
    return sum(losses) / len(windows)


def evaluated(score: Any, module: nn.Module, X: Any, y: Any) -> float:
    """Return a score in evaluation mode, without gradients."""
    module.eval()
    with torch.inference_mode():
        return float(score(module, X, y))
