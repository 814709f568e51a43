"""A module as a chain of parts: what calls its children one after the other can be cut there."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from daskml_exec.torch.pipeline._stage import Part

CHAINS_ALLOWED = (
    "allowed are nn.Sequential, a module that calls its children one after the other, and "
    "stages=function(module) that returns the stages"
)


def parts_in_chain(module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Part]:
    """Return the parts of a module, of which each gets what the one before returns.

    Parameters
    ----------
    module : nn.Module
    args, kwargs
        What it is called with, to see in which order it calls its children.

    Raises
    ------
    ValueError
        It does something else with what its children return, or does not call each once.
    """
    named = _children_of(module, "") if _is_sequential(module) else _called(module, args, kwargs)
    return [Part(i, name, each) for i, (name, each) in enumerate(named)]


def _is_sequential(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _children_of(module: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    """Return what a module is a chain of, in all depths: itself where it is no `nn.Sequential`."""
    hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
    if not _is_sequential(module) or hooked or not len(list(module.children())):
        return [(name, module)]
    return [
        found
        for key, child in module._modules.items()
        if child is not None
        for found in _children_of(child, f"{name}.{key}" if name else key)
    ]


def _called(
    module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]
) -> list[tuple[str, nn.Module]]:
    calls: list[tuple[str, nn.Module, Any, Any, Any]] = []

    def noting(name: str) -> Any:
        def note(child: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            calls.append((name, child, args, kwargs, output))

        return note

    handles = [
        child.register_forward_hook(noting(name), with_kwargs=True)
        for name, child in module.named_children()
    ]
    try:
        with torch.no_grad():
            output = module(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    why = _why_no_chain(calls, args, kwargs, output)
    if why:
        raise ValueError(
            f"module={type(module).__name__} cannot be cut between its children: {why}; "
            f"{CHAINS_ALLOWED}"
        )
    return [found for name, child, *_ in calls for found in _children_of(child, name)]


def _why_no_chain(calls: Sequence[Any], args: Any, kwargs: Any, output: Any) -> str:
    if not calls:
        return "it calls none"
    names = [name for name, *_ in calls]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        return f"it calls {twice!r} more than once"
    _, _, first_args, first_kwargs, _ = calls[0]
    as_given = len(first_args) == len(args) and all(
        a is b for a, b in zip(first_args, args, strict=True)
    )
    if not as_given or {k: id(v) for k, v in first_kwargs.items()} != {
        k: id(v) for k, v in kwargs.items()
    }:
        return f"{names[0]!r} gets something else than the module does"
    for (before, *_, made), (name, _, got, named, _) in itertools.pairwise(calls):
        if named or len(got) != 1 or got[0] is not made:
            return f"{name!r} gets something else than {before!r} returns"
    if output is not calls[-1][-1]:
        return f"it returns something else than {names[-1]!r} does"
    return ""
