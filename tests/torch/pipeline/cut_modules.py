"""Modules to be cut into stages, their losses and samples, and the usual loop over them.

They live in a file of the tests, so that they travel by name, as those of a user's package do.
"""

from typing import Any

import dask.array as da
import numpy as np
import torch
from torch import nn

from daskml_exec.torch import TorchEstimator

N, BATCH = 50, 12
RNG = np.random.default_rng(7)
ROWS = RNG.normal(size=(N, 6))
NUMBERS = ROWS @ RNG.normal(size=6)
TOKENS = RNG.integers(0, 11, size=(N, 7))


def chain(p: float = 0.0) -> nn.Module:
    """Return what may be cut at five places, with a part that changes in place what it is given."""
    torch.manual_seed(1)
    layers = [nn.Linear(6, 16), nn.ReLU(inplace=True), nn.Linear(16, 16), nn.Dropout(p), nn.Tanh()]
    return nn.Sequential(*layers, nn.Sequential(nn.Linear(16, 4), nn.Linear(4, 1))).double()


class Called(nn.Module):
    """Calls its children one after the other, in another order than they stand there."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.last = nn.Linear(8, 1)
        self.first = nn.Linear(6, 8)
        self.between = nn.Tanh()
        self.double()

    def forward(self, X: Any) -> Any:
        return self.last(self.between(self.first(X)))


class Words(nn.Module):
    """The embedding is also what the last stage multiplies by; ids pass through all stages."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.into = nn.Embedding(11, width)
        self.body = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 11, bias=False)
        self.out.weight = self.into.weight
        self.register_buffer("shift", torch.linspace(0, 1, width))
        self.double()

    def forward(self, ids: Any) -> Any:
        hidden = self.into(ids) + self.shift
        for layer in self.body:
            hidden = hidden + torch.tanh(layer(hidden))
        return self.out(self.norm(hidden)) + ids[..., None].double()


class Into(nn.Module):
    def __init__(self, words: Words) -> None:
        super().__init__()
        self.into = words.into
        self.register_buffer("shift", words.shift)

    def forward(self, ids: Any) -> Any:
        hidden = self.into(ids) + self.shift
        return {"hidden": hidden, "rest": (ids, hidden * 2, None)}


class Body(nn.Module):
    """Hands on ids, and what nobody uses; its hidden values leave it with axes exchanged."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, given: Any) -> Any:
        hidden, (ids, unused, _) = given["hidden"], given["rest"]
        hidden = hidden + torch.tanh(self.layer(hidden))
        return {"hidden": hidden, "rest": (ids, unused, None)}


class Out(nn.Module):
    def __init__(self, words: Words) -> None:
        super().__init__()
        self.norm, self.out = words.norm, words.out

    def forward(self, given: Any) -> Any:
        return self.out(self.norm(given["hidden"])) + given["rest"][0][..., None].double()


def three(words: Words) -> list[nn.Module]:
    return [Into(words), nn.Sequential(*map(Body, words.body)), Out(words)]


def squares(module: Any, batch: Any) -> Any:
    X, y = batch
    return ((module(X)[:, 0] - y) ** 2).mean()


def weighted_squares(module: Any, batch: Any) -> Any:
    X, y, weight = batch
    losses = (module(X)[:, 0] - y) ** 2
    return (losses * weight).sum() / weight.sum(), weight.sum()


def next_token(module: Any, ids: Any) -> Any:
    """Return the mean over tokens that count, and how many there are."""
    logits, wanted = module(ids[:, :-1]), ids[:, 1:]
    counts = wanted > 2
    losses = nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
    return (losses * counts).sum() / counts.sum(), counts.sum()


def surprise(module: Any, ids: Any) -> Any:
    """Return a score that is to grow, of what training makes smaller."""
    mean, weight = next_token(module, ids)
    return {"surprise": (mean * weight, weight)}


CASES: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "chain": (chain, squares, (ROWS, NUMBERS)),
    "called": (Called, squares, (ROWS, NUMBERS)),
    "words": (Words, next_token, (TOKENS,)),
}
STAGES: dict[str, Any] = {"chain": 3, "called": ["last"], "words": three}


def estimator(case: str, **arguments: Any) -> TorchEstimator:
    """Return what trains a case, in stages or not."""
    module, loss, _ = CASES[case]
    given = {"batch_size": BATCH, "max_epochs": 3, "random_state": 0, "lr": 0.01}
    return TorchEstimator(module, loss=loss, **{**given, **arguments})


def staged(case: str, **arguments: Any) -> TorchEstimator:
    """Return what trains a case in stages."""
    return estimator(case, **{"parallel": "pipeline", "stages": STAGES[case], **arguments})


def hybrid(case: str, **arguments: Any) -> TorchEstimator:
    """Return what trains replicas of a case in stages."""
    return staged(case, **{"parallel": "hybrid", **arguments})


def lazy(case: str, rows: Any = N) -> list[Any]:
    """Return the samples as Dask arrays."""
    return [da.from_array(array, chunks=(rows, *array.shape[1:])) for array in CASES[case][2]]


def distance(model: TorchEstimator, other: TorchEstimator) -> float:
    """Return the largest difference of two models' weights."""
    pairs = zip(model.state_dict_.values(), other.state_dict_.values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)
