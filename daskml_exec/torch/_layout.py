"""A module and its optimiser as flat arrays, one for each thing that a round does with them.

Each tensor has a role. Trainable parameters are averaged, and the codec and the outer rule act on
them. Statistics, the persistent buffers of floating-point numbers, are averaged exactly, and
nothing else is done with them: an outer momentum would make a variance negative. Counters,
persistent buffers of integers, and what optimisers count are the largest of all partitions. Moments
of the optimiser are averaged, stay on their Workers, or are forgotten. All else is constant: frozen
parameters, buffers of booleans, and those that a module does not save.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy


@dataclass(frozen=True)
class Slots:
    """Where named tensors are in one flat array.

    Attributes
    ----------
    names : tuple of str
        Of what an optimiser remembers the parameters', which own it.
    shapes : tuple of tuples of int
    keys : tuple of str
        As what the optimiser keeps each of its parameter; of a module's own tensors there are none.
    """

    names: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def owned(self) -> list[tuple[str, str]]:
        """The owner and the key of each that an optimiser remembers."""
        return list(zip(self.names, self.keys, strict=True))

    @property
    def sizes(self) -> list[int]:
        """Numbers of each."""
        return [math.prod(shape) for shape in self.shapes]

    @property
    def size(self) -> int:
        """Numbers of all together."""
        return sum(self.sizes)

    def views(self, flat: Any) -> list[Any]:
        """Return each tensor's part of a flat array or tensor, in its shape."""
        ends = list(accumulate(self.sizes, initial=0))
        return [
            flat[start:stop].reshape(shape)
            for start, stop, shape in zip(ends[:-1], ends[1:], self.shapes, strict=True)
        ]

    @classmethod
    def of(cls, tensors: Iterable[tuple[str, Any]]) -> "Slots":
        """Return the slots of named tensors."""
        pairs = [(name, tuple(tensor.shape)) for name, tensor in tensors]
        return cls(tuple(name for name, _ in pairs), tuple(shape for _, shape in pairs))

    @classmethod
    def of_optimiser(cls, remembered: Sequence[tuple[str, str, Any]]) -> "Slots":
        """Return the slots of what is remembered: each has an owner, a key, and is a tensor."""
        slots = cls.of((owner, tensor) for owner, _, tensor in remembered)
        return replace(slots, keys=tuple(key for _, key, _ in remembered))


@dataclass(frozen=True)
class Layout:
    """Names, shapes and roles of all that a fit changes.

    Attributes
    ----------
    parameters : Slots
        Trainable ones; those that are tied stand here once.
    statistics, counters : Slots
        Persistent buffers, of floating-point numbers and of integers.
    moments, scalars : Slots
        Of the optimiser.
    dtype : str
        Of the parameters: "float32" or "float64".
    """

    parameters: Slots
    statistics: Slots
    counters: Slots
    moments: Slots
    scalars: Slots
    dtype: str

    @property
    def of_module(self) -> tuple[Slots, Slots, Slots]:
        """What is the module's, and not the optimiser's."""
        return self.parameters, self.statistics, self.counters

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """As `dtype`, for arrays."""
        return np.dtype(self.dtype)

    @property
    def torch_dtype(self) -> torch.dtype:
        """As `dtype`, for tensors."""
        return getattr(torch, self.dtype)


def named_buffers(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the buffers that a module saves, each once."""
    kept = set(module.state_dict(keep_vars=True))
    return {name: each for name, each in module.named_buffers() if name in kept}


def trainable_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that have gradients, each once."""
    return {name: each for name, each in module.named_parameters() if each.requires_grad}


def statistics_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the buffers that are averaged."""
    return {name: each for name, each in named_buffers(module).items() if each.is_floating_point()}


def counters_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the buffers of which the largest counts."""
    return {
        name: each
        for name, each in named_buffers(module).items()
        if not each.is_floating_point() and not each.is_complex() and each.dtype != torch.bool
    }


def optimiser_slots(
    parameters: dict[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> tuple[Slots, Slots]:
    """Return the moments and the scalars that an optimiser has after a step.

    Raises
    ------
    ValueError
        It remembers something else than tensors of real numbers.
    """
    found: list[list[tuple[str, str, Any]]] = [[], []]
    # The moments of a parameter that is a single number have no dimensions either.
    counted = {"step"} | {
        key
        for parameter in parameters.values()
        if parameter.dim()
        for key, value in optimiser.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor) and value.dim() == 0
    }
    for name, parameter in parameters.items():
        for key, value in optimiser.state.get(parameter, {}).items():
            if value is None:
                continue
            if not isinstance(value, torch.Tensor) or value.is_complex():
                raise ValueError(
                    f"optimizer {type(optimiser).__name__} remembers {key!r}, a "
                    f"{type(value).__name__}, of the parameter {name!r}; allowed are optimisers "
                    "that remember tensors of real numbers, as those of torch.optim but LBFGS and "
                    "SparseAdam do"
                )
            found[value.dim() == 0 and key in counted].append((name, key, value))
    return Slots.of_optimiser(found[0]), Slots.of_optimiser(found[1])


def require_trainable(module: nn.Module, parameters: Sequence[tuple[str, nn.Parameter]]) -> str:
    """Return the dtype that all trainable parameters share.

    Raises
    ------
    ValueError
        There are none, or they differ, or are of another dtype than float32 or float64.
    """
    name = type(module).__name__
    if not parameters:
        frozen = any(True for _ in module.parameters())
        why = "all parameters of it are frozen" if frozen else "it has no parameters"
        raise ValueError(
            f"module={name}: {why}, so that there is nothing to train; allowed are modules of "
            "which some parameters have requires_grad=True"
        )
    dtypes = {parameter.dtype: name for name, parameter in parameters}
    if len(dtypes) > 1:
        told = ", ".join(f"{dtype} of {which!r}" for dtype, which in dtypes.items())
        raise ValueError(
            f"module={name} has trainable parameters of different dtypes: {told}; allowed is one "
            "for all: module.float() or module.double(); amp='bfloat16' computes in a shorter one"
        )
    (dtype,) = dtypes
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"module={name} has parameters of {dtype}; allowed are torch.float32 and torch.float64:"
            " module.float(); amp='bfloat16' computes in a shorter one"
        )
    return str(dtype).removeprefix("torch.")


def give_shapes(module: nn.Module, layout: Layout) -> None:
    """Give lazy parameters and buffers the shapes that they had."""
    shapes: dict[str, tuple[int, ...]] = {}
    for slots in layout.of_module:
        shapes |= dict(zip(slots.names, slots.shapes, strict=True))
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor) and name in shapes:
            tensor.materialize(shapes[name])


def require_layout(module: nn.Module, layout: Layout) -> None:
    """Raise ValueError unless a module has the parameters and buffers of a layout."""
    for what, tensors, slots in (
        ("trainable parameters", trainable_parameters(module), layout.parameters),
        ("statistics", statistics_of(module), layout.statistics),
        ("counters", counters_of(module), layout.counters),
    ):
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        known = dict(zip(slots.names, slots.shapes, strict=True))
        for name in [*known, *found]:
            if found.get(name) != known.get(name):
                raise ValueError(
                    f"module={type(module).__name__} has {_shape(found, name)} among its {what}, "
                    f"and what was trained has {_shape(known, name)}; allowed is a module with the "
                    "same names and shapes"
                )


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return f"{name!r} of shape {shapes[name]}" if name in shapes else f"no {name!r}"
