"""Stages that score: none runs ahead of the next one, and all are left as they were."""

import threading

import numpy as np
import torch
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch.pipeline import _scoring
from daskml_exec.torch.pipeline._evaluation import in_eval_mode
from daskml_exec.torch.pipeline._held_out import HeldOut
from tests.torch.pipeline.cut_modules import NUMBERS, ROWS, staged


def test_pieces_of_partitions():
    held_out = HeldOut(0.1, (5, 0, 2, 1), 2, ((0, 1), (2, 3)))
    assert held_out.n_pieces == 3
    rows = [(each.partition, each.first, each.last) for each in held_out.pieces(0, 0, 9)]
    assert rows == [(0, 0, 2), (0, 2, 4), (0, 4, 5)]
    assert [each.partition for each in held_out.pieces(1, 0, 3)] == [2, 3]
    assert [each.number for each in held_out.pieces(0, 1, 1)] == [1]


def test_a_stage_waits_for_the_next_one(monkeypatch):
    """Else all that is held out would be in the memory of the slowest stage."""
    seen: list[tuple[str, int]] = []
    waits = threading.Event()
    hand_over, taken_over = _scoring.hand_over, _scoring.taken_over

    def sending(member, to, tag, at, what):
        if at == 2:
            waits.set()
        hand_over(member, to, tag, at, what)
        seen.append(("sent", at))

    def taking(member, sender, tag, at, n, device):
        assert waits.wait(30)  # the first stage has come as far as it can
        seen.append(("taken", at))
        return taken_over(member, sender, tag, at, n, device)

    monkeypatch.setattr(_scoring, "hand_over", sending)
    monkeypatch.setattr(_scoring, "taken_over", taking)
    with Executor(processes=False, n_workers=2):
        given = {"stages": 2, "batch_size": 4, "micro_batches": 2, "max_epochs": 1}
        staged("chain", validation_fraction=0.4, **given).fit(ROWS, NUMBERS)
    sent = [at for what, at in seen if what == "sent"]
    assert len(sent) == 10 and max(sent) == 7  # of eight pieces, and of two
    for ahead in range(2, 8):
        assert seen.index(("taken", ahead - 2)) < seen.index(("sent", ahead))


class Remembers(nn.Module):
    """Has another tensor for its buffer after each way forwards, and changes one in place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("last", torch.zeros(2))
        self.register_buffer("ways", torch.zeros(()), persistent=False)
        self.kept = nn.Dropout(0.5).eval()

    def forward(self, X):
        self.last = X.detach().sum(0)
        self.ways += 1
        return self.kept(X)


class OfParts:
    """Has what is looked at of a stage."""

    def __init__(self, *modules):
        self.parts = [type("Part", (), {"module": each}) for each in modules]


def test_modes_and_buffers_are_left():
    module, other = Remembers(), nn.Dropout(0.5)
    last, ways = module.last, module.ways
    with in_eval_mode([OfParts(module), OfParts(other)]):
        assert not module.training and not other.training
        module(torch.ones(3, 2))
        assert not torch.is_grad_enabled()
        assert module.ways == 1 and module.last is not last
    assert module.training and other.training and not module.kept.training
    assert module.last is last and module.ways is ways
    np.testing.assert_array_equal(torch.cat([last, ways[None]]), 0.0)
    assert torch.is_grad_enabled()
