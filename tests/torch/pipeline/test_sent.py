"""Each Worker has the weights of its own stages, and no others."""

import pickle

import numpy as np
import torch

from daskml_exec import Executor
from daskml_exec.torch.pipeline import _units
from daskml_exec.torch.pipeline._skeleton import names_of, with_tensors, without_tensors
from daskml_exec.torch.pipeline._stage import Stage
from tests.torch.pipeline.cut_modules import TOKENS, Words, staged


def test_a_skeleton_has_no_tensors_and_gets_each_once():
    words = Words(width=500)
    skeleton, met = without_tensors(words, names_of(words))
    assert met == set(names_of(words).values())
    assert len(skeleton) < 5_000 < len(pickle.dumps(words))
    tensors = {**dict(words.named_parameters()), **dict(words.named_buffers())}
    made, found = with_tensors(skeleton, lambda name, dtype: tensors[name].detach().clone())
    assert made.out.weight is made.into.weight is found["into.weight"]
    assert isinstance(found["shift"], torch.Tensor) and not found["shift"].requires_grad
    ids = torch.from_numpy(TOKENS)
    assert torch.equal(made(ids), words(ids))


def test_stages_get_their_own(monkeypatch):
    given = {}

    class Noting(Stage):
        def __init__(self, skeleton, arrays, *others, **named):
            given[len(given)] = dict(arrays)
            super().__init__(skeleton, arrays, *others, **named)

    monkeypatch.setattr(_units, "Stage", Noting)
    with Executor(processes=False, n_workers=1):
        staged("words", max_epochs=1).fit(TOKENS)
    assert [sorted(each) for each in given.values()] == [
        ["tensor:into.weight", "tensor:shift"],
        [f"tensor:body.{i}.{name}" for i in range(2) for name in ("bias", "weight")],
        ["tensor:into.weight", "tensor:norm.bias", "tensor:norm.weight"],
    ]
    assert all(isinstance(array, np.ndarray) for each in given.values() for array in each.values())
