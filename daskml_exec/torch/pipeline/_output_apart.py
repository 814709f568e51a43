"""The output layer taken out of the chain of a module's parts, and looked at with its loss."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from daskml_exec.torch._draws import alone, seed_generator
from daskml_exec.torch._steady import steady
from daskml_exec.torch.pipeline._chain import parts_in_chain
from daskml_exec.torch.pipeline._cut_logits import Answer, CutLogits, Question
from daskml_exec.torch.pipeline._cut_loss import logits_of, loss_of_answer, question_of
from daskml_exec.torch.pipeline._dry_run import Chain
from daskml_exec.torch.pipeline._output import require_blocks
from daskml_exec.torch.pipeline._stage import Part
from daskml_exec.torch.pipeline._stand_in import Caller, loss_after
from daskml_exec.torch.pipeline._trees import passed


def with_output_apart(
    chain: Chain, loss: Callable[..., Any], batch: Any, n_blocks: int, *, seed: int
) -> Chain:
    """Return a chain whose last part is an output layer that can be cut into blocks.

    Parameters
    ----------
    chain : Chain
    loss : callable
    batch : tree of tensors
        That the chain was made by.
    n_blocks : int
    seed : int

    Raises
    ------
    ValueError, TypeError
        The module does not end with such a layer, or its loss does something else with the logits
        than cross-entropy.
    """
    with alone(), steady(torch.device("cpu")):
        seed_generator(seed)
        parts: list[Part] = []
        value: Any = chain.arguments
        rest: Sequence[Part] = chain.parts
        while rest:
            *before, last = rest
            for part in copy.deepcopy(before):
                value = _through(part, value)
            parts += before
            rest = _opened(last, value)
        layer = require_blocks(last.module, last.name, n_blocks)
        if not parts:
            raise ValueError(
                f"output_blocks={n_blocks}, and the module is {last.name!r} alone; allowed are "
                "modules with parts before their output layer"
            )
        _require_same_loss(loss, batch, value, layer, seed)
    return replace(chain, parts=(*parts, last))


def _through(part: Part, value: Any) -> Any:
    module = part.module.train()
    args, kwargs = _arguments(part, value)
    with torch.no_grad():
        return passed(module(*args, **kwargs), part.name).tree


def _arguments(part: Part, value: Any) -> Any:
    return copy.deepcopy(value) if part.index == 0 else ((value,), {})


def _opened(part: Part, value: Any) -> Sequence[Part]:
    """Return the parts of a part that is a chain, and none of another."""
    if isinstance(part.module, nn.Linear):
        return []
    args, kwargs = _arguments(part, value)
    try:
        with torch.no_grad():
            found = parts_in_chain(copy.deepcopy(part.module).train(), args, kwargs)
    except ValueError:  # it is no chain
        return []
    return [
        Part(part.index + i, f"{part.name}.{each.name}", part.module.get_submodule(each.name))
        for i, each in enumerate(found)
        if each.name
    ]


def _require_same_loss(
    loss: Callable[..., Any], batch: Any, vectors: Any, layer: nn.Linear, seed: int
) -> None:
    """Raise unless a loss makes the same of logits in blocks as of those in one place."""

    def logits(answer: Answer) -> CutLogits:
        return logits_of(vectors.shape[:-1], vectors, layer.out_features, answer)

    def drawn(function: Callable[..., Any], *args: Any) -> Any:
        seed_generator(seed)
        return function(loss, copy.deepcopy(batch), *args)

    question: Question = drawn(question_of, logits)
    outputs = functional.linear(vectors, layer.weight.detach(), _detached(layer.bias))
    flat = outputs.reshape(-1, layer.out_features)
    losses = functional.cross_entropy(
        flat[question.tokens],
        question.targets,
        reduction="none",
        label_smoothing=question.smoothing,
    )
    found = drawn(loss_of_answer, logits, losses.requires_grad_())
    plain = drawn(_of_outputs, outputs.requires_grad_())
    pairs = [each if isinstance(each, tuple) else (each,) for each in (found, plain)]
    for one, other in zip(*pairs, strict=True):
        one, other = (torch.as_tensor(each).detach().double() for each in (one, other))
        if not torch.allclose(one, other, rtol=1e-4, equal_nan=True):
            raise ValueError(
                f"loss gives {one.tolist()} of logits in blocks, and {other.tolist()} of those in "
                "one place; allowed with output_blocks are losses that depend on the module's "
                "output by cross_entropy alone"
            )


def _of_outputs(loss: Callable[..., Any], batch: Any, outputs: torch.Tensor) -> Any:
    return loss_after(Caller(loss), batch, lambda: outputs)


def _detached(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else tensor.detach()
