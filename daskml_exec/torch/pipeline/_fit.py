"""The fit of a module in stages: what is sent where, and what comes of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from daskml_exec.executor import Query
from daskml_exec.executor._raised import Raised
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.batches import held_out, rows_trained_on
from daskml_exec.partitions import Data, Partition
from daskml_exec.torch._equip import first_samples
from daskml_exec.torch._fits import FitSettings
from daskml_exec.torch._local_module import first_model, load_weights
from daskml_exec.torch._purpose import Purpose, first_batch
from daskml_exec.torch._recipe import Parts
from daskml_exec.torch._remembered import Last, Remembered, require_same_layout
from daskml_exec.torch._scores import Scores, nothing_scored
from daskml_exec.torch.pipeline._algorithm import Best, PipelineState, PipelineSteps
from daskml_exec.torch.pipeline._apart import averaged_here
from daskml_exec.torch.pipeline._explain import PipelineExplanation
from daskml_exec.torch.pipeline._held_out import HeldOut
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._plan import PipelinePlan
from daskml_exec.torch.pipeline._sent import (
    groups_of,
    require_each_number_alone,
    require_no_counts_in_groups,
    units_of,
)
from daskml_exec.torch.pipeline._stage import Part, weights_kept
from daskml_exec.torch.pipeline._stages import Stages, cut_into_stages
from daskml_exec.torch.pipeline._units import model_of
from daskml_exec.training import Fitted, FitWarning, History, Reached, reduce
from daskml_exec.training.averaging import Model, large_batch
from daskml_exec.training.averaging._batching import rows_per_step
from daskml_exec.training.groups._replicas import partitions_of_replicas

N_REPLICAS = 2
"""Of hybrid parallelism by default."""

_TRIED = 64
"""Samples at most by which parts are measured."""

_TRIED_WITH_BLOCKS = 8
"""The same where logits are too many to be in one place."""


@dataclass(frozen=True)
class PipelineFit:
    """A fit before its first segment.

    Attributes
    ----------
    settings : FitSettings
    parts : Parts
    stages : Stages
    algorithm : PipelineSteps
    state : PipelineState
        The first.
    """

    settings: FitSettings
    parts: Parts
    stages: Stages
    algorithm: PipelineSteps
    state: PipelineState

    @property
    def plan(self) -> PipelinePlan:
        """How samples make steps."""
        return self.algorithm.plan

    @property
    def opening(self) -> str:
        """What there is to train, and on how much, in words."""
        rows, epochs, n = self.plan.rows, self.settings.epochs, len(self.stages.parts)
        output, blocks = self.stages.output, ""
        if output is not None:
            n, blocks = output.first, f" and {output.n_blocks} blocks of the output layer"
        replicas = len(self.plan.replicas)
        each = f" of each of {replicas} replicas" if replicas > 1 else ""
        return (
            f"{self.parts.layout.parameters.size:,} parameters in {n} stage"
            f"{'s' * (n != 1)}{blocks}{each}; "
            f"{sum(rows):,} samples to train on in {len(rows):,} "
            f"partition{'s' * (len(rows) != 1)}; at most {epochs:,} "
            f"epoch{'s' * (epochs != 1)} of {self.plan.steps_per_epoch:,} steps"
        )

    def reached(self, state: PipelineState) -> Reached:
        """Return how far training has come since it began."""
        return self.settings.reached(self.state, state, self.plan.steps_per_epoch)

    carried = None
    """Stages keep what they need; partitions keep nothing."""

    @contextmanager
    def samples(self, data: Data, encode: Any) -> Iterator[Data]:
        """Give the samples as they are, and raise what code of the user's raises on Workers."""
        try:
            yield data
        except Raised as error:
            raise error.original() from None

    def model(self, state: PipelineState, units: Mapping[int, Mapping[str, Array]]) -> Model:
        """Return the model of which these are the stages: of replicas, their average."""
        layout = self.parts.layout
        forgets = self.settings.arguments["optimizer_state"] == "reset"
        stages = averaged_here(units, self.algorithm.units.n_stages, layout, forgets=forgets)
        output = self.stages.output
        held = stages if output is None else output.whole(stages)
        return model_of(layout, self.algorithm.begin, held)

    def best(self, fitted: Fitted[PipelineState]) -> Model | None:
        """Return the model of the best score, if there is one, without its optimiser."""
        state, units, n_stages = fitted.state, fitted.units, self.algorithm.units.n_stages
        if state.progress.best is None:
            return None
        if state.progress.best == Best(state.segments):
            return self.model(state, units).without_optimiser
        kept = {stage: weights_kept(units[stage]) for stage in range(n_stages)}
        return model_of(self.parts.layout, self.algorithm.begin, kept).without_optimiser

    def explanation(self, history: History) -> PipelineExplanation:
        """Return what there is to say of this after it."""
        code = self.algorithm.units.parts
        return PipelineExplanation(
            module=type(self.parts.module).__name__,
            optimiser=self.parts.optimiser.name,
            n_parameters=self.parts.layout.parameters.size,
            dtype=self.parts.layout.dtype,
            rows=self.plan.rows,
            batch=self.plan.largest,
            steps_per_epoch=self.plan.steps_per_epoch,
            micro_batches=code.micro_batches,
            order=code.order,
            recompute=code.recompute,
            stages=tuple(map(_in_words, self.stages.parts)),
            nbytes=tuple(cost.nbytes for cost in self.stages.costs),
            milliseconds=tuple(cost.milliseconds for cost in self.stages.costs),
            history=history,
            n_replicas=len(self.plan.replicas),
            sync_steps=self.plan.sync_steps,
            held_out=sum(self.algorithm.held_out.rows) if self.algorithm.held_out else 0,
            n_blocks=0 if self.stages.output is None else self.stages.output.n_blocks,
        )

    def remembered(self, fitted: Fitted[PipelineState]) -> Remembered:
        """Return what `partial_fit` goes on with after this."""
        progress = replace(fitted.state.progress, best=None)
        return Remembered(self.model(fitted.state, fitted.units), progress, None, None)

    def warnings(self, state: PipelineState) -> list[FitWarning]:
        """Return what there is to say of the arguments, and of the samples."""
        arguments, plan = self.settings.arguments, self.plan
        found = [*large_batch(arguments["batch_size"], sum(plan.rows), "samples")]
        asked, longest, most = int(arguments["micro_batches"]), max(plan.rows), plan.largest
        if longest < plan.batch:
            n = len(plan.replicas)
            asked_for = f"batch_size={plan.batch} is"
            if n > 1:
                asked_for = (
                    f"batch_size={arguments['batch_size']}, of which each of {n} replicas has "
                    f"{plan.batch} samples, is"
                )
            found.append(
                FitWarning(
                    "batch_size",
                    f"{asked_for} more than the {longest} samples of the largest partition, and a "
                    "step of a pipeline is of one partition: chunks of X with more samples make "
                    "larger steps",
                )
            )
        if asked > most:
            found.append(
                FitWarning(
                    "micro_batches",
                    f"micro_batches={asked} is more than the {most} samples of a step: each of "
                    "them is a micro-batch of its own",
                )
            )
        return found


def pipeline_fit_of(
    settings: FitSettings,
    parts: Parts,
    purpose: Purpose,
    data: Data,
    seed: int,
    last: Last | None,
) -> PipelineFit:
    """Return the fit of these parts in stages.

    Parameters
    ----------
    settings : FitSettings
    parts : Parts
        Their module becomes the one that the fit begins with.
    purpose : Purpose
    data : Data
    seed : int
    last : Last or None
        What the fit that this goes on with has left.

    Raises
    ------
    ValueError, TypeError
        The module cannot be cut as asked for, or cannot travel; or it has other parameters than it
        had in the last fit.
    """
    arguments = settings.arguments
    if last is not None:
        optimizer = arguments["optimizer"] if settings.incremental else None
        require_same_layout(last.layout, parts.layout, optimizer)
    begun = settings.first_state(first_model(parts), last)
    load_weights(parts.module, parts.layout, begun.model)
    rows = rows_trained_on(data.rows, settings.held_out)
    weighty = _weighty(data, rows, settings.held_out, seed)
    plan = plan_of(settings, parts, rows, weighty, seed)
    micro_batches = int(arguments["micro_batches"])
    most = _TRIED if arguments["output_blocks"] is None else _TRIED_WITH_BLOCKS
    tried = max(2, min(most, plan.batch // micro_batches))
    size = -(-plan.batch // micro_batches)
    left_out = _held_out(data.rows, rows, settings.held_out, size, plan.replicas)
    scores = None if left_out is None else parts.scores
    stages = cut_into_stages(
        parts.module,
        parts.loss,
        scores,
        first_batch(first_samples(data, tried), purpose, parts.module),
        arguments["stages"],
        parallel=arguments["parallel"],
        micro_batches=micro_batches,
        recompute=bool(arguments["recompute"]),
        seed=seed,
        output_blocks=arguments["output_blocks"],
    )
    groups = groups_of(parts)
    require_no_counts_in_groups(parts.optimiser, groups, parts.layout.torch_dtype)
    if stages.output is not None:
        require_each_number_alone(parts.optimiser, groups, stages.output, parts.layout)
    code = PipelineParts(
        loss=parts.loss,
        encode=purpose.encode,
        augment=parts.augment,
        scheduler=parts.scheduler,
        optimiser=replace(parts.optimiser, groups=None),
        groups=groups,
        tied=stages.tied,
        micro_batches=micro_batches,
        order=arguments["pipeline_order"],
        recompute=bool(arguments["recompute"]),
        clip_norm=parts.clip_norm,
        amp=parts.amp,
        layout=parts.layout,
        keeps=arguments["optimizer_state"],
        device=parts.device,
        # To find out whether something draws, a stage goes forwards twice.
        draws=parts.draws or stages.changes_buffers,
        seed=seed,
        shuffle=bool(arguments["shuffle"]),
        total_steps=settings.total_steps(plan.steps_per_epoch),
        held_out=settings.held_out,
        scores=scores or Scores(parts.loss, None),
        scores_draw=stages.scores_draw,
        output=stages.output,
    )
    keeps_best = left_out is not None and arguments["tol"] is not None
    units, arrays = units_of(
        parts, stages, code, begun.model, len(plan.replicas), keeps_best=keeps_best
    )
    algorithm = PipelineSteps(
        units=units,
        plan=plan,
        stopping=settings.stopping,
        begin=begun.model,
        arrays=arrays,
        new=last is None,
        held_out=left_out,
        keeps_best=keeps_best,
    )
    state = PipelineState(begun.progress, begun.max_iter, begun.max_steps)
    return PipelineFit(settings, parts, stages, algorithm, state)


def plan_of(
    settings: FitSettings, parts: Parts, rows: Sequence[int], weighty: Sequence[int], seed: int
) -> PipelinePlan:
    """Return which samples make up the steps of all replicas.

    Parameters
    ----------
    settings : FitSettings
    parts : Parts
    rows, weighty : sequence of int
        Samples of each partition that are trained on, and those of them whose weight is not zero.
    seed : int

    Raises
    ------
    ValueError
        There are fewer partitions than replicas.
    """
    arguments = settings.arguments
    n_replicas = n_replicas_of(arguments)
    replicas = partitions_of_replicas(rows, n_replicas)
    size = math.ceil(rows_per_step(arguments["batch_size"], sum(rows)) / n_replicas)
    plan = PipelinePlan(
        rows=tuple(rows),
        weighty=tuple(weighty),
        batch=size,
        seed=seed if arguments["shuffle"] else None,
        replicas=replicas,
    )
    if n_replicas == 1:
        return plan
    return replace(plan, sync_steps=settings.sync_steps(plan.steps_per_epoch, size, parts))


def n_replicas_of(arguments: Mapping[str, Any]) -> int:
    """Return how many replicas of a pipeline there are to be."""
    if arguments["parallel"] == "pipeline":
        return 1
    given = arguments["n_replicas"]
    return N_REPLICAS if given == "auto" else int(given)


def _in_words(parts: Sequence[Part]) -> str:
    first, last = parts[0].name, parts[-1].name
    return first if first == last else f"{first} ... {last}"


def _held_out(
    rows: Sequence[int],
    trained_on: Sequence[int],
    fraction: float,
    size: int,
    replicas: tuple[tuple[int, ...], ...],
) -> HeldOut | None:
    """Return what is held out, in pieces of this size; None where nothing is asked for.

    Raises
    ------
    ValueError
        It comes to no sample.
    """
    if not fraction:
        return None
    found = tuple(n - left for n, left in zip(rows, trained_on, strict=True))
    if not any(found):
        raise nothing_scored(fraction)
    return HeldOut(fraction, found, size, replicas)


@dataclass(frozen=True)
class _Weighty(Query[Any]):
    """How many of the samples that are trained on have a weight that is not zero."""

    fraction: float
    seed: int

    def partial(self, partition: Partition) -> dict[int, int]:
        weight, index = partition.sample_weight, partition.index
        rows, _ = held_out(
            partition.start, partition.n_rows, self.fraction, seed=self.seed, partition=index
        )
        return {index: len(rows) if weight is None else int((weight[rows] > 0).sum())}

    def combine(self, left: dict[int, int], right: dict[int, int]) -> dict[int, int]:
        return left | right


def _weighty(data: Data, rows: Sequence[int], fraction: float, seed: int) -> tuple[int, ...]:
    if not data.weighted:
        return tuple(rows)
    found: dict[int, int] = reduce(_Weighty(fraction, seed), data)
    return tuple(found[i] for i in range(len(rows)))
