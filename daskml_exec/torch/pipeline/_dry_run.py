"""What a batch shows of a module before anything is sent: its parts, and what they take."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from daskml_exec.torch._draws import alone, seed_generator
from daskml_exec.torch._steady import steady
from daskml_exec.torch.pipeline._chain import CHAINS_ALLOWED, parts_in_chain
from daskml_exec.torch.pipeline._cut import Cost
from daskml_exec.torch.pipeline._same import Seen, seen_in_parts
from daskml_exec.torch.pipeline._stage import Part
from daskml_exec.torch.pipeline._stand_in import Caller, arguments_of, loss_after
from daskml_exec.torch.pipeline._trees import passed

_REPEATS = 2


@dataclass(frozen=True)
class Chain:
    """The parts of a module, and what a batch has shown of them.

    Attributes
    ----------
    parts : tuple of Part
    changing : tuple of str
        Buffers that a step changes, as statistics, whether they are saved or not.
    arguments : tuple
        What the loss calls the module with.
    who : str
        What the parts are, for errors.
    """

    parts: tuple[Part, ...]
    changing: tuple[str, ...]
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    who: str


def chain_of_parts(
    module: nn.Module, loss: Callable[..., Any], batch: Any, function: Any, *, seed: int
) -> Chain:
    """Return the parts of a module, by a batch that goes through copies of them.

    Parameters
    ----------
    module : nn.Module
    loss : callable
    batch : tree of tensors
    function : callable or None
        Returns the stages of the module, which are the parts then; None for its children.
    seed : int

    Raises
    ------
    ValueError, TypeError
        The module cannot be cut, or its loss does not call it once.
    """
    with alone(), steady(torch.device("cpu")):
        seed_generator(seed)
        args, kwargs = arguments_of(Caller(loss), copy.deepcopy(batch))
        if function is None:
            parts = parts_in_chain(copy.deepcopy(module).train(), *copy.deepcopy((args, kwargs)))
            parts = [replace(each, module=module.get_submodule(each.name)) for each in parts]
            who = f"module={type(module).__name__} does something between its children, which alone"
            allowed = CHAINS_ALLOWED
        else:
            parts = _given(function, module)
            who = "stages(module) returned stages that"
            allowed = "allowed are stages that are the module together"
        seen = seen_in_parts(module, parts, (args, kwargs), seed=seed, who=who, allowed=allowed)
        loss_after(Caller(loss), copy.deepcopy(batch), lambda: seen.output)
        _require_frozen(module, seen)
    are = "the children of the module" if function is None else "the stages of stages(module)"
    return Chain(tuple(parts), tuple(seen.changed), (args, kwargs), are)


def _given(function: Callable[[nn.Module], Any], module: nn.Module) -> list[Part]:
    found = function(module)
    allowed = "allowed is a list of two modules at least, of which each gets what the last returns"
    if not isinstance(found, Sequence) or not all(isinstance(each, nn.Module) for each in found):
        kinds = (
            f"a list with {', '.join(sorted({type(each).__name__ for each in found}))}"
            if isinstance(found, Sequence) and not isinstance(found, str)
            else f"a {type(found).__name__}"
        )
        raise TypeError(f"stages(module) returned {kinds}; {allowed}")
    if len(found) < 2:
        raise ValueError(f"stages(module) returned {len(found)} of them; {allowed}")
    known = {id(each) for each in (*module.parameters(), *module.buffers())}
    for i, part in enumerate(found):
        for name, tensor in (*part.named_parameters(), *part.named_buffers()):
            if id(tensor) not in known:
                raise ValueError(
                    f"stages(module) returned a stage {i} with {name!r}, which is no parameter or "
                    "buffer of the module, and could not come back to it; allowed are stages that "
                    "have the module's own"
                )
    has = {id(each) for part in found for each in part.parameters()}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and id(parameter) not in has:
            raise ValueError(
                f"stages(module) returned stages without {name!r}, which is trained; allowed are "
                "stages that have all parameters of the module together"
            )
    return [Part(i, f"stages[{i}]", each) for i, each in enumerate(found)]


def _require_frozen(module: nn.Module, seen: Seen) -> None:
    for name, _ in module.named_parameters():
        if name in seen.changed:
            raise ValueError(
                f"the module changes its parameter {name!r} in a step, and requires no gradient of "
                "it; in stages allowed are buffers for what is changed untrained"
            )


def costs_of(chain: Chain) -> list[Cost]:
    """Return what each part takes, by going through copies of all, forwards and backwards."""
    copies = copy.deepcopy(chain.parts)
    with alone(), steady(torch.device("cpu")):
        times = [_times(copies, copy.deepcopy(chain.arguments)) for _ in range(_REPEATS)]
    return [
        Cost(1e3 * min(seconds), nbytes_of(part.module))
        for part, seconds in zip(copies, zip(*times, strict=True), strict=True)
    ]


def _times(parts: Sequence[Part], arguments: Any) -> list[float]:
    found = []
    value = arguments
    for part in parts:
        _, entered = passed(value, part.name).entered()
        started = time.perf_counter()
        if part is parts[0]:
            args, kwargs = entered
            out = part.module(*args, **kwargs)
        else:
            out = part.module(entered)
        given = passed(out, part.name)
        ends = [each for each in given.tensors if each.requires_grad]
        if ends:
            torch.autograd.backward(ends, [torch.ones_like(each) for each in ends])
        found.append(time.perf_counter() - started)
        value = given.tree
    return found


def nbytes_of(module: nn.Module) -> int:
    """Return the bytes of a module's parameters and buffers."""
    tensors = {id(each): each for each in (*module.parameters(), *module.buffers())}
    return sum(each.nbytes for each in tensors.values())
