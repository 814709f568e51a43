"""With the output layer in blocks or in one piece: the usual loop, but for rounding."""

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from daskml_exec import Executor, open_model, save
from daskml_exec.torch import TorchClassifier
from tests.tiers import slow
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import BATCH, NUMBERS, ROWS, TOKENS, distance
from tests.torch.pipeline.plain_hybrid import Hybrid
from tests.torch.pipeline.plain_loop import looped
from tests.torch.pipeline.worded_modules import (
    LOSSES,
    MODULES,
    Tied,
    V,
    estimator,
    in_blocks,
    mean,
    nested,
    plain,
)


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


SGD = functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9)
ADAMW = functools.partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)
MOMENTUM = {"optimizer": "sgd", "optimizer__momentum": 0.9}
DECAY = {"optimizer__weight_decay": 0.1}


def require_near(model, other, within=1e-12):
    for name, tensor in other.state_dict_.items():
        assert (model.state_dict_[name] - tensor).abs().max() < within, name
    np.testing.assert_allclose(model.loss_curve_, other.loss_curve_, rtol=within)


def loop(module, loss=mean, optimiser=SGD, **arguments):
    return looped("words", optimiser, module=module(), loss=loss, arrays=(TOKENS,), **arguments)


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_losses(loss, parts):
    if loss is LOSSES["noisy"]:
        whole = estimator(loss=loss, parallel="pipeline", stages=2, micro_batches=parts, **MOMENTUM)
        other = whole.fit(TOKENS)
    else:
        other = loop(plain, loss, parts=parts)
    model = in_blocks(loss=loss, micro_batches=parts, **MOMENTUM).fit(TOKENS)
    require_near(model, other)


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("arguments", [{}, {"clip": 0.05}])
def test_modules(module, arguments):
    clip = {"clip_norm": arguments["clip"]} if arguments else {}
    model = in_blocks(module, **clip, **DECAY).fit(TOKENS)
    require_near(model, loop(module, optimiser=ADAMW, **arguments), 1e-10)
    if module is Tied:
        assert torch.equal(model.module_.embedding.weight, model.module_.head.weight)


@pytest.mark.parametrize("order", ["1f1b", "gpipe"])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(
    ("blocks", "stages"), [(2, 4), (3, None), (V, ["4"]), (5, ["2", "6"]), (2, 2)]
)
def test_cuts_and_orders(blocks, stages, order, recompute):
    arguments = {"pipeline_order": order, "recompute": recompute, "stages": stages}
    model = in_blocks(output_blocks=blocks, **arguments, **MOMENTUM).fit(TOKENS)
    require_near(model, loop(plain))


def halves(module):
    return [module[:2], module[2:]]


def test_stages_of_a_function():
    """The last of which ends with the output layer, or is it."""
    require_near(in_blocks(stages=halves, **MOMENTUM).fit(TOKENS), loop(plain))
    for stages in (lambda m: [m[0], m[1:6], m[6]], lambda m: [m[:6], m[6:]]):
        require_near(in_blocks(stages=stages, **MOMENTUM).fit(TOKENS), loop(plain))
    require_near(in_blocks(nested, stages=halves, **MOMENTUM).fit(TOKENS), loop(nested))


def test_weights_that_two_stages_and_all_blocks_have():
    class Twice(Tied):
        def __init__(self):
            super().__init__()
            self.again = nn.Linear(8, V, bias=False)
            self.again.weight = self.embedding.weight
            self.into = nn.Linear(V, 8).double()

        def forward(self, ids):
            return self.head(self.body(self.into(self.again(self.embedding(ids)))))

    for clip in (None, 0.05):
        arguments = {"stages": ["again", "body"], "clip_norm": clip, **DECAY}
        model = in_blocks(Twice, output_blocks=3, **arguments).fit(TOKENS)
        require_near(model, loop(Twice, optimiser=ADAMW, clip=clip), 1e-10)


def groups(named):
    """Biases and norms without decay; the output layer at another rate."""
    kinds = {
        "head": [each for name, each in named.items() if name == "6.weight"],
        "flat": [each for name, each in named.items() if each.dim() < 2],
    }
    kinds["rest"] = [each for name, each in named.items() if name != "6.weight" and each.dim() > 1]
    options = {"head": {"lr": 0.02}, "flat": {"weight_decay": 0.0}, "rest": {}}
    return [{"params": params, **options[kind]} for kind, params in kinds.items()]


def test_parameter_groups():
    def made(parameters):
        names = [name for name, _ in plain().named_parameters()]
        return torch.optim.AdamW(groups(dict(zip(names, parameters, strict=True))), lr=0.01)

    model = in_blocks(param_groups=groups).fit(TOKENS)
    require_near(model, loop(plain, optimiser=made), 1e-10)


@pytest.mark.parametrize("trainable", ["6.*", "6.bias", ["0.*", "1.*", "4.*"]])
def test_what_is_not_trained(trainable):
    whole = estimator(parallel="pipeline", stages=2, trainable=trainable, **MOMENTUM).fit(TOKENS)
    model = in_blocks(trainable=trainable, **MOMENTUM).fit(TOKENS)
    require_near(model, whole)
    assert distance(model, loop(plain, epochs=1)) > 1e-4


def test_no_bias():
    def without():
        return plain(bias=False)

    require_near(in_blocks(without, **MOMENTUM).fit(TOKENS), loop(without))


def ids_to_guess(module, ids):
    return cross_entropy(module(ids).flatten(0, 1), ids.flatten())


@pytest.mark.parametrize("n", [1000, slow(32_000)])
def test_many_words(n):
    ids = np.random.default_rng(0).integers(n, size=(16, 8))

    def module():
        torch.manual_seed(1)
        layers = nn.Embedding(n, 16), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, n)
        return nn.Sequential(*layers).double()

    model = in_blocks(module, ids_to_guess, batch_size=BATCH, **DECAY).fit(ids)
    other = looped("words", ADAMW, module=module(), loss=ids_to_guess, arrays=(ids,))
    require_near(model, other, 1e-10)


def test_classifier():
    y = np.digitize(NUMBERS, [-1, 1]) * 10
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    given = {"batch_size": BATCH, "max_epochs": 3, "random_state": 0, "lr": 0.05}
    weight = np.arange(len(ROWS)) % 2 + 1.0
    for w in (None, weight):
        for options in ({}, {"criterion__label_smoothing": 0.1}):
            whole = TorchClassifier(module, accumulate=4, **given, **options).fit(ROWS, y, w)
            model = TorchClassifier(
                module, parallel="pipeline", output_blocks=3, **given, **options
            ).fit(ROWS, y, w)
            assert distance(model, whole) < 1e-12
            assert (model.predict(ROWS) == whole.predict(ROWS)).all()


@pytest.mark.parametrize("module", [plain, Tied])
def test_replicas(module):
    import dask.array as da

    chunks = (20, 13, 17)
    X = da.from_array(TOKENS, chunks=(chunks, 7))
    model = in_blocks(module, parallel="hybrid", sync_every=2, micro_batches=3, **MOMENTUM).fit(X)
    other = Hybrid(
        "words",
        SGD,
        chunks,
        ((0,), (1, 2)),
        batch=6,
        every=2,
        parts=3,
        module=module(),
        loss=mean,
        arrays=(TOKENS,),
    )
    require_near(model, other)


@pytest.mark.parametrize("module", [plain, Tied])
def test_going_on(module, tmp_path):
    three = in_blocks(module, **DECAY).fit(TOKENS)
    model = in_blocks(module, **DECAY)
    for _ in range(3):
        model.partial_fit(TOKENS)
    assert bits(model) == bits(three) and model.n_epochs_ == 3
    save(model, f"file://{tmp_path}/words")
    opened = open_model(f"file://{tmp_path}/words", module=module, loss=mean)
    assert bits(opened) == bits(three)
    # Where the moments go on in one piece, or in other blocks.
    for others in ({"output_blocks": None, "stages": 2}, {"output_blocks": 5}):
        other = in_blocks(module, **DECAY).partial_fit(TOKENS)
        for _ in range(2):
            other.set_params(**others).partial_fit(TOKENS)
        assert distance(other, three) < 1e-10
    warm = in_blocks(module, warm_start=True, max_epochs=1, **MOMENTUM).fit(TOKENS)
    first = bits(warm)
    assert bits(warm.fit(TOKENS)) != first


def test_what_is_said_of_it():
    model = in_blocks(stages=3, output_blocks=3, max_steps=2)
    model.fit(TOKENS)
    assert model.predict(TOKENS).shape == (50, 7, V)
    text = str(model.explain())
    assert "2 stages, 4 micro-batches" in text and "3 blocks of rows" in text
    for i, rows in enumerate(("0:3", "3:7", "7:11")):
        assert f"output {i}" in text and f"6[{rows}]" in text
    assert model.explain()._repr_html_()


def test_it_may_be_begun_by_its_name():
    model = in_blocks(Tied, stages=["head"], **MOMENTUM).fit(TOKENS)
    require_near(model, loop(Tied))


def test_all_words_ignored_is_no_loss():
    def ignored(module, ids):
        return cross_entropy(module(ids).mT, ids * 0 - 100, reduction="sum") + 0.0

    model = in_blocks(loss=ignored, optimizer="sgd").fit(TOKENS)
    assert model.loss_curve_ == [0.0] * 3
    for name, each in plain().state_dict().items():
        assert torch.equal(model.state_dict_[name], each)
