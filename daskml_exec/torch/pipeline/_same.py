"""Whether parts of a module, one after the other, do what the whole module does.

Both go through in training, on copies and with the same draws, which parts take in the same order.
"""

import copy
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from daskml_exec.torch._draws import seed_generator
from daskml_exec.torch._layout import trainable_parameters
from daskml_exec.torch.pipeline._guard import tried
from daskml_exec.torch.pipeline._stage import Part
from daskml_exec.torch.pipeline._trees import passed

_Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Seen:
    """What a way forwards has shown.

    Attributes
    ----------
    output : object
    changed : mapping of str to tensor
        Buffers and frozen parameters that have other values now, by their names in the module.
    """

    output: Any
    changed: _Tensors


def seen_in_parts(
    module: nn.Module,
    parts: Sequence[Part],
    arguments: Any,
    *,
    seed: int,
    who: str,
    allowed: str,
) -> Seen:
    """Return what parts of a module have shown, which is what the module shows.

    Parameters
    ----------
    module : nn.Module
    parts : sequence of Part
    arguments : tuple
        What the module is called with: positional arguments and keywords.
    seed : int
    who : str
        What has done wrong if they differ, for an error.
    allowed : str
        What is allowed, for an error.

    Raises
    ------
    ValueError
        They give something else, leave other buffers, or lack a parameter that is trained.
    """
    # A module may draw from these, too; they are not seeded, as others in this process use them.
    states = random.getstate(), np.random.get_state()
    whole = _of_whole(module, parts, arguments, seed, f"; {allowed}")
    random.setstate(states[0])
    np.random.set_state(states[1])
    found = _of_parts(module, parts, arguments, seed)
    rule = f", where each gets what the one before returns; {allowed}"
    if not _same(whole.output, found.output):
        raise ValueError(f"{who} give another output than the module{rule}")
    for name in {**whole.changed, **found.changed}:
        one, other = whole.changed.get(name), found.changed.get(name)
        if one is None or other is None or not _close(one, other):
            raise ValueError(f"{who} leave other values in {name!r} than the module{rule}")
    return found


def output_in_eval(
    module: nn.Module, parts: Sequence[Part], arguments: Any, *, seed: int, who: str
) -> Any:
    """Return what parts of a module give in eval mode, which is what the module gives.

    Parameters
    ----------
    module, parts, arguments, seed
        As of `seen_in_parts`.
    who : str
        What has done wrong if they differ, for an error.

    Raises
    ------
    ValueError
        They give something else.
    """
    other = copy.deepcopy(module).eval()
    expected = _drawing(seed, lambda args, kwargs: other(*args, **kwargs), arguments)
    other, copies = copy.deepcopy((module, parts))
    other.eval()
    for part in copies:
        part.module.eval()
    output = _drawing(seed, lambda args, kwargs: _through(copies, args, kwargs), arguments)
    if not _same(expected, output):
        raise ValueError(
            f"{who} give another output in eval mode than the module, with which samples held out "
            "are scored; allowed are stages that are the module together in eval mode, too, and "
            "validation_fraction=0.0"
        )
    return output


def _same(one: Any, other: Any) -> bool:
    """Return whether two outputs have one form, and nearly the same numbers."""
    ours, theirs = passed(one, "the module"), passed(other, "the module")
    return ours.form == theirs.form and all(map(_close, ours.tensors, theirs.tensors))


def _close(one: torch.Tensor, other: torch.Tensor, **within: float) -> bool:
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and torch.allclose(one, other, **within, equal_nan=True)


def _of_whole(
    module: nn.Module, parts: Sequence[Part], arguments: Any, seed: int, rule: str
) -> Seen:
    other = copy.deepcopy(module).train()
    with tried(other):
        output = _drawing(seed, lambda args, kwargs: other(*args, **kwargs), arguments)
    _require_parameters(module, other, parts, output, rule)
    return Seen(output, _changed(module, _fixed(other)))


def _require_parameters(
    module: nn.Module, used: nn.Module, parts: Sequence[Part], output: Any, rule: str
) -> None:
    """Raise ValueError if a parameter has a gradient and no part has it.

    It may be without effect on the output so far, as one that begins with zeros.
    """
    has = {id(each) for part in parts for each in part.module.parameters()}
    left = [name for name, each in trainable_parameters(module).items() if id(each) not in has]
    ends = [each for each in passed(output, "the module").tensors if each.requires_grad]
    if not left or not ends:
        return
    gradients = torch.autograd.grad(
        ends,
        [used.get_parameter(name) for name in left],
        [torch.ones_like(each) for each in ends],
        allow_unused=True,
    )
    for name, gradient in zip(left, gradients, strict=True):
        if gradient is not None:
            raise ValueError(
                f"the module has {name!r}, which is trained, and is in no child that it calls{rule}"
            )


def _of_parts(module: nn.Module, parts: Sequence[Part], arguments: Any, seed: int) -> Seen:
    other, copies = copy.deepcopy((module, parts))
    other.train()
    names = {id(each): name for name, each in other.named_buffers()}
    # A part may put another tensor in a buffer's place, which the module need not see.
    places = [
        (names[id(buffer)], owner, key)
        for part in copies
        for owner in part.module.modules()
        for key, buffer in owner._buffers.items()
        if id(buffer) in names
    ]
    output = _drawing(seed, lambda args, kwargs: _through(copies, args, kwargs), arguments)
    there = {name: owner._buffers[key] for name, owner, key in places}
    kept = _fixed(other) | {name: each for name, each in there.items() if each is not None}
    return Seen(output, _changed(module, kept))


def _drawing(seed: int, function: Callable[..., Any], arguments: Any) -> Any:
    seed_generator(seed)
    args, kwargs = copy.deepcopy(arguments)
    return function(args, kwargs)


def _through(parts: Sequence[Part], args: Any, kwargs: Any) -> Any:
    value = parts[0].module(*args, **kwargs)
    for before, part in itertools.pairwise(parts):
        value = part.module(passed(value, before.name).tree)
    return value


def _fixed(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return all that no optimiser changes, whether it is saved or not."""
    frozen = {name: each for name, each in module.named_parameters() if not each.requires_grad}
    return dict(module.named_buffers()) | frozen


def _changed(before: nn.Module, now: _Tensors) -> dict[str, torch.Tensor]:
    old = _fixed(before)
    return {
        name: each.detach()
        for name, each in now.items()
        if name not in old or not _close(each, old[name], rtol=0, atol=0)
    }
