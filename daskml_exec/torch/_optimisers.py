"""Optimisers by name or by a function of the parameters, and what they remember."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from daskml_exec.torch._arguments import require_options
from daskml_exec.torch._hints import called
from daskml_exec.torch._layout import Slots, optimiser_slots, trainable_parameters

ParamGroups = Callable[[dict[str, nn.Parameter]], list[dict[str, Any]]]
"""Takes the trainable parameters by name; returns torch's groups, as ``[{"params": [...]}]``."""


def optimiser_names() -> dict[str, type[torch.optim.Optimizer]]:
    """Return torch's optimisers, without closures and all in tensors, by names in lower case."""
    return {
        name.lower(): each
        for name, each in vars(torch.optim).items()
        if inspect.isclass(each)
        and issubclass(each, torch.optim.Optimizer)
        and name not in ("Optimizer", "LBFGS", "SparseAdam")
    }


@dataclass(frozen=True)
class MakeOptimiser:
    """Makes an optimiser for a module.

    Attributes
    ----------
    make : callable
        ``make(params, lr=...)`` returns a `torch.optim.Optimizer`.
    lr : float
    options : mapping
        What else it is called with.
    groups : callable or None
        As `ParamGroups`.
    """

    make: Callable[..., torch.optim.Optimizer]
    lr: float
    options: Mapping[str, Any]
    groups: ParamGroups | None

    @property
    def name(self) -> str:
        """Of its class, or of the function that makes it."""
        return getattr(self.make, "__name__", type(self.make).__name__)

    def __call__(self, module: nn.Module) -> torch.optim.Optimizer:
        """Return an optimiser of the module's trainable parameters."""
        named = trainable_parameters(module)
        params: Any = list(named.values())
        if self.groups is not None:
            params = called("param_groups(parameters)", self.groups, named)
            _require_each_once(params, named)
        options = "".join(f", {name}=..." for name in self.options)
        how = f"optimizer(params, lr=...{options})"
        optimiser = called(how, self.make, params, lr=self.lr, **self.options)
        if not isinstance(optimiser, torch.optim.Optimizer):
            raise TypeError(
                f"optimizer returned a {type(optimiser).__name__}; allowed is a "
                "torch.optim.Optimizer"
            )
        return optimiser


def optimiser_of(
    optimizer: Any, lr: float, options: Mapping[str, Any], groups: ParamGroups | None
) -> MakeOptimiser:
    """Return what makes the optimiser that these arguments name.

    Raises
    ------
    ValueError
        There is none of that name, or it needs to call the loss several times a step.
    """
    known = optimiser_names()
    name = optimizer.lower().replace("_", "") if isinstance(optimizer, str) else None
    make = known.get(name, optimizer) if name is not None else optimizer
    if getattr(make, "__name__", name) in ("LBFGS", "lbfgs"):
        raise ValueError(
            f"optimizer={optimizer!r} calls the loss several times in a step, and remembers more "
            f"than tensors; allowed are {', '.join(known)}, and callables of (params, lr=...)"
        )
    if not callable(make):
        raise ValueError(
            f"optimizer={optimizer!r}; allowed are {', '.join(known)}, and callables of "
            "(params, lr=...) that return a torch.optim.Optimizer"
        )
    require_options(make, options, "optimizer", ("params", "lr"))
    options = dict(options)
    chosen = {"fused", "foreach", "capturable", "differentiable"} & options.keys()
    if make in (torch.optim.Adam, torch.optim.AdamW) and not chosen:
        # One pass over memory, where torch's own default loops; the same bits on every run.
        options["fused"] = True
    return MakeOptimiser(make, lr, options, groups)


def remembered_slots(module: nn.Module, make: MakeOptimiser) -> tuple[Slots, Slots]:
    """Return the moments and scalars of an optimiser, by a step of it with gradients of zero.

    The module is a copy that may be changed.
    """
    optimiser = make(module)
    give_zero_gradients(module)
    optimiser.step()
    return optimiser_slots(trainable_parameters(module), optimiser)


def give_zero_gradients(module: nn.Module) -> None:
    """Give trainable parameters gradients of zero, of the kind that their module gives them."""
    sparse = _sparse_parameters(module)
    for parameter in trainable_parameters(module).values():
        zeros = torch.zeros_like(parameter)
        parameter.grad = zeros.to_sparse(1) if id(parameter) in sparse else zeros


def _sparse_parameters(module: nn.Module) -> set[int]:
    return {
        id(each.weight)
        for each in module.modules()
        if getattr(each, "sparse", False)
        and isinstance(getattr(each, "weight", None), nn.Parameter)
    }


def _require_each_once(groups: Any, named: dict[str, nn.Parameter]) -> None:
    if not isinstance(groups, list) or not all(isinstance(each, dict) for each in groups):
        raise ValueError(
            f"param_groups returned {type(groups).__name__}; allowed is a list of dicts such as "
            "[{'params': [...], 'weight_decay': 0.0}]"
        )
    found = [id(each) for group in groups for each in group.get("params", ())]
    names = {id(each): name for name, each in named.items()}
    left = [name for key, name in names.items() if key not in found]
    if left or len(found) != len(set(found)) or set(found) - names.keys():
        raise ValueError(
            "param_groups must return each trainable parameter once"
            + (f"; it left out {', '.join(left[:5])}" if left else "")
            + ": freeze those that are not to be trained with trainable=..."
        )
