"""A small Transformer that reads one text and writes another, as a chain of layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from words.pairs import BEGIN, END, LONGEST, PADDING, VOCABULARY, as_text


def translator(
    layers: int = 2, width: int = 128, heads: int = 4, dropout: float = 0.1
) -> nn.Sequential:
    """Return layers that read and layers that write; any child of the chain may begin a stage.

    What they pass on is a tuple: of what was read, which of it is no padding, and of what is
    written. The chain is called with the pair of a source's and a target's ids, and returns scores
    for the id that follows each of the target's.
    """
    return nn.Sequential(
        Embedded(width),
        *(Reading(width, heads, dropout) for _ in range(layers)),
        *(Writing(width, heads, dropout) for _ in range(layers)),
        Scores(width),
    )


class Embedded(nn.Module):
    """A vector for each id and one for its place, which are the same for both texts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ids = nn.Embedding(VOCABULARY, width)
        self.places = nn.Embedding(LONGEST + 2, width)

    def forward(self, texts: Any) -> Any:
        source, target = texts
        is_read = (source != PADDING)[:, None, None]
        return self.of(source), is_read, self.of(target)

    def of(self, ids: Any) -> Any:
        return self.ids(ids.long()) + self.places.weight[: ids.shape[1]]


class Attention(nn.Module):
    """Adds to each place what it looks for in others."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Linear(width, width)
        self.keys_values = nn.Linear(width, 2 * width)
        self.mixed = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Any, others: Any = None, mask: Any = None) -> Any:
        """Look at `others`, where the mask is true; without any, at what came before."""
        asking = self.norm(x)
        answering = asking if others is None else others
        queries = self.queries(asking).unflatten(2, (self.heads, -1)).transpose(1, 2)
        split = self.keys_values(answering).unflatten(2, (2, self.heads, -1))
        keys, values = split.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=others is None and mask is None
        )
        return x + self.dropout(self.mixed(seen.transpose(1, 2).flatten(2)))


class Network(nn.Module):
    """Adds to each place what is made of it alone."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Any) -> Any:
        return x + self.layers(x)


class Reading(nn.Module):
    """Looks at all of the source."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.around = Attention(width, heads, dropout)
        self.network = Network(width, dropout)

    def forward(self, texts: Any) -> Any:
        read, is_read, written = texts
        return self.network(self.around(read, mask=is_read)), is_read, written


class Writing(nn.Module):
    """Looks at what is written so far, and at the source."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before = Attention(width, heads, dropout)
        self.read = Attention(width, heads, dropout)
        self.network = Network(width, dropout)

    def forward(self, texts: Any) -> Any:
        read, is_read, written = texts
        written = self.read(self.before(written), read, is_read)
        return read, is_read, self.network(written)


class Scores(nn.Module):
    """Of each id, to come next: (n, length, 259)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, VOCABULARY))

    def forward(self, texts: Any) -> Any:
        return self.layers(texts[2])


def translation_loss(module: Any, samples: Mapping[str, Any]) -> Any:
    """Return the mean of -log p over ids that are no padding, and how many these are.

    What is padding in all samples of a batch is cut off first, for it only costs time.
    """
    source, target = (_cut(samples[name]) for name in ("source", "target"))
    wanted = target[:, 1:].long()
    scores = module((source, target[:, :-1]))
    mean = functional.cross_entropy(
        scores.flatten(0, 1), wanted.flatten(), ignore_index=PADDING, label_smoothing=0.1
    )
    return mean, (wanted != PADDING).sum()


def _cut(ids: Any) -> Any:
    return ids[:, : int((ids != PADDING).sum(dim=1).max())]


def translated(module: Any, samples: Mapping[str, Any]) -> list[str]:
    """Return texts for sources, of which each next id is the most likely one.

    For `map_samples`. What is read is read once.
    """
    first, *others = module
    source = _cut(samples["source"])
    written = torch.full((len(source), 1), BEGIN)
    texts = first((source, written))
    for layer in others:
        if isinstance(layer, Reading):
            texts = layer(texts)
    read, is_read, _ = texts
    while written.shape[1] < LONGEST + 2 and not (written == END).any(dim=1).all():
        state = read, is_read, first.of(written)
        for layer in others:
            if not isinstance(layer, Reading):
                state = layer(state)
        written = torch.cat([written, state[:, -1:].argmax(dim=2)], dim=1)
    return [as_text(np.asarray(each)) for each in written]
