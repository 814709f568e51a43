"""What cannot be cut into blocks of the output layer is refused, in words."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from daskml_exec import Executor
from daskml_exec.torch import DivergenceError
from tests.torch.pipeline.cut_modules import TOKENS
from tests.torch.pipeline.worded_modules import WIDTH, V, estimator, in_blocks, mean, plain


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def refused(message, *, module=plain, loss=mean, error=ValueError, X=TOKENS, **arguments):
    """Require that a fit is refused, and leaves nothing behind."""
    model = in_blocks(module, loss, **arguments)
    with pytest.raises(error, match=message):
        model.fit(X)
    assert not hasattr(model, "module_")


@pytest.mark.parametrize("blocks", [1, 0, -2, 2.0, "2", True])
def test_numbers_of_blocks(blocks):
    refused("The 'output_blocks' parameter .* must be", output_blocks=blocks)


def test_more_blocks_than_outputs():
    refused("output_blocks=12, and '6', the last .*, has 11 outputs; allowed", output_blocks=12)


def test_not_with_data():
    message = "output_blocks=2 with parallel='data'.*allowed are output_blocks=None, and parallel="
    refused(message, parallel="data")


@pytest.mark.parametrize("amp", ["bfloat16", "float16"])
def test_shorter_numbers(amp):
    refused(f"amp='{amp}' with output_blocks=2: .*; allowed .* is amp=None", amp=amp)


def test_samples_held_out():
    message = "validation_fraction=0.2 with output_blocks=2: .*; allowed .* validation_fraction=0"
    refused(message, validation_fraction=0.2)


class Scaled(nn.Linear):
    def forward(self, given):
        return super().forward(given) / 2


def hooked():
    module = plain()
    module[-1].register_forward_hook(lambda *_: None)
    return module


def normed():
    module = plain()
    parametrizations.weight_norm(module[-1])
    return module


class Skips(nn.Module):
    """Ends with an output layer, and adds something to its logits."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(WIDTH, V).double()

    def forward(self, hidden):
        return self.out(hidden) + 1


ENDS = {
    "softmax": (lambda: plain().append(nn.LogSoftmax(-1)), "ends with '7', .*: LogSoftmax"),
    "dropout": (lambda: plain().append(nn.Dropout(0.1)), "ends with '7', .*: Dropout"),
    "subclass": (lambda: plain()[:6].append(Scaled(WIDTH, V).double()), "'6', .* Scaled"),
    "hooks": (hooked, "'6', the last part of the module, has hooks"),
    "parametrised": (normed, "ends with '6', .*ParametrizedLinear"),
    "more after": (lambda: plain()[:6].append(Skips()), "ends with '6', .*: Skips"),
    "alone": (lambda: nn.Sequential(nn.Linear(7, V).double()), "is '0' alone"),
}


def of_rows(module, ids):
    return functional.cross_entropy(module(ids.double()), ids[:, 0])


@pytest.mark.parametrize(("module", "message"), ENDS.values(), ids=ENDS)
def test_what_modules_end_with(module, message):
    loss = of_rows if "alone" in message else mean
    refused(message + ".*; allowed", module=module, loss=loss)


STAGES = {
    "one": (1, "stages=1 with parallel='pipeline'; allowed are a number from 2"),
    "many": (8, "stages=8 with output_blocks, and the module has 6 parts before .*; allowed"),
    "unknown": (["six"], "stages has 'six', which no part is called like"),
}


@pytest.mark.parametrize(("stages", "message"), STAGES.values(), ids=STAGES)
def test_stages(stages, message):
    refused(message, stages=stages)


def entropy(change):
    def loss(module, ids):
        return functional.cross_entropy(change(module(ids)).flatten(0, 1), ids.flatten())

    return loss


def guessing(module, ids):
    logits = module(ids)
    right = (logits.argmax(-1) == ids).double().mean()
    return functional.cross_entropy(logits.mT, ids) + 0 * right


LOSSES = {
    "log_softmax": lambda m, ids: functional.nll_loss(functional.log_softmax(m(ids), -1).mT, ids),
    "softmax": lambda m, ids: m(ids).softmax(-1).mean(),
    "mean": lambda m, ids: m(ids).mean(),
    "div": entropy(lambda logits: torch.div(logits, 2)),
    "truediv": entropy(lambda logits: logits / 2),
    "masked_fill": entropy(lambda logits: logits.masked_fill(logits > 3, 0)),
    "clamp": entropy(lambda logits: logits.clamp(-9, 9)),
    "argmax": guessing,
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_use_logits_otherwise(name):
    called = "gt" if name == "masked_fill" else name
    refused(
        f"loss calls {called} of the module's output; .*allowed are .*cross_entropy",
        loss=LOSSES[name],
        error=TypeError,
    )


def unused(module, ids):
    module(ids)
    return functional.cross_entropy(torch.zeros(2, V, requires_grad=True), ids[:2, 0])


def twice(module, ids):
    logits = module(ids).mT
    return functional.cross_entropy(logits, ids) + functional.cross_entropy(logits, ids.flip(1))


def weighing(module, ids):
    weight = torch.ones(V, dtype=torch.float64)
    return functional.cross_entropy(module(ids).mT, ids, weight=weight)


def probabilities(module, ids):
    wanted = functional.one_hot(ids, V).double()
    return functional.cross_entropy(module(ids).flatten(0, 1), wanted.flatten(0, 1))


def looking(module, ids):
    """Does something else with what has no numbers."""
    logits = module(ids)
    factor = 2 if type(logits) is torch.Tensor else 1
    return functional.cross_entropy(logits.mT, ids) * factor


ODD = {
    unused: "loss does not compute cross_entropy of the module's output; .*allowed",
    twice: "loss computes cross_entropy of the module's output more than once; .*allowed",
    weighing: "cross_entropy with weight= of the module's output; .*allowed is weight=None",
    probabilities: "with targets of torch.float64, which are probabilities .*allowed are classes",
    looking: "loss gives .* of logits in blocks, and .* of those in one place; allowed",
}


@pytest.mark.parametrize("loss", ODD, ids=lambda loss: loss.__name__)
def test_odd_losses(loss):
    refused(ODD[loss], loss=loss)


def test_a_criterion_that_weighs_classes():
    from daskml_exec.torch import TorchClassifier

    y = TOKENS[:, 0] % 3
    module = nn.Sequential(nn.Linear(7, 4), nn.Linear(4, 3)).double()
    criterion = nn.CrossEntropyLoss(weight=torch.ones(3).double())
    model = TorchClassifier(module, criterion=criterion, parallel="pipeline", output_blocks=2)
    with pytest.raises(ValueError, match=r"weight= of the module's output.*allowed is weight=None"):
        model.fit(TOKENS.astype(float), y)


def ids_to_guess(module, ids):
    return functional.cross_entropy(module(ids % V).flatten(0, 1), ids.flatten())


@pytest.mark.parametrize("at", [0, 49])
@pytest.mark.parametrize("wrong", [V, -1])
def test_targets_out_of_range(at, wrong):
    """Among the first samples, which are tried, and later; as without blocks."""
    X = TOKENS.copy()
    X[at, 3] = wrong
    said = []
    for model in (in_blocks(loss=ids_to_guess), estimator(loss=ids_to_guess)):
        with pytest.raises(IndexError, match=rf"Target {wrong} is out of bounds") as error:
            model.fit(X)
        said.append(str(error.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["adafactor", "muon"])
def test_optimisers_that_look_at_whole_matrices(name):
    if name not in {each.lower() for each in vars(torch.optim)}:
        pytest.skip(f"this PyTorch has no {name}")
    refused(
        "something else than of its rows, and '5' is cut by rows: .*allowed",
        module=lambda: plain(bias=False)[:-2].append(nn.Linear(WIDTH, V, bias=False).double()),
        optimizer=name,
        trainable="*.weight",
    )


def test_a_loss_that_grows_without_bounds():
    model = in_blocks(optimizer="sgd", lr=1e300)
    with pytest.raises(DivergenceError, match="the loss is nan in step 1"):
        model.fit(TOKENS)


def test_no_number_in_the_data():
    def loss(module, batch):
        return functional.cross_entropy(module(batch["x"]), batch["y"])

    x = np.random.default_rng(0).normal(size=(50, 4))
    x[30, 2] = np.nan
    module = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)).double()
    model = in_blocks(module, loss, max_epochs=1)
    with pytest.raises(ValueError, match=r"nan|not finite|NaN"):
        model.fit({"x": x, "y": np.zeros(50, np.int64)})
