"""A stage: consecutive parts of a module with their optimiser, on the Worker that has it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from daskml_exec.kernels.arrays import Array
from daskml_exec.torch._optimisers import MakeOptimiser
from daskml_exec.torch._steps import set_rates
from daskml_exec.torch.pipeline._seeds import Draws
from daskml_exec.torch.pipeline._skeleton import with_tensors
from daskml_exec.torch.pipeline._trees import Passed, array_of, tensor_of

TENSOR = "tensor:"
"""Begins the names of a stage's arrays that the module has; others are the optimiser's."""

_KEPT = "kept:"
_APART = "apart"
_STATE = "optimiser:"
_BETWEEN = "\t"  # which no name of an attribute has


def state_name(owner: str, key: str) -> str:
    """Return the name of what an optimiser remembers of a parameter under a key."""
    return f"{_STATE}{owner}{_BETWEEN}{key}"


def owner_and_key(name: str) -> tuple[str, str] | None:
    """Return of which parameter an array is remembered, under which key; None for a tensor."""
    if not name.startswith(_STATE):
        return None
    owner, _, key = name.removeprefix(_STATE).partition(_BETWEEN)
    return owner, key


def weights_kept(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return, of a stage's arrays, the weights that it has kept, as if they were its own."""
    return {
        TENSOR + name.removeprefix(_KEPT): array
        for name, array in arrays.items()
        if name.startswith(_KEPT)
    }


def weight_apart(arrays: Mapping[str, Array]) -> float:
    """Return, of a stage's arrays, how much it has trained since replicas were averaged."""
    return float(arrays.get(_APART, 0.0))


Groups = tuple[tuple[Mapping[str, Any], tuple[str, ...]], ...]
"""An optimiser's groups of the whole module: each one's options, and names of parameters."""


def groups_are_all(groups: Groups) -> bool:
    """Return whether all parameters are alike: nobody has made groups of them."""
    return len(groups) == 1 and not groups[0][0]


@dataclass(frozen=True)
class Part:
    """A piece of a module that is called once in a step, with what the one before it returns.

    Attributes
    ----------
    index : int
        Among all parts of the module.
    name : str
    module : nn.Module
    """

    index: int
    name: str
    module: nn.Module


Through = tuple[list[torch.Tensor], Passed]
"""What gradients come to of what was given, and what is passed on."""


class Stage:
    """The unit of a pipeline.

    Parameters
    ----------
    skeleton : bytes
        Its parts, as of `without_tensors`.
    arrays : mapping of str to array
        As `arrays` returns them; those of the optimiser may be missing.
    make : MakeOptimiser
    groups : Groups
    device : torch.device
    is_of_first : bool, default=True
        Whether it is of the first replica.

    Attributes
    ----------
    parts : list of Part
    parameters : dict of str to nn.Parameter
        Trainable ones, by their names in the whole module.
    optimiser : torch.optim.Optimizer or None
        None where nothing is trained.
    rates : list of float
        Of its groups.
    kept : dict of str to ndarray
        Weights of an earlier moment, by their names in the whole module; empty for none.
    apart : float
        The weight of the steps since it was averaged with those of other replicas.
    is_of_first : bool
        As given.
    """

    def __init__(
        self,
        skeleton: bytes,
        arrays: Mapping[str, Array],
        make: MakeOptimiser,
        groups: Groups,
        device: torch.device,
        *,
        is_of_first: bool = True,
    ) -> None:
        def bring(name: str, dtype: torch.dtype) -> torch.Tensor:
            return tensor_of(arrays[TENSOR + name], dtype, device)

        self.device = device
        found: Any = with_tensors(skeleton, bring)
        self.parts: list[Part] = found[0]
        self._tensors: dict[str, torch.Tensor] = found[1]
        self._buffers = self._places_of_buffers()
        self.parameters: dict[str, nn.Parameter] = {
            name: each
            for name, each in self._tensors.items()
            if isinstance(each, nn.Parameter) and each.requires_grad
        }
        self._make, self._groups = make, groups
        self.optimiser = self._made_optimiser()
        options = [] if self.optimiser is None else self.optimiser.param_groups
        self.rates = [float(group["lr"]) for group in options]
        self._load_optimiser(arrays)
        self.kept: dict[str, Array] = {
            name.removeprefix(_KEPT): array
            for name, array in arrays.items()
            if name.startswith(_KEPT)
        }
        self.apart, self.is_of_first = weight_apart(arrays), is_of_first
        self._alive: dict[int, Any] = {}

    def _places_of_buffers(self) -> dict[str, tuple[nn.Module, str]]:
        """Return where each buffer is: a module may put another tensor in its place."""
        names = {id(each): name for name, each in self._tensors.items()}
        return {
            names[id(buffer)]: (owner, key)
            for part in self.parts
            for owner in part.module.modules()
            for key, buffer in owner._buffers.items()
            if id(buffer) in names
        }

    def _made_optimiser(self) -> Any:
        own, make, groups = self.parameters, self._make, self._groups
        if not own:
            return None
        mine: list[Any] = [
            {**options, "params": [own[name] for name in names if name in own]}
            for options, names in groups
        ]
        mine = [group for group in mine if group["params"]]
        if groups_are_all(groups):  # a function of the user's makes groups of its own of these
            (mine,) = (group["params"] for group in mine)
        return make.make(mine, lr=make.lr, **make.options)

    def _load_optimiser(self, arrays: Mapping[str, Array]) -> None:
        for about, array in arrays.items():
            owned = owner_and_key(about)
            if owned is not None and self.optimiser is not None:
                self.remember(*owned, array)

    def remember(self, name: str, what: str, array: Array) -> None:
        """Have the optimiser remember an array of a parameter, under a key."""
        options = self.optimiser.defaults
        counts = array.ndim == 0 and not (options.get("fused") or options.get("capturable"))
        device = torch.device("cpu") if counts else self.device
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        self.optimiser.state[self.parameters[name]][what] = tensor_of(array, dtype, device)

    def remembered(self) -> dict[tuple[str, str], torch.Tensor]:
        """Return what the optimiser remembers, by parameter and key."""
        if self.optimiser is None:
            return {}
        return {
            (name, what): value
            for name, parameter in self.parameters.items()
            for what, value in self.optimiser.state.get(parameter, {}).items()
            if isinstance(value, torch.Tensor)
        }

    def forget(self) -> None:
        """Let the optimiser begin anew."""
        self.optimiser = self._made_optimiser()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return parameters and buffers by their names in the whole module."""
        found = dict(self._tensors)
        for name, (owner, key) in self._buffers.items():
            found[name] = owner._buffers[key]
        return found

    def arrays(self) -> dict[str, Array]:
        """Return all that is needed to go on from here."""
        found = {TENSOR + name: array_of(tensor) for name, tensor in self.tensors().items()}
        for owned, value in self.remembered().items():
            found[state_name(*owned)] = array_of(value)
        found |= {_KEPT + name: array for name, array in self.kept.items()}
        if self.apart:
            found[_APART] = np.array(self.apart)
        return found

    def keep(self, names: Iterable[str]) -> None:
        """Keep the weights of now that have one of these names."""
        tensors = self.tensors()
        self.kept = {name: array_of(tensors[name]).copy() for name in names if name in tensors}

    def through(self, draws: Draws, value: Any, *, first: bool) -> Any:
        """Return what the parts make of a value; the first stage has the module's arguments."""
        for part in self.parts:
            draws.enter(part.index)
            if first:
                args, kwargs = value
                value, first = part.module(*args, **kwargs), False
            else:
                value = part.module(value)
        return value

    def forward(self, micro_batch: int, go: Callable[[], Through], *, recompute: bool) -> Passed:
        """Go forwards, and remember what going back needs.

        Parameters
        ----------
        micro_batch : int
        go : callable
            Goes through the parts; it has what is given.
        recompute : bool
            Whether to remember no more than that, and to go forwards again before going back.
        """
        found = go()
        self._alive[micro_batch] = go if recompute else found
        return found[1]

    def postpone(self, micro_batch: int, go: Callable[[], Through]) -> None:
        """Go forwards only before going back."""
        self._alive[micro_batch] = go

    def backward(
        self, micro_batch: int, gradients: Sequence[torch.Tensor | None] | None
    ) -> list[torch.Tensor | None]:
        """Add the gradients of parameters, and return those of what was given; None for zero.

        Parameters
        ----------
        micro_batch : int
        gradients : sequence of tensor or None
            Of what was passed on; None as a whole where that is the loss.
        """
        alive = self._alive.pop(micro_batch)
        leaves, out = alive() if callable(alive) else alive
        if gradients is None:
            gradients = [torch.ones_like(each) for each in out.tensors]
        pairs = [
            (tensor, gradient)
            for tensor, gradient in zip(out.tensors, gradients, strict=True)
            if gradient is not None and tensor.requires_grad
        ]
        if pairs:
            tensors, found = zip(*pairs, strict=True)
            torch.autograd.backward(tensors, found)
        return [leaf.grad for leaf in leaves]

    def update(self, rate: float, nominal: float) -> None:
        """Take the optimiser's step, at this learning rate."""
        if self.optimiser is None:
            return
        set_rates(self.optimiser, self.rates, rate, nominal)
        self.optimiser.step()

    @property
    def is_finite(self) -> bool:
        """Whether all trainable parameters are."""
        return all(bool(each.isfinite().all()) for each in self.parameters.values())

    @property
    def name(self) -> str:
        """What it is called in errors."""
        first, last = self.parts[0].name, self.parts[-1].name
        return first if first == last else f"the stage from {first!r} to {last!r}"
