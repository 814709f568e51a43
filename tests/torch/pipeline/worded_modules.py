"""Language models whose output layers are cut into blocks, their losses, and what trains them.

They live in a file of the tests, so that they travel by name, as those of a user's package do.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from daskml_exec.torch import TorchEstimator
from tests.torch.pipeline.cut_modules import BATCH

V, WIDTH = 11, 8


def plain(bias: bool = True, p: float = 0.0) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Embedding(V, WIDTH),
        nn.Linear(WIDTH, 12),
        nn.Tanh(),
        nn.Dropout(p),
        nn.Linear(12, WIDTH),
        nn.LayerNorm(WIDTH),
        nn.Linear(WIDTH, V, bias=bias),
    ).double()


def drawing() -> nn.Sequential:
    return plain(p=0.4)


class Tied(nn.Module):
    """Calls its children one after the other; the last has the embedding's weights."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.embedding = nn.Embedding(V, WIDTH)
        self.body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.LayerNorm(WIDTH))
        self.head = nn.Linear(WIDTH, V, bias=bias)
        self.head.weight = self.embedding.weight
        self.double()

    def forward(self, ids: Any) -> Any:
        return self.head(self.body(self.embedding(ids)))


class Last(nn.Module):
    """Ends with the output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, V)

    def forward(self, hidden: Any) -> Any:
        return self.out(self.norm(hidden))


def nested() -> nn.Sequential:
    torch.manual_seed(3)
    body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh())
    return nn.Sequential(nn.Embedding(V, WIDTH), body, Last()).double()


def mean(module: Any, ids: Any) -> Any:
    return cross_entropy(module(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def counted(module: Any, ids: Any) -> Any:
    """The mean over tokens that count, and how many there are."""
    wanted = ids[:, 1:]
    counts = wanted > 2
    losses = cross_entropy(module(ids[:, :-1]).transpose(1, 2), wanted, reduction="none")
    return (losses * counts).sum() / counts.sum(), counts.sum()


def ignoring(module: Any, ids: Any) -> Any:
    wanted = torch.where(ids > 2, ids, -100)[:, 1:]
    scores = module(ids)[:, :-1].contiguous()
    loss = cross_entropy(scores.view(-1, scores.size(-1)), wanted.reshape(-1), label_smoothing=0.1)
    return loss, (wanted >= 0).sum()


def last_word(module: Any, ids: Any) -> Any:
    """Of each text, of which only the last word is guessed."""
    return nn.CrossEntropyLoss(ignore_index=4, reduction="sum")(module(ids)[:, -1], ids[:, 0]) / 9


def noisy(module: Any, ids: Any) -> Any:
    """Draws before and after the module is called."""
    ids = torch.where(torch.rand(ids.shape) < 0.2, ids.flip(1), ids)
    losses = cross_entropy(module(ids[:, :-1]).movedim(2, 1), ids[:, 1:], reduction="none")
    return (losses * torch.rand(losses.shape, dtype=losses.dtype)).mean()


MODULES = {"plain": plain, "tied": Tied, "nested": nested}
LOSSES = {
    "mean": mean,
    "counted": counted,
    "ignoring": ignoring,
    "last word": last_word,
    "noisy": noisy,
}


def estimator(module: Any = plain, loss: Any = mean, **arguments: Any) -> TorchEstimator:
    given = {"batch_size": BATCH, "max_epochs": 3, "random_state": 0, "lr": 0.01}
    return TorchEstimator(module, loss=loss, **{**given, **arguments})


def in_blocks(module: Any = plain, loss: Any = mean, **arguments: Any) -> TorchEstimator:
    """Return what trains a module whose output layer is in two blocks."""
    return estimator(module, loss, **{"parallel": "pipeline", "output_blocks": 2, **arguments})
