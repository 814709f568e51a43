"""The small GPT: what it may look at, and what it goes on with."""

import math

import numpy as np
import torch
from torch import nn

from words.gpt import continued, gpt, next_id_loss
from words.packages import VOCABULARY, as_ids


def windows(n, length):
    return torch.from_numpy(
        np.random.default_rng(0).integers(0, VOCABULARY, size=(n, length), dtype=np.uint8)
    )


def test_no_id_is_seen_before_its_turn():
    torch.manual_seed(0)
    module, ids = gpt(layers=2, width=16, heads=2, length=12), windows(3, 12)
    changed = ids.clone()
    changed[:, 7:] = 0
    before, after = module(ids), module(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.equal(before[:, 7:], after[:, 7:])


def test_the_loss_is_the_mean_over_ids_that_follow():
    torch.manual_seed(0)
    module, ids = gpt(layers=1, width=16, heads=2, length=8), windows(3, 9)
    mean, weight = next_id_loss(module, ids)
    chances = module(ids[:, :-1]).log_softmax(dim=2)
    said = [chances[i, j, int(ids[i, j + 1])] for i in range(3) for j in range(8)]
    assert weight == 24
    assert math.isclose(mean.item(), -torch.stack(said).mean().item(), rel_tol=1e-6)
    assert abs(mean.item() - math.log(VOCABULARY)) < 0.5


class After(nn.Module):
    """Is certain that each letter is followed by the next of the alphabet."""

    longest = 0

    def forward(self, ids):
        self.longest = max(self.longest, ids.shape[1])
        return 100.0 * nn.functional.one_hot((ids + 1) % VOCABULARY, VOCABULARY)


def test_texts_go_on():
    module = After()
    starts = torch.from_numpy(np.stack([as_ids("abc"), as_ids("xxp")]))
    assert continued(module, starts, n=4, length=5) == ["abcdefg", "xxpqrst"]
    assert module.longest == 5


def test_what_is_drawn_follows_from_the_seed():
    torch.manual_seed(0)
    module, starts = gpt(layers=1, width=16, heads=2), windows(2, 4)
    first, again, other = (continued(module, starts, n=20, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
