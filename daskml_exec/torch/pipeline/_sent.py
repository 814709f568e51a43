"""What is sent to the Workers of a pipeline: code, stages without their tensors, and these."""

from collections.abc import Sequence
from typing import Any

import cloudpickle
import torch
from torch import nn

from daskml_exec.kernels.arrays import Array
from daskml_exec.torch._layout import Layout, trainable_parameters
from daskml_exec.torch._optimisers import MakeOptimiser
from daskml_exec.torch._picklable import attribute_of, cannot_travel, not_picklable
from daskml_exec.torch._recipe import Parts
from daskml_exec.torch.pipeline._output import OutputLayer
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._skeleton import names_of, without_tensors
from daskml_exec.torch.pipeline._stage import TENSOR, Groups, Part, groups_are_all
from daskml_exec.torch.pipeline._stages import Stages
from daskml_exec.torch.pipeline._trees import array_of
from daskml_exec.torch.pipeline._units import PipelineUnits, remembered_arrays
from daskml_exec.training.averaging import Model


def units_of(
    parts: Parts,
    stages: Stages,
    code: PipelineParts,
    begin: Model,
    n_replicas: int,
    *,
    keeps_best: bool,
) -> tuple[PipelineUnits, dict[int, dict[str, Array]]]:
    """Return the stages without their tensors, and the tensors of each, which replicas share."""
    module = parts.module.train()
    names = names_of(module)
    remembered = remembered_arrays(parts.layout, begin)
    skeletons, arrays = [], {}
    for i, found in enumerate(stages.parts):
        try:
            skeleton, met = without_tensors(found, names)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise cannot_travel(f"module{attribute_of(module)}", why) from error
        tensors = {
            names[id(each)]: each
            for part in found
            for each in (*part.module.parameters(), *part.module.buffers())
        }
        _require_registered(found, met - set(tensors))
        skeletons.append(skeleton)
        arrays[i] = {
            TENSOR + name: _own(stages, i, name, array_of(each)) for name, each in tensors.items()
        }
        for name in tensors:
            for key, array in remembered.get(name, {}).items():
                arrays[i][key] = _own(stages, i, name, array)
    units = PipelineUnits(
        tuple(skeletons),
        _pickled(code, parts),
        _largest(stages, parts, 3 if keeps_best else 2),
        n_replicas,
        0 if stages.output is None else stages.output.n_blocks,
        tuple(cost.milliseconds for cost in stages.costs),
    )
    return units, {unit: arrays[unit % units.n_stages] for unit in range(units.n)}


def _own(stages: Stages, unit: int, name: str, array: Array) -> Array:
    """Return what a stage or a block has of an array of a parameter, or of its moments."""
    return array if stages.output is None else stages.output.own(unit, name, array)


def _require_registered(stage: Sequence[Part], hidden: set[str]) -> None:
    """Raise ValueError if a stage reaches tensors that PyTorch does not know to be its own.

    They would have to be on its Worker as well, which is to have no more than the stage.
    """
    if hidden:
        first, last = stage[0].name, stage[-1].name
        raise ValueError(
            f"{first if first == last else f'the stage from {first} to {last}'} reaches "
            f"{min(hidden)!r} of the module, and has it neither as a parameter nor in a child, as "
            "where a function or a plain list holds the module or parts of it; allowed are stages "
            "that have all they use as attributes, several in an nn.ModuleList"
        )


def _largest(stages: Stages, parts: Parts, copies_of_weights: int) -> int:
    """Return the bytes of the largest stage: weights, with gradients and others, and moments."""
    layout = parts.layout
    copies = copies_of_weights + layout.moments.size / max(1, layout.parameters.size)
    return int(copies * max(cost.nbytes for cost in stages.costs))


def groups_of(parts: Parts) -> Groups:
    """Return the optimiser's groups by names: each stage makes those of its own parameters."""
    named = trainable_parameters(parts.module)
    if parts.optimiser.groups is None:
        return (({}, tuple(named)),)
    names = {id(parameter): name for name, parameter in named.items()}
    given: Sequence[dict[str, Any]] = parts.optimiser.groups(named)
    return tuple(
        (
            {key: value for key, value in group.items() if key != "params"},
            tuple(names[id(parameter)] for parameter in group["params"]),
        )
        for group in given
    )


def require_no_counts_in_groups(make: MakeOptimiser, groups: Groups, dtype: torch.dtype) -> None:
    """Raise ValueError for an optimiser that remembers something in its groups.

    It would be lost with a Worker: what is kept of an optimiser is its state of each parameter.
    """
    parameter = nn.Parameter(torch.zeros(2, 2, dtype=dtype))
    parameter.grad = torch.zeros_like(parameter)
    options, _ = groups[0]
    alone: Any = [parameter] if groups_are_all(groups) else [{**options, "params": [parameter]}]
    optimiser = make.make(alone, lr=make.lr, **make.options)
    before = dict(optimiser.param_groups[0])
    optimiser.step()
    after = optimiser.param_groups[0]
    changed = [key for key in after if key != "params" and after[key] != before.get(key)]
    if changed:
        raise ValueError(
            f"optimizer {make.name} remembers {changed[0]!r} in its groups; in "
            "stages allowed are optimisers that remember all in the state of their "
            "parameters, as those of torch.optim do"
        )


def require_each_number_alone(
    make: MakeOptimiser, groups: Groups, output: OutputLayer, layout: Layout
) -> None:
    """Raise ValueError for an optimiser that looks at a whole matrix, of which blocks have rows.

    Two steps of one are compared with two of its halves.
    """
    shapes: dict[str, tuple[int, ...]] = {output.weight: (4, 3)}
    if output.bias is not None:
        shapes[output.bias] = (4,)
    for name, shape in shapes.items():
        options = [options for options, names in groups if name in names]
        if not options:  # it is frozen
            continue
        generator = torch.Generator().manual_seed(0)
        values = torch.randn((3, *shape), generator=generator, dtype=layout.torch_dtype)
        given: Any = None if groups_are_all(groups) else options[0]
        whole = _stepped(make, given, values)
        halves = [_stepped(make, given, values[:, rows]) for rows in (slice(2), slice(2, 4))]
        if not torch.allclose(torch.cat(halves), whole, rtol=1e-3, atol=0):
            raise ValueError(
                f"optimizer {make.name} makes of a matrix something else than of its rows, and "
                f"{output.name!r} is cut by rows: output_blocks={output.n_blocks}; allowed with "
                "output_blocks are optimisers that change each number by its own gradients, as "
                "SGD and AdamW do, and not Adafactor or Muon"
            )


def _stepped(make: MakeOptimiser, options: Any, values: torch.Tensor) -> torch.Tensor:
    """Return by how much two steps have changed the first of these values."""
    first, *gradients = values
    parameter = nn.Parameter(first.clone())
    alone: Any = [parameter] if options is None else [{**options, "params": [parameter]}]
    optimiser = make.make(alone, lr=make.lr or 1e-3, **make.options)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimiser.step()
    return parameter.detach() - first


def _pickled(code: PipelineParts, parts: Parts) -> bytes:
    try:
        return cloudpickle.dumps(code)
    except Exception as error:
        given = {
            "loss": code.loss,
            "scores": code.scores,
            "scheduler": code.scheduler,
            "augment": code.augment,
            "optimizer": code.optimiser,
        }
        for name, value in given.items():
            why = not_picklable(value)
            if why is not None:
                raise cannot_travel(name, why) from error
        raise
