"""A small GPT as a chain of layers, its loss, and text that it goes on with."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from words.packages import VOCABULARY, as_text


def gpt(
    layers: int = 4,
    width: int = 128,
    heads: int = 4,
    length: int = 128,
    vocabulary: int = VOCABULARY,
) -> nn.Sequential:
    """Return embeddings, layers, and scores; any of its children may begin a stage."""
    chain = nn.Sequential(
        Embedded(vocabulary, length, width),
        *(Layer(width, heads) for _ in range(layers)),
        nn.LayerNorm(width),
        nn.Linear(width, vocabulary, bias=False),
    )
    return chain.apply(small)


class Embedded(nn.Module):
    """A vector for each id, and one for its place."""

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()
        self.ids = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)

    def forward(self, ids: Any) -> Any:
        return self.ids(ids.long()) + self.places.weight[: ids.shape[1]]


class Layer(nn.Module):
    """Attention to what came before, and a network, each added to what it is given."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.network = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Any) -> Any:
        split = self.queries_keys_values(self.norm(x)).unflatten(2, (3, self.heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self.mixed(seen.transpose(1, 2).flatten(2))
        return x + self.network(x)


def small(module: nn.Module) -> None:
    """Draw weights of standard deviation 0.02, as GPT-2 does."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def next_id_loss(module: Any, windows: Any) -> Any:
    """Return the mean, in nats, of -log p of each id of a window after those before it.

    Beside it stands over how many ids it is.
    """
    ids = windows.long()
    scores = module(ids[:, :-1])
    return functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten()), ids[:, 1:].numel()


def continued(
    module: Any, starts: Any, n: int = 200, length: int = 128, seed: int = 0
) -> list[str]:
    """Return texts that begin with `starts`, of which each next id is drawn by its probability.

    For `map_samples`: ``starts`` has the shape (n_texts, n_ids); of more than `length` ids the
    module is given the last.
    """
    generator = torch.Generator().manual_seed(seed)
    ids = starts.long()
    for _ in range(n):
        chances = module(ids[:, -length:])[:, -1].softmax(dim=1)
        ids = torch.cat([ids, torch.multinomial(chances, 1, generator=generator)], dim=1)
    return [as_text(np.asarray(each)) for each in ids]
