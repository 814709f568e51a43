"""What a fit of a module is: which steps, from which state, and what it goes on with after."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from daskml_exec.kernels.networks.batches import rows_trained_on
from daskml_exec.partitions import Data, Partition, Pieces
from daskml_exec.torch._equip import equipped
from daskml_exec.torch._explain import Explanation
from daskml_exec.torch._flops import samples_per_round
from daskml_exec.torch._local_module import first_model
from daskml_exec.torch._purpose import Encode, Purpose, is_sequence
from daskml_exec.torch._recipe import Parts, Recipe, pickled_parts
from daskml_exec.torch._remembered import Last, Remembered, begun_anew, require_same_layout
from daskml_exec.torch._trainer import ModuleTrainer
from daskml_exec.training import Fitted, FitWarning, History, Reached
from daskml_exec.training.averaging import (
    LEAST_BATCH,
    SEEN,
    AveragedSteps,
    AveragingState,
    Batching,
    CompressedSteps,
    Model,
    Outer,
    Progress,
    Stopping,
    batching,
    chain_of,
    enlarged_batch,
    large_batch,
    outer_rule,
    sorted_rows,
    steps_of_fit,
)
from daskml_exec.training.averaging._batching import steps_between_averages
from daskml_exec.training.compression import WholeChange, codec_named

_MIX = "Mix the samples over the partitions before"
_LARGER_CHUNKS = "fewer, larger chunks of X, and a smaller rows_least"


class Underway(Protocol):
    """What the states of all ways to train a module have in common."""

    @property
    def progress(self) -> Progress:
        """What is known of the epochs that are over."""

    @property
    def position(self) -> int:
        """Steps done in this epoch."""


@dataclass(frozen=True)
class FitSettings:
    """What the arguments say of steps and averages.

    Attributes
    ----------
    arguments : mapping of str to object
        By name.
    incremental : bool
        Whether this is one epoch more.
    """

    arguments: Mapping[str, Any]
    incremental: bool

    @property
    def held_out(self) -> float:
        """The share of samples that models are scored on."""
        return float(self.arguments["validation_fraction"])

    @property
    def epochs(self) -> int:
        """How many there are at most."""
        return 1 if self.incremental else int(self.arguments["max_epochs"])

    @property
    def max_steps(self) -> int | None:
        """How many steps there are at most, in mid-epoch if need be."""
        limit = self.arguments["max_steps"]
        return None if self.incremental or limit is None else int(limit)

    @property
    def stopping(self) -> Stopping:
        """When training ends before."""
        tol = self.arguments["tol"]
        return Stopping(
            tol=0.0 if tol is None else float(tol),
            n_iter_no_change=np.inf if tol is None else self.arguments["n_iter_no_change"],
            by_score=self.held_out > 0,
            schedule="constant",
            initial_rate=float(self.arguments["lr"]),
        )

    @property
    def chain(self) -> str | None:
        """The name of what rounds send changes in."""
        compression, local = self.arguments["compression"], self._moments_stay
        return "whole" if compression is None and local else compression

    @property
    def _moments_stay(self) -> bool:
        return bool(self.arguments["optimizer_state"] == "local")

    def least(self, head: Partition) -> int:
        """Return how many samples a partition takes per step at least."""
        if self.arguments["rows_least"] is None:
            return 1 if is_sequence(head.X) else LEAST_BATCH
        return int(self.arguments["rows_least"])

    def batching(self, rows: Sequence[int], least: int, parts: Parts) -> Batching:
        """Return how the samples that are trained on make steps."""
        return batching(
            rows,
            self.arguments["batch_size"],
            self.arguments["sync_every"],
            linear_scaling=str(self.arguments["optimizer"]).lower() == "sgd",
            least=least,
            epochs=int(self.arguments["max_epochs"]),
            max_steps=self.max_steps,
            samples_per_round=_samples_per_round(parts),
        )

    def sync_steps(self, per_epoch: int, batch: int, parts: Parts) -> int:
        """Return how many of so many steps an epoch, of so many samples, are between averages."""
        return steps_between_averages(
            self.arguments["sync_every"],
            per_epoch,
            self.total_steps(per_epoch),
            _samples_per_round(parts) / batch,
        )

    def total_steps(self, per_epoch: int) -> int:
        """Return how many steps the scheduler is told of, of so many in an epoch."""
        return int(steps_of_fit(per_epoch, self.arguments["max_epochs"], self.max_steps))

    def reached(self, begun: Underway, state: Underway, steps_per_epoch: int) -> Reached:
        """Return how far training has come in this state since it began in another."""
        done = state.progress.epochs - begun.progress.epochs
        return Reached("epoch", float(done + state.position / steps_per_epoch), self.epochs)

    def algorithm(self, trainer: ModuleTrainer) -> AveragedSteps | CompressedSteps:
        """Return what trains, by how what was learnt travels."""
        codec = codec_named(self.arguments["compression"])
        if len(trainer.batching.rows) == 1:  # nothing is averaged, nothing travels
            return AveragedSteps(trainer, self.stopping, Outer(), SEEN)
        outer = outer_rule(self.arguments["outer"], trainer.batching)
        steps = AveragedSteps(trainer, self.stopping, outer, SEEN)
        if codec is None and self._moments_stay:
            codec = WholeChange()
        return steps if codec is None else CompressedSteps(steps, codec, self.incremental)

    def first_state(self, model: Model, last: Last | None) -> AveragingState:
        """Return the state to begin with, of a new model and what the last fit has left."""
        rate = float(self.arguments["lr"])
        progress, velocity = Progress(rate), None
        if last is not None and self.incremental:
            model, velocity = last.remembered.model, last.remembered.velocity
            progress = replace(last.remembered.progress, stopped=False, learning_rate=rate)
        elif last is not None:
            model = begun_anew(model, last.weights, last.layout)
        return AveragingState(
            model=model,
            velocity=velocity,
            progress=progress,
            max_iter=progress.epochs + self.epochs,
            max_steps=self.max_steps,
        )


def _samples_per_round(parts: Parts) -> float:
    layout = parts.layout
    sent = layout.parameters.size + layout.moments.size
    return samples_per_round(parts.flops, sent * layout.numpy_dtype.itemsize)


@dataclass(frozen=True)
class Fit:
    """A fit before its first round.

    Attributes
    ----------
    settings : FitSettings
    parts : Parts
    n_classes : int or None
        Of a classifier.
    least : int
        Samples that a partition takes per step at least.
    plan : Batching
        How samples make steps.
    algorithm : AveragedSteps or CompressedSteps
    state : AveragingState
        The first.
    carried : sequence or None
        What partitions have kept, to go on from; None where nothing is to be kept in the end.
    """

    settings: FitSettings
    parts: Parts
    n_classes: int | None
    least: int
    plan: Batching
    algorithm: AveragedSteps | CompressedSteps
    state: AveragingState
    carried: Sequence[Any] | None

    @property
    def opening(self) -> str:
        """What there is to train, and on how much, in words."""
        rows, epochs = self.plan.rows, self.settings.epochs
        return (
            f"{self.parts.layout.parameters.size:,} parameters; {sum(rows):,} samples to train on "
            f"in {len(rows):,} partition{'s' * (len(rows) != 1)}; at most {epochs:,} "
            f"epoch{'s' * (epochs != 1)} of {self.plan.steps_per_epoch:,} steps"
        )

    def reached(self, state: AveragingState) -> Reached:
        """Return how far training has come since it began."""
        return self.settings.reached(self.state, state, self.plan.steps_per_epoch)

    def warnings(self, state: AveragingState) -> list[FitWarning]:
        """Return what there is to say of the samples of training that has ended in this state."""
        rows, classes = self.plan.rows, self.n_classes is not None
        batch_size = self.settings.arguments["batch_size"]
        spread = state.seen if classes else None
        return [
            *large_batch(batch_size, sum(rows), "samples"),
            *enlarged_batch(self.plan, batch_size, "samples", _LARGER_CHUNKS),
            *sorted_rows(spread, len(rows), _MIX, classes=classes, what="sample"),
        ]

    def samples(self, data: Data, encode: Encode | None) -> AbstractContextManager[Data | Pieces]:
        """Return a context of the samples as steps need them."""
        return equipped(data, Recipe(pickled_parts(self.parts)), encode)

    def model(self, state: AveragingState, units: Mapping[int, Any]) -> Model:
        """Return the model that users see: with what a codec has not said yet, if known."""
        return state.shown or state.model

    def best(self, fitted: Fitted[AveragingState]) -> Model | None:
        """Return the model of the best score, if there is one, without its optimiser."""
        found: Model | None = fitted.state.progress.best
        return found

    def explanation(self, history: History) -> Explanation:
        """Return what there is to say of this after it."""
        arguments = self.settings.arguments
        return Explanation.of(
            self.parts,
            self.plan,
            self.least,
            arguments["optimizer_state"],
            arguments["compression"],
            history,
        )

    def remembered(self, fitted: Fitted[AveragingState]) -> Remembered:
        """Return what `partial_fit` goes on with after this."""
        state = fitted.state
        last = self.model(state, fitted.units)
        chain = chain_of(self.settings.chain, state, fitted.carried)
        if state.link is not None and chain is None:  # what partitions kept has gone
            last = begun_anew(first_model(self.parts), last, self.parts.layout)
        return Remembered(last, replace(state.progress, best=None), state.velocity, chain)


def fit_of(
    settings: FitSettings,
    parts: Parts,
    purpose: Purpose,
    head: Partition,
    rows: Sequence[int],
    seed: int,
    last: Last | None,
) -> Fit:
    """Return the fit of these parts.

    Parameters
    ----------
    settings : FitSettings
    parts : Parts
    purpose : Purpose
    head : Partition
        The first samples.
    rows : sequence of int
        Samples of each partition.
    seed : int
    last : Last or None
        What the fit that this goes on with has left.

    Raises
    ------
    ValueError
        The module has other parameters than it had then.
    """
    trained_on = rows_trained_on(rows, settings.held_out)
    least = settings.least(head)
    plan = settings.batching(trained_on, least, parts)
    trainer = ModuleTrainer(
        batching=plan,
        seed=seed,
        shuffle=bool(settings.arguments["shuffle"]),
        validation_fraction=settings.held_out,
        total_steps=settings.total_steps(plan.steps_per_epoch),
        n_moments=parts.layout.moments.size if parts.keeps_moments else 0,
        new=last is None,
        n_classes=purpose.n_classes,
    )
    if last is not None:
        optimizer = settings.arguments["optimizer"] if settings.incremental else None
        require_same_layout(last.layout, parts.layout, optimizer)
    state = settings.first_state(first_model(parts), last)
    carried: Sequence[Any] | None = () if settings.incremental else None
    chain = last.remembered.chain if last is not None and settings.incremental else None
    if chain is not None and chain.continues(settings.chain, state.model, len(rows)):
        state = replace(state, model=chain.model, velocity=chain.velocity, link=chain.link)
        carried = chain.carried
    algorithm = settings.algorithm(trainer)
    return Fit(settings, parts, purpose.n_classes, least, plan, algorithm, state, carried)
