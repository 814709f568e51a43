"""A module with its optimiser on a Worker, whose state comes and goes as flat arrays."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.torch._constants import Constants
from daskml_exec.torch._layout import (
    Layout,
    Slots,
    counters_of,
    statistics_of,
    trainable_parameters,
)
from daskml_exec.torch._recipe import Parts
from daskml_exec.torch._supervised import move
from daskml_exec.torch._transfer import fetched, numbers, on_device, sent
from daskml_exec.training.averaging import Buffers, Model


class LocalModule:
    """One copy of a module, to be used by one thread at a time.

    Parameters
    ----------
    parts : Parts

    Attributes
    ----------
    parts : Parts
    device : torch.device
    module : nn.Module
    call : callable
        The module, compiled where that is asked for.
    optimiser : torch.optim.Optimizer
    draws : bool
        Whether steps draw random numbers, as far as is known.
    scaler : torch.amp.GradScaler or None
        Of losses in float16, which would vanish otherwise.
    """

    def __init__(self, parts: Parts) -> None:
        layout = parts.layout
        self.parts = parts
        self.draws = parts.draws
        self.device = device_here(parts.device)
        self.module = parts.module.to(self.device)
        move(parts.loss, self.device)
        parameters = trainable_parameters(self.module)
        # One array each, of which parameters and moments are views: they come and go by one copy.
        self._parameters = torch.empty(
            layout.parameters.size, dtype=layout.torch_dtype, device=self.device
        )
        self._moments = torch.zeros(
            layout.moments.size, dtype=layout.torch_dtype, device=self.device
        )
        for parameter, view in zip(
            parameters.values(), layout.parameters.views(self._parameters), strict=True
        ):
            view.copy_(parameter.data)
            parameter.data = view
        self._by_name = parameters
        self._constants = Constants(self.module)
        self.optimiser = parts.optimiser(self.module)
        self._options = [
            {key: value for key, value in group.items() if key != "params"}
            for group in self.optimiser.param_groups
        ]
        self.call: Any = torch.compile(self.module) if parts.compile else self.module
        self.scaler = torch.amp.GradScaler(self.device.type) if parts.amp == "float16" else None

    def load(self, model: Model, rest: Sequence[Array] = ()) -> list[torch.Tensor]:
        """Become this model; moments of length zero are those of an optimiser without a step.

        Parameters
        ----------
        model : Model
        rest : sequence of ndarray
            What is to come to the device with it.

        Returns
        -------
        list of tensor
            The rest.
        """
        moments, *sent = self.load_weights(model, [model.optimiser.moments, *rest])
        self._load_optimiser(moments, model.buffers.largest[self.parts.layout.counters.size :])
        return sent

    def load_weights(self, model: Model, rest: Sequence[Array] = ()) -> list[torch.Tensor]:
        """Become this model but for its optimiser, to score; as `load`."""
        layout = self.parts.layout
        buffers = model.buffers
        counters = buffers.largest[: layout.counters.size]
        parameters, statistics, counters, *others = sent(
            [model.parameters, buffers.statistics, counters, *rest], self.device
        )
        self._parameters.copy_(parameters)
        self._constants.restore()
        _write(statistics_of(self.module), layout.statistics, statistics)
        _write(counters_of(self.module), layout.counters, counters)
        return others

    def _load_optimiser(self, moments: torch.Tensor, scalars: Array) -> None:
        layout = self.parts.layout
        n = layout.scalars.size
        self.optimiser.state.clear()
        # Some optimisers count in their groups.
        for group, options in zip(self.optimiser.param_groups, self._options, strict=True):
            group.update(options)
        if self.scaler is not None:
            scale, growth = scalars[n:].tolist()
            state = self.scaler.state_dict() | {"scale": -scale, "_growth_tracker": int(growth)}
            self.scaler.load_state_dict(state)
        if not len(moments) and not scalars[:n].any():
            return
        if len(moments):
            self._moments.copy_(moments)
        else:  # others have taken steps, and this partition none
            self._moments.zero_()
        counted = dict(zip(layout.scalars.owned, scalars[:n].tolist(), strict=True))
        # A parameter that has not had a gradient yet has no state, which is not one of zeros.
        new = set(layout.scalars.names) - {owner for (owner, _), value in counted.items() if value}
        for (owner, key), view in self._moments_of():
            if owner not in new:
                self.optimiser.state[self._by_name[owner]][key] = view
        for (owner, key), value in counted.items():
            if owner in new:
                continue
            # Filled there: nothing is copied.
            made = torch.full((), value, dtype=torch.float32, device=self._scalar_device())
            self.optimiser.state[self._by_name[owner]][key] = made

    def _moments_of(self) -> Iterator[tuple[tuple[str, str], torch.Tensor]]:
        """Yield the owner and the key of each moment, and where it is sent from."""
        slots = self.parts.layout.moments
        return zip(slots.owned, slots.views(self._moments), strict=True)

    def _scalar_device(self) -> torch.device:
        """Where an optimiser counts: on the GPU where it runs in one kernel there."""
        options = self.optimiser.defaults
        on_device = options.get("fused") or options.get("capturable")
        return self.device if on_device else torch.device("cpu")

    def unload(self, values: Sequence[Any] = ()) -> tuple[Model, Array]:
        """Return what this has become, and numbers.

        Parameters
        ----------
        values : sequence of tensor or float
            Numbers, on the device or here.

        Returns
        -------
        model : Model
        values : ndarray of shape (n_values,)

        Raises
        ------
        ValueError
            The module has changed a parameter that is frozen.
        """
        self._constants.require_frozen()
        moments = self._moments[:0]
        if self.parts.keeps_moments:
            self._gather_moments()
            moments = self._moments
        counted = self._counted()
        parameters, moments, statistics, counters, steps, found = fetched(
            [
                self._parameters,
                moments,
                _doubles(statistics_of(self.module), self.device),
                _doubles(counters_of(self.module), self.device),
                on_device(counted, self.device),
                on_device(values, self.device),
            ],
            self.device,
        )
        largest = [counters, numbers(counted, steps), _scaler_numbers(self.scaler)]
        buffers = Buffers(statistics, np.concatenate(largest))
        model = Model(parameters, OptimiserState(moments, np.empty(0)), buffers)
        return model, numbers(values, found)

    def _gather_moments(self) -> None:
        """Bring moments that the optimiser has made anew to where they are sent from."""
        for (owner, key), view in self._moments_of():
            value = self.optimiser.state[self._by_name[owner]].get(key)
            if value is None:
                view.zero_()
            elif value.data_ptr() != view.data_ptr():
                view.copy_(value)

    def _counted(self) -> list[Any]:
        """Return what the optimiser counts: tensors on the device, or numbers."""
        owned = self.parts.layout.scalars.owned
        if not self.parts.keeps_moments:
            return [0.0] * len(owned)
        found = []
        for owner, key in owned:
            value = self.optimiser.state[self._by_name[owner]].get(key, 0.0)
            away = isinstance(value, torch.Tensor) and value.device == self.device
            found.append(value if away else float(value))
        return found


def device_here(name: str) -> torch.device:
    """Return the device of this process; "auto" is its GPU if it has one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _scaler_numbers(scaler: torch.amp.GradScaler | None) -> Array:
    """Return less the scale of losses, and for how many steps it has held; else nothing.

    Of several partitions the smallest scale counts, at which none overflows, and so the largest
    negative.
    """
    if scaler is None:
        return np.empty(0)
    return np.array([-scaler.get_scale(), scaler._get_growth_tracker()], dtype=np.float64)


def _doubles(tensors: Mapping[str, torch.Tensor], device: torch.device) -> torch.Tensor:
    """Return the numbers of all tensors in one of float64, which holds each exactly."""
    parts = [each.detach().reshape(-1).double() for each in tensors.values()]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64, device=device)


def flat_doubles(tensors: Mapping[str, torch.Tensor]) -> Array:
    """Return the numbers of all tensors, which are here, in one array of float64."""
    return _doubles(tensors, torch.device("cpu")).numpy()


def first_model(parts: Parts) -> Model:
    """Return the model that training begins with, whose optimiser has not taken a step."""
    module, layout = parts.module, parts.layout
    flat = [each.detach().reshape(-1).numpy() for each in trainable_parameters(module).values()]
    scaler = torch.amp.GradScaler("cpu") if parts.amp == "float16" else None
    return Model(
        np.concatenate(flat).astype(layout.numpy_dtype),
        OptimiserState(np.empty(0, layout.numpy_dtype), np.empty(0)),
        Buffers(
            flat_doubles(statistics_of(module)),
            np.concatenate(
                [
                    flat_doubles(counters_of(module)),
                    np.zeros(layout.scalars.size),
                    _scaler_numbers(scaler),
                ]
            ),
        ),
    )


def load_weights(module: nn.Module, layout: Layout, model: Model) -> None:
    """Give a module the parameters and buffers of a model."""
    buffers, n = model.buffers, layout.counters.size
    flat = [model.parameters, buffers.statistics, buffers.largest[:n]]
    parameters, statistics, counters = (torch.from_numpy(np.array(each)) for each in flat)
    _write(trainable_parameters(module), layout.parameters, parameters)
    _write(statistics_of(module), layout.statistics, statistics)
    _write(counters_of(module), layout.counters, counters)


def _write(tensors: Mapping[str, torch.Tensor], slots: Slots, flat: torch.Tensor) -> None:
    with torch.no_grad():
        for tensor, values in zip(tensors.values(), slots.views(flat), strict=True):
            tensor.copy_(values)
