"""The module that training begins with, built and tried on two samples before anything is sent."""

import copy
import fnmatch
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from daskml_exec.torch._arguments import require_options
from daskml_exec.torch._draws import alone, drawn_since, generator_state, seed_generator
from daskml_exec.torch._flops import products_counted
from daskml_exec.torch._hints import called, hint
from daskml_exec.torch._layout import (
    Layout,
    Slots,
    counters_of,
    give_shapes,
    require_layout,
    require_trainable,
    statistics_of,
    trainable_parameters,
)
from daskml_exec.torch._optimisers import MakeOptimiser, remembered_slots
from daskml_exec.torch._picklable import attribute_of, cannot_travel
from daskml_exec.torch._steps import checked_loss

Trainable = Sequence[str] | Callable[[str], bool] | None


def built(
    module: Any, options: Mapping[str, Any], known: Mapping[str, int], *, seed: int
) -> nn.Module:
    """Return a new module: what the callable returns, or a copy of the instance.

    Parameters
    ----------
    module : nn.Module or callable
    options : mapping
        What a callable is called with.
    known : mapping of str to int
        What it is called with, too, where it has parameters of these names, as ``n_features``.
    seed : int
        Of the weights that it draws; torch's generator is left as it was.

    Raises
    ------
    TypeError
        It returns no module, or an instance is given with options.
    """
    if isinstance(module, nn.Module):
        if options:
            raise TypeError(
                f"module is an instance of {type(module).__name__}, and {_options(options)} "
                "given beside it; allowed are they beside a class or another callable"
            )
        return copied(module).to("cpu")
    if not callable(module):
        raise TypeError(
            f"{module=}; allowed are a class of torch.nn.Module, another callable that returns a "
            "module, and a module, which is copied"
        )
    require_options(module, options, "module")
    with alone():
        seed_generator(seed)
        made = module(**_asked_for(module, known, options), **options)
    if not isinstance(made, nn.Module):
        raise TypeError(
            f"module returned a {type(made).__name__}; allowed are callables that return a "
            "torch.nn.Module"
        )
    return made.to("cpu")


def copied(module: nn.Module) -> nn.Module:
    """Return a deep copy.

    Raises
    ------
    TypeError
        An attribute cannot be copied, and so could not travel.
    """
    try:
        if _is_lazy(module):  # torch copies no buffers that have no shape yet
            made: nn.Module = cloudpickle.loads(cloudpickle.dumps(module))
            return made
        return copy.deepcopy(module)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise cannot_travel(f"module{attribute_of(module)}", why) from error


def _is_lazy(module: nn.Module) -> bool:
    return any(is_lazy(each) for each in (*module.parameters(), *module.buffers()))


def _options(options: Mapping[str, Any]) -> str:
    names = ", ".join(f"module__{name}" for name in options)
    return f"{names} {'is' if len(options) == 1 else 'are'}"


def _asked_for(module: Any, known: Mapping[str, int], options: Mapping[str, Any]) -> dict[str, int]:
    try:
        parameters = inspect.signature(module).parameters
    except (TypeError, ValueError):  # of builtins
        return {}
    return {
        name: value for name, value in known.items() if name in parameters and name not in options
    }


def freeze(module: nn.Module, trainable: Trainable) -> None:
    """Let only those parameters have gradients that are asked for.

    Raises
    ------
    ValueError
        A pattern names no parameter.
    """
    if trainable is None:
        return
    names = [name for name, _ in module.named_parameters()]
    if callable(trainable):
        chosen = {name for name in names if trainable(name)}
    else:
        patterns = [trainable] if isinstance(trainable, str) else list(trainable)
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise ValueError(
                    f"trainable has {pattern!r}, which no parameter is called like; there are "
                    f"{', '.join(names[:20])}"
                )
        chosen = {name for pattern in patterns for name in fnmatch.filter(names, pattern)}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name in chosen)


def built_again(
    module: Any,
    options: Mapping[str, Any],
    known: Mapping[str, int],
    layout: Layout,
    trainable: Trainable,
) -> nn.Module:
    """Return a new module for weights that were trained.

    Parameters
    ----------
    module, options, known
        As of `built`.
    layout : Layout
        Of the weights.
    trainable
        As of `freeze`.

    Raises
    ------
    ValueError
        It has tensors of other names or shapes.
    """
    made = built(module, options, known, seed=0)
    give_shapes(made, layout)
    freeze(made, trainable)
    require_layout(made, layout)
    return made


def materialise(module: nn.Module, loss: Callable[..., Any], batch: Any, *, seed: int) -> None:
    """Give lazy parameters the shapes that a batch needs."""
    if not _is_lazy(module):
        return
    module.eval()  # statistics are to begin as they are
    with alone(), torch.no_grad():
        seed_generator(seed)
        loss(module, batch)


@dataclass(frozen=True)
class Tried:
    """What a step on two samples has shown.

    Attributes
    ----------
    layout : Layout
    draws : bool
        Whether it draws random numbers.
    flops : float
        Of a step, for each sample, as of `products_counted`.
    """

    layout: Layout
    draws: bool
    flops: float


def tried(
    module: nn.Module, loss: Callable[..., Any], batch: Any, n: int, optimiser: MakeOptimiser
) -> Tried:
    """Take a step with copies, and return what it shows.

    Raises
    ------
    ValueError
        The module cannot be trained, or its loss is none.
    """
    trainable = trainable_parameters(module)
    dtype = require_trainable(module, list(trainable.items()))
    other = copied(module).train()
    with alone():
        before = generator_state()
        try:
            with products_counted(other) as products:
                found = called("loss(module, batch)", loss, other, copy.deepcopy(batch))
        except Exception as error:
            error.add_note(
                f"loss(module, batch) raised this on {n} sample{'s' * (n != 1)}, before training "
                f"began; batch is {described(batch)}"
            )
            if said := hint(error, other, n):
                error.add_note(said)
            raise
        draws = drawn_since(before)
        checked_loss(found, n)
    try:
        moments, scalars = remembered_slots(copied(module), optimiser)
    except RuntimeError as error:
        if said := hint(error, module, n):
            error.add_note(said)
        raise
    layout = Layout(
        Slots.of(trainable.items()),
        Slots.of(statistics_of(module).items()),
        Slots.of(counters_of(module).items()),
        moments,
        scalars,
        dtype,
    )
    return Tried(layout, draws, products.flops / n)


def try_scores(module: nn.Module, scores: Callable[..., Any], batch: Any, n: int) -> None:
    """Score a copy in eval mode, as samples held out are.

    Raises
    ------
    ValueError
        The scores are none.
    """
    with alone(), torch.no_grad():
        try:
            scores(copied(module).eval(), copy.deepcopy(batch), n)
        except Exception as error:
            error.add_note(
                f"scores(module, batch) raised this on {n} sample{'s' * (n != 1)}, before training "
                f"began; batch is {described(batch)}"
            )
            raise


def described(tree: Any) -> str:
    """Return a tree of tensors or arrays in words: dtypes and shapes."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{name!r}: {described(each)}" for name, each in tree.items()) + "}"
    if isinstance(tree, tuple):
        return f"({', '.join(described(each) for each in tree)})"
    return f"{str(tree.dtype).removeprefix('torch.')}{list(tree.shape)}"
