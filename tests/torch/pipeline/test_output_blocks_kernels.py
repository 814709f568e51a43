"""Cross-entropy of classes in blocks is that of all together, for any cut, without Dask."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from daskml_exec.torch.pipeline._cut_logits import CutLogits, Question
from daskml_exec.torch.pipeline._cut_loss import logits_of
from daskml_exec.torch.pipeline._cut_softmax import (
    Block,
    add_gradients,
    gradient_of_hidden,
    joined,
    losses_of,
    normaliser,
    sums_of,
)


def blocks_of(weight, bias, cuts):
    ends = [0, *cuts, len(weight)]
    found = []
    for a, b in itertools.pairwise(ends):
        rows = [
            None if each is None else each.detach()[a:b].clone().requires_grad_()
            for each in (weight, bias)
        ]
        found.append(Block(*rows, a, len(weight)))
    return found


def in_blocks(blocks, hidden, targets, slopes, smoothing):
    """Return losses, and what gradients of hidden vectors come to."""
    with torch.no_grad():
        pairs = [sums_of(each, hidden, targets, smoothing) for each in blocks]
        sums = joined([each for each, _ in pairs])
        losses, norms = losses_of(sums, smoothing, blocks[0].n_outputs), normaliser(sums)
        total = torch.zeros_like(hidden)
        for block, (_, kept) in zip(blocks, pairs, strict=True):
            about = (targets, norms, slopes, smoothing)
            total += gradient_of_hidden(block, kept, *about)
            add_gradients(block, kept, hidden, *about)
    return losses, total


def require_close(found, expected, rtol=1e-12):
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(found, expected, rtol=0, atol=rtol * max(1.0, scale))


@st.composite
def layers(draw):
    n_outputs = draw(st.integers(2, 12))
    cuts = draw(st.lists(st.integers(1, n_outputs - 1), unique=True, min_size=1).map(sorted))
    return {
        "n_outputs": n_outputs,
        "cuts": cuts,
        "n": draw(st.integers(0, 6)),
        "width": draw(st.integers(1, 5)),
        "bias": draw(st.booleans()),
        "smoothing": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "scale": draw(st.sampled_from([1e-3, 1.0, 30.0])),
        "seed": draw(st.integers(0, 2**16)),
    }


def drawn(n_outputs, n, width, bias, scale, seed, **_):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return torch.from_numpy(rng.normal(size=shape))

    hidden = normal(n, width).requires_grad_()
    weight = (scale * normal(n_outputs, width)).requires_grad_()
    shift = (scale * normal(n_outputs)).requires_grad_() if bias else None
    return hidden, weight, shift, torch.from_numpy(rng.integers(n_outputs, size=n)), normal(n)


@given(layers())
def test_any_cut_is_the_whole(layer):
    hidden, weight, bias, targets, slopes = drawn(**layer)
    smoothing = layer["smoothing"]
    logits = functional.linear(hidden, weight, bias)
    losses = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    losses.backward(slopes)
    blocks = blocks_of(weight, bias, layer["cuts"])
    for _ in range(2):  # what comes after the first is added to it
        ours, gradient = in_blocks(blocks, hidden.detach(), targets, slopes, smoothing)
    require_close(ours, losses.detach())
    require_close(gradient, hidden.grad)
    require_close(torch.cat([each.weight.grad for each in blocks]), 2 * weight.grad)
    if bias is not None:
        require_close(torch.cat([each.bias.grad for each in blocks]), 2 * bias.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sign", [-1, 1])
def test_large_logits(dtype, sign):
    hidden = torch.eye(3, dtype=dtype)
    weight = torch.tensor([[1e4, 0, -1e4], [0, 1e4, 0], [-1e4, 0, 0], [9e3, 1, 2]], dtype=dtype)
    weight = (sign * weight).requires_grad_()
    targets = torch.tensor([0, 3, 2])
    expected = functional.cross_entropy(hidden @ weight.T, targets, reduction="none")
    expected.sum().backward()
    blocks = blocks_of(weight, None, [1, 3])
    losses, gradient = in_blocks(blocks, hidden, targets, torch.ones(3, dtype=dtype), 0.0)
    assert losses.isfinite().all() and gradient.isfinite().all()
    within = 1e-12 if dtype == torch.float64 else 1e-6
    require_close(losses, expected.detach(), within)
    require_close(torch.cat([each.weight.grad for each in blocks]), weight.grad, within)


def test_classes_that_cannot_be():
    """A whole block of them, by a bias of minus infinity."""
    hidden, weight, _, _, slopes = drawn(5, 4, 3, False, 1.0, 0)
    bias = torch.tensor([0.5, 1.0, -torch.inf, -torch.inf, -torch.inf]).double()
    targets = torch.tensor([0, 1, 1, 0])
    losses = functional.cross_entropy(
        functional.linear(hidden, weight, bias), targets, reduction="none"
    )
    losses.backward(slopes)
    blocks = blocks_of(weight, bias, [2, 4])
    ours, gradient = in_blocks(blocks, hidden.detach(), targets, slopes, 0.0)
    require_close(ours, losses.detach())
    require_close(gradient, hidden.grad)


def test_no_number_where_plain_losses_are_none():
    hidden, weight, _, targets, slopes = drawn(5, 4, 3, False, 1.0, 0)
    hidden = hidden.detach()
    hidden[1, 0] = torch.nan
    losses, _ = in_blocks(blocks_of(weight, None, [2]), hidden, targets, slopes, 0.0)
    assert losses.isnan().tolist() == [False, True, False, False]


def test_rows_that_are_not_trained():
    hidden, weight, bias, targets, slopes = drawn(5, 4, 3, True, 1.0, 0)
    blocks = blocks_of(weight, bias, [2])
    for each in blocks:
        each.weight.requires_grad_(False)
    in_blocks(blocks, hidden.detach(), targets, slopes, 0.1)
    assert all(each.weight.grad is None and each.bias.grad is not None for each in blocks)


# What stands for logits in losses.

B, T, V, D = 3, 4, 7, 5
WEIGHT = torch.from_numpy(np.random.default_rng(1).normal(size=(V, D)))
HIDDEN = torch.from_numpy(np.random.default_rng(2).normal(size=(B, T, D)))
IDS = torch.from_numpy(np.random.default_rng(3).integers(0, V, size=(B, T)))
IGNORED = torch.where(IDS > 4, -100, IDS)


def answering(question):
    hidden = HIDDEN.reshape(-1, D)[question.tokens]
    return functional.cross_entropy(
        hidden @ WEIGHT.T, question.targets, reduction="none", label_smoothing=question.smoothing
    )


def cut():
    return logits_of(HIDDEN.shape[:-1], HIDDEN, V, answering)


ENTROPY = functional.cross_entropy
LOSSES = {
    "flatten": lambda z, y: ENTROPY(z.flatten(0, 1), y.flatten()),
    "function": lambda z, y: ENTROPY(torch.flatten(z, 0, 1), y.view(-1)),
    "view": lambda z, y: ENTROPY(z.view(-1, V), y.view(-1)),
    "size": lambda z, y: ENTROPY(z.contiguous().view(-1, z.size(-1)), y.reshape(-1)),
    "reshape": lambda z, y: ENTROPY(z.reshape(z.shape[0] * T, -1), y.reshape(-1)),
    "transpose": lambda z, y: ENTROPY(z.transpose(1, 2), y),
    "mT": lambda z, y: ENTROPY(z.mT, y),
    "movedim": lambda z, y: ENTROPY(z.movedim(-1, 1), y),
    "permute": lambda z, y: ENTROPY(z.permute(1, 2, 0), y.T),
    "others first": lambda z, y: ENTROPY(z.transpose(0, 1).reshape(-1, V), y.T.reshape(-1)),
    "index": lambda z, y: ENTROPY(z[:, :-1].flatten(0, 1), y[:, 1:].flatten()),
    "ellipsis": lambda z, y: ENTROPY(z[..., :-1, :].mT, y[..., 1:]),
    "number": lambda z, y: ENTROPY(z[:, -1], y[:, -1]),
    "one token": lambda z, y: ENTROPY(z[1, 2], y[1, 2]),
    "mask": lambda z, y: ENTROPY(z[y > 2], y[y > 2]),
    "numbers": lambda z, y: ENTROPY(z[[2, 0]].mT, y[[2, 0]]),
    "unsqueeze": lambda z, y: ENTROPY(z[0].unsqueeze(0).squeeze(0), y[0]),
    "unflatten": lambda z, y: ENTROPY(z.flatten(0, 1).unflatten(0, (2, 6))[1], y.flatten()[6:]),
    "as it is": lambda z, y: ENTROPY(z.double().to(torch.float64).mT, y),
    "sum": lambda z, y: ENTROPY(z.mT, y, reduction="sum"),
    "none": lambda z, y: ENTROPY(z.mT, y, reduction="none"),
    "smooth": lambda z, y: ENTROPY(z.mT, y, label_smoothing=0.1),
    "ignored": lambda z, y: ENTROPY(z.mT, y, ignore_index=3, label_smoothing=0.2),
    "ignored, none": lambda z, y: ENTROPY(z.mT, IGNORED, reduction="none"),
    "all ignored, sum": lambda z, y: ENTROPY(z.mT, y * 0 - 100, reduction="sum"),
    "criterion": lambda z, y: nn.CrossEntropyLoss(ignore_index=2)(input=z.mT, target=y),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_losses_of_what_stands_for_logits(loss):
    found, expected = loss(cut(), IDS), loss(HIDDEN @ WEIGHT.T, IDS)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_all_ignored():
    assert (
        ENTROPY(cut().mT, IDS * 0 - 100).isnan()
        and ENTROPY((HIDDEN @ WEIGHT.T).mT, IDS * 0 - 100).isnan()
    )


def test_ignored_tokens_are_not_asked_for():
    asked = []

    def ask(question: Question):
        asked.append(question)
        return question.targets.double()

    ENTROPY(logits_of(HIDDEN.shape[:-1], HIDDEN, V, ask)[:, 1:].mT, IGNORED[:, 1:])
    (question,) = asked
    kept = IGNORED[:, 1:].flatten() >= 0
    assert torch.equal(question.targets, IGNORED[:, 1:].flatten()[kept])
    assert torch.equal(question.tokens, torch.arange(12).reshape(3, 4)[:, 1:].flatten()[kept])


def test_what_is_known_of_it():
    logits = cut()
    assert isinstance(logits, torch.Tensor) and isinstance(logits, CutLogits)
    assert logits.shape == (B, T, V) and logits.ndim == logits.dim() == 3 and len(logits) == B
    assert logits.dtype == torch.float64 and logits.device == HIDDEN.device
    assert logits.numel() == B * T * V and logits.is_floating_point()


REFUSED = {
    "log_softmax": lambda z: functional.log_softmax(z, -1),
    "softmax": lambda z: z.softmax(-1),
    "argmax": lambda z: z.argmax(-1),
    "add": lambda z: z + 1,
    "truediv": lambda z: z / 2,
    "mul": lambda z: 2 * z,
    "stack": lambda z: torch.stack([z, z]),
    "eq": lambda z: z == 1,
    "lt": lambda z: z < 1,
    "detach": lambda z: z.detach(),
    "item": lambda z: z.item(),
    "numpy": lambda z: z.numpy(),
    "__repr__": repr,
    "__setitem__": lambda z: z.__setitem__(0, 0.0),
    "half": lambda z: z.half(),
    "grad": lambda z: z.grad,
    "nll_loss": lambda z: functional.nll_loss(z, IDS),
    "float": lambda z: z.float(),
    "to": lambda z: z.to(torch.float32),
    "reshape": lambda z: z.reshape(B, -1),
    "flatten": lambda z: z.flatten(),
    "view": lambda z: z.view(torch.int64),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_is_not_for(name):
    with pytest.raises(TypeError, match=rf"loss calls {name} of the module's output.*allowed are"):
        REFUSED[name](cut())


@pytest.mark.parametrize("index", [(..., 0), (0, 0, slice(2)), (..., [1, 2]), (..., None)])
def test_an_index_of_its_classes(index):
    with pytest.raises(TypeError, match=r"loss indexes the module's output by .*allowed are"):
        cut()[index]


def test_what_cross_entropy_does_not_go_with():
    with pytest.raises(ValueError, match=r"cross_entropy with weight= .* allowed is weight=None"):
        ENTROPY(cut().mT, IDS, weight=torch.ones(V))
    with pytest.raises(ValueError, match=r"cross_entropy with targets of torch.float64.*classes"):
        ENTROPY(cut().mT, torch.zeros(B, V, T, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"logits of shape \(3, 4, 7\), whose axis 2 is .*axis 1"):
        ENTROPY(cut(), IDS)
    with pytest.raises(ValueError, match=r"targets of shape \(3, 3\); allowed .* \(3, 4\)"):
        ENTROPY(cut().mT, IDS[:, 1:])
    with pytest.raises(TypeError, match="loss calls cross_entropy of"):
        ENTROPY(HIDDEN, cut())


@pytest.mark.parametrize("wrong", [-1, V, 50])
def test_targets_out_of_range_are_named_as_by_pytorch(wrong):
    ids = IDS.clone()
    ids[1, 1] = wrong
    said = []
    for logits in (cut(), HIDDEN @ WEIGHT.T):
        with pytest.raises(IndexError) as error:
            ENTROPY(logits.mT, ids)
        said.append(str(error.value))
    assert said[0] == said[1]
