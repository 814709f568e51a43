"""A module that is cut into stages, as it was asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import torch
from torch import nn

from daskml_exec.torch._layout import named_buffers, trainable_parameters
from daskml_exec.torch._scores import Scores
from daskml_exec.torch.pipeline._cut import Cost, cut_at, cut_evenly
from daskml_exec.torch.pipeline._dry_run import Chain, chain_of_parts, costs_of, nbytes_of
from daskml_exec.torch.pipeline._dry_scores import scores_draw
from daskml_exec.torch.pipeline._output import OutputBlock, OutputLayer, rows_in_blocks
from daskml_exec.torch.pipeline._output_apart import with_output_apart
from daskml_exec.torch.pipeline._stage import Part

_ALLOWED = (
    "allowed are a number from 2, names of children that begin a stage, and a function of the "
    "module that returns the stages"
)


@dataclass(frozen=True)
class Stages:
    """The stages of a module.

    Attributes
    ----------
    parts : tuple of tuple of Part
        Of each stage, and of each block of the output layer after them.
    costs : tuple of Cost
        Of each of these.
    tied : dict of str to tuple of int
        Of each trainable parameter that several stages have, these stages.
    changes_buffers : bool
        Whether a step changes some, as statistics.
    scores_draw : bool
        Whether scores of samples held out draw random numbers, as far as is known.
    output : OutputLayer or None
        That is cut into blocks; None where it is in the last stage.
    """

    parts: tuple[tuple[Part, ...], ...]
    costs: tuple[Cost, ...]
    tied: dict[str, tuple[int, ...]]
    changes_buffers: bool
    scores_draw: bool
    output: OutputLayer | None = None


def cut_into_stages(
    module: nn.Module,
    loss: Callable[..., Any],
    scores: Scores | None,
    batch: Any,
    stages: Any,
    *,
    parallel: str,
    micro_batches: int,
    recompute: bool,
    seed: int,
    output_blocks: int | None = None,
) -> Stages:
    """Cut a module, and look whether its stages can be trained.

    Parameters
    ----------
    module : nn.Module
    loss : callable
    scores : Scores or None
        Of samples held out; None where there are none.
    batch : tree of tensors
        Of a few samples.
    stages : int, sequence of str, or callable
    parallel : {"pipeline", "hybrid"}
        For errors.
    micro_batches : int
    recompute : bool
    seed : int
    output_blocks : int or None
        Of the output layer, which is the last stage then, or part of it; None for a whole one.

    Raises
    ------
    ValueError, TypeError
        They cannot, or the module cannot be cut in this way.
    """
    if isinstance(stages, Integral):
        stages = int(stages)
    if stages is None and output_blocks is None:
        raise ValueError(f"stages=None with {parallel=}; {_ALLOWED}")
    if isinstance(stages, int) and stages < 2:
        raise ValueError(
            f"stages={stages} with {parallel=}; {_ALLOWED}; parallel='data' trains a module as a "
            "whole"
        )
    chain = chain_to_cut(
        module,
        loss,
        batch,
        stages,
        micro_batches=micro_batches,
        recompute=recompute,
        seed=seed,
    )
    draw = scores is not None and scores_draw(module, chain, scores, batch, seed=seed)
    if output_blocks is None:
        made = stages_of(module, chain, costs_of(chain), stages)
    else:
        apart = with_output_apart(chain, loss, batch, output_blocks, seed=seed)
        made = _stages_and_blocks(module, apart, len(chain.parts), stages, output_blocks)
    return replace(made, scores_draw=draw)


def chain_to_cut(
    module: nn.Module,
    loss: Callable[..., Any],
    batch: Any,
    stages: Any,
    *,
    micro_batches: int,
    recompute: bool,
    seed: int,
) -> Chain:
    """Return the parts of a module, wherever it is cut then; as of `cut_into_stages`."""
    _require_dtypes_of_numpy(module)
    function = stages if callable(stages) else None
    chain = chain_of_parts(module, loss, batch, function, seed=seed)
    _require_steady_buffers(chain, micro_batches, recompute)
    return chain


def stages_of(module: nn.Module, chain: Chain, costs: Sequence[Cost], stages: Any) -> Stages:
    """Return the stages of a chain whose parts have these costs; as of `cut_into_stages`.

    Nobody has looked whether their scores draw.
    """
    return _made(module, chain, chain.parts, costs, _begins(chain, costs, stages))


def _stages_and_blocks(
    module: nn.Module, chain: Chain, n_given: int, stages: Any, n_blocks: int
) -> Stages:
    """Return the stages of a chain whose last part is the output layer, and blocks of it."""
    costs = costs_of(chain)
    begins = _begins_before_output(chain, costs, stages, n_given)
    made = _made(module, chain, chain.parts[:-1], costs[:-1], begins)
    return _with_blocks(module, made, chain.parts[-1], costs[-1], n_blocks)


def _made(
    module: nn.Module,
    chain: Chain,
    parts: Sequence[Part],
    costs: Sequence[Cost],
    begins: Sequence[int],
) -> Stages:
    ends = [*begins[1:], len(parts)]
    cut = tuple(tuple(parts[a:b]) for a, b in zip(begins, ends, strict=True))
    made = Stages(
        cut,
        tuple(
            Cost(
                sum(each.milliseconds for each in costs[a:b]),
                nbytes_of(nn.ModuleList([part.module for part in parts[a:b]])),
            )
            for a, b in zip(begins, ends, strict=True)
        ),
        _tied(module, cut),
        bool(chain.changing),
        scores_draw=False,
    )
    _require_own_buffers(made)
    return made


def _with_blocks(module: nn.Module, made: Stages, part: Part, cost: Cost, n_blocks: int) -> Stages:
    """Return stages, and blocks of the output layer after them."""
    layer = part.module
    assert isinstance(layer, nn.Linear)
    names = {id(each): name for name, each in module.named_parameters()}
    bias = None if layer.bias is None else names[id(layer.bias)]
    output = OutputLayer(
        part.name,
        names[id(layer.weight)],
        bias,
        layer.out_features,
        len(made.parts),
        rows_in_blocks(layer.out_features, n_blocks),
        _tied_to_output(layer, names, made.parts),
    )
    blocks, costs = [], []
    for start, stop in output.rows:
        name = f"{part.name}[{start}:{stop}]"
        blocks.append((Part(part.index, name, OutputBlock(layer, start)),))
        share = (stop - start) / layer.out_features
        costs.append(Cost(cost.milliseconds * share, round(nbytes_of(layer) * share)))
    return replace(made, parts=(*made.parts, *blocks), costs=(*made.costs, *costs), output=output)


def _tied_to_output(
    layer: nn.Module, names: Mapping[int, str], cut: Sequence[Sequence[Part]]
) -> dict[str, tuple[int, ...]]:
    """Return the stages that have parameters of the output layer, too."""
    trained = {names[id(each)]: each for each in layer.parameters() if each.requires_grad}
    return {name: stages for name, stages in _having(trained, cut).items() if stages}


def _begins_before_output(
    chain: Chain, costs: Sequence[Cost], stages: Any, n_given: int
) -> Sequence[int]:
    """Return the first part of each stage before the output layer, which is a chain's last part."""
    n = len(chain.parts) - 1
    if stages is None:
        return (0,)
    if callable(stages):  # what came before the layer in the last one is a stage
        return range(min(n, n_given))
    if isinstance(stages, int):
        if stages - 1 > n:
            raise ValueError(
                f"stages={stages} with output_blocks, and the module has {n} parts before its "
                "output layer, which is the last stage; allowed are as many stages and one more "
                "at most"
            )
        return cut_evenly(costs[:-1], stages - 1)
    return [begin for begin in _named(chain, stages) if begin < n]


def _require_dtypes_of_numpy(module: nn.Module) -> None:
    for name, buffer in named_buffers(module).items():
        if buffer.dtype == torch.bfloat16:
            raise ValueError(
                f"the module has a buffer {name!r} of torch.bfloat16, which stages cannot bring "
                "home; allowed in stages are buffers of dtypes that NumPy has: "
                ".float()"
            )


def _begins(chain: Chain, costs: Sequence[Cost], stages: Any) -> Sequence[int]:
    """Return the first part of each stage."""
    names = [part.name for part in chain.parts]
    if callable(stages):
        return range(len(names))
    if isinstance(stages, int):
        if stages > len(names):
            raise ValueError(
                f"stages={stages}, and the module has {len(names)} parts that are called one "
                f"after the other: {', '.join(names[:20])}; allowed are as many stages at most"
            )
        return cut_evenly(costs, stages)
    begins = _named(chain, stages)
    if len(begins) < 2:
        raise ValueError(
            f"stages={list(stages)} makes one stage, as the first part, {names[0]!r}, begins one "
            "in any case; allowed are names of other parts"
        )
    return begins


def _named(chain: Chain, stages: Sequence[str]) -> Sequence[int]:
    wrong = [each for each in stages if not isinstance(each, str)]
    if isinstance(stages, str) or wrong:
        raise ValueError(f"{stages=}; {_ALLOWED}")
    return cut_at([part.name for part in chain.parts], stages)


def _tied(module: nn.Module, cut: Sequence[Sequence[Part]]) -> dict[str, tuple[int, ...]]:
    found = _having(trainable_parameters(module), cut)
    return {name: stages for name, stages in found.items() if len(stages) > 1}


def _having(
    parameters: Mapping[str, nn.Parameter], cut: Sequence[Sequence[Part]]
) -> dict[str, tuple[int, ...]]:
    """Return the stages that have each of these parameters."""
    there = [{id(each) for part in parts for each in part.module.parameters()} for parts in cut]
    return {
        name: tuple(s for s, ids in enumerate(there) if id(parameter) in ids)
        for name, parameter in parameters.items()
    }


def _require_steady_buffers(chain: Chain, micro_batches: int, recompute: bool) -> None:
    if not chain.changing or (micro_batches == 1 and not recompute):
        return
    raise ValueError(
        f"the module changes its buffer {chain.changing[0]!r} in a step, as BatchNorm does, which "
        "would see each micro-batch for a batch"
        + (", and twice with recompute=True" if recompute else "")
        + f": micro_batches={micro_batches}, {recompute=}; allowed are micro_batches=1 with "
        "recompute=False, and modules such as GroupNorm and LayerNorm that keep no statistics"
    )


def _require_own_buffers(made: Stages) -> None:
    for i, parts in enumerate(made.parts):
        for other in made.parts[i + 1 :]:
            mine = {id(each) for part in parts for each in part.module.buffers()}
            for part in other:
                for name, buffer in part.module.named_buffers():
                    if id(buffer) in mine and made.changes_buffers:
                        raise ValueError(
                            f"two stages have the buffer {name!r} of {part.name!r}, and the module "
                            "changes buffers in a step; allowed are buffers of one stage"
                        )
