"""Local training, averaged: a model out, weighted sums of its changes back, an average applied."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.executor import Query
from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.partitions import Partition
from daskml_exec.training._algorithm import Measured
from daskml_exec.training.averaging._local_trainer import LocalTrainer
from daskml_exec.training.averaging._model import (
    Buffers,
    Changes,
    Failure,
    Losses,
    Model,
    Work,
    changes,
)
from daskml_exec.training.averaging._outer import Outer
from daskml_exec.training.averaging._progress import Progress, Stopping
from daskml_exec.training.averaging._state import AveragingState


@dataclass(frozen=True)
class Train(Query[Changes]):
    """Steps from this model, in each partition."""

    problem: LocalTrainer
    model: Model
    work: Work

    def partial(self, partition: Partition) -> Changes:
        losses, local, weight = self.problem.train(partition, self.model, self.work)
        return changes(losses, local, weight, self.model)


@dataclass(frozen=True)
class Scoring(Query[Any]):
    """How good this model, which has no optimiser state, is on the rows held out."""

    problem: LocalTrainer
    model: Model

    @property
    def step(self) -> str:
        return "score"

    def partial(self, partition: Partition) -> Any:
        return self.problem.score_sums(partition, self.model)

    def combine(self, left: Any, right: Any) -> Any:
        return self.problem.combine_scores(left, right)


@dataclass(frozen=True)
class AveragedSteps:
    """`Algorithm` of models that are trained locally, and averaged by the weight of their rows.

    The moments of the optimiser are averaged as the parameters are, and so are the statistics that
    a model keeps beside them; of these the outer rule takes the average itself. The average over
    one step of plain SGD is the step on the union of the batches.

    Parameters
    ----------
    problem : LocalTrainer
    stopping : Stopping
    outer : Outer
    seen : tuple of classes
        The dataclasses of which that may be made what partitions find when they first look.

    Source: McMahan, Moore, Ramage, Hampson and Agüera y Arcas (2017), Communication-efficient
    learning of deep networks from decentralized data, AISTATS; Stich (2019), Local SGD converges
    fast and communicates little, ICLR.
    """

    problem: LocalTrainer
    stopping: Stopping
    outer: Outer
    seen: tuple[type, ...] = ()

    @property
    def states(self) -> tuple[type, ...]:
        return (AveragingState, Model, Buffers, OptimiserState, Progress, *self.seen)

    def ask(self, state: AveragingState) -> Train | Scoring | None:
        if state.scoring:
            return self.scoring(state)
        return None if state.done else Train(self.problem, state.model, self.work(state))

    def tell(
        self, state: AveragingState, query: Train | Scoring, answer: Any
    ) -> tuple[AveragingState, Measured]:
        return self.scored(state, answer) if state.scoring else self.averaged(state, answer)

    def scoring(self, state: AveragingState) -> Scoring:
        """Return what asks for the score of a model."""
        return Scoring(self.problem, state.model.without_optimiser)

    def work(self, state: AveragingState) -> Work:
        """Return the steps of the next training round."""
        batching = self.problem.batching
        n_steps = min(batching.sync_steps, batching.steps_per_epoch - state.position)
        if state.max_steps is not None:
            n_steps = min(n_steps, state.max_steps - state.steps)
        return Work(
            epoch=state.progress.epochs,
            first_step=state.position,
            n_steps=n_steps,
            learning_rate=state.progress.learning_rate * batching.learning_rate_factor,
            first_round=state.rounds == 0,
        )

    def averaged(self, state: AveragingState, total: Changes) -> tuple[AveragingState, Measured]:
        """Return the state after a round of training with these sums."""
        losses = total.losses
        self.require_success(state, losses.failure)
        model, velocity = state.model, state.velocity
        if losses.weight:
            with np.errstate(over="ignore", invalid="ignore"):
                change = total.parameters / total.parameters.dtype.type(losses.weight)
                change, velocity = self.outer.step(velocity, change)
                model = Model(
                    model.parameters + change,
                    OptimiserState(
                        total.moments / total.moments.dtype.type(losses.weight),
                        total.scales / losses.weight,
                    ),
                    total.buffers.over(losses.weight),
                )
        return self.trained(replace(state, velocity=velocity), model, losses)

    def trained(
        self, state: AveragingState, model: Model, losses: Losses
    ) -> tuple[AveragingState, Measured]:
        """Return the state after a training round that gave this model."""
        batching, work = self.problem.batching, self.work(state)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = model.parameters.sum() + model.optimiser.moments.sum()
        if not np.isfinite(sums):
            raise self.error(state, Failure(diverged=True))
        state = replace(
            state,
            model=model,
            rounds=state.rounds + 1,
            position=state.position + work.n_steps,
            steps=state.steps + work.n_steps,
            loss=state.loss + losses.loss,
            weight=state.weight + losses.weight,
            seen=losses.seen if work.first_round else state.seen,
        )
        measured = Measured(loss=losses.loss / losses.weight if losses.weight else None)
        ends_epoch = state.position >= batching.steps_per_epoch
        # The epoch in which the steps end counts as one, of the rows that it came to.
        if not (ends_epoch or state.steps_end(state.steps)):
            return state, measured
        if not state.weight:
            raise ValueError("no row with a positive weight is left to train on")
        progress = state.progress.after_epoch(
            state.loss / state.weight, batching.rows_until(state.position), self.stopping
        )
        return replace(
            state,
            progress=progress,
            position=0,
            loss=0.0,
            weight=0.0,
            scoring=self.stopping.by_score,
        ), measured

    def scored(self, state: AveragingState, sums: Any) -> tuple[AveragingState, Measured]:
        """Return the state after the score of its model is known."""
        with np.errstate(over="ignore", invalid="ignore"):
            score = self.problem.score(sums)
        if not np.isfinite(score.value):
            raise self.error(state, Failure(diverged=True))
        progress = state.progress.after_score(
            score.value, state.model.without_optimiser, self.stopping
        )
        state = replace(state, progress=progress, scoring=False, rounds=state.rounds + 1)
        return state, Measured(score=score.value, scores=score.named)

    def require_success(self, state: AveragingState, failure: Failure) -> None:
        """Raise what ends training, if partitions have found it."""
        if failure:
            raise self.error(state, failure)

    def error(self, state: AveragingState, failure: Failure) -> Exception:
        """Return the error that ends training."""
        return self.problem.error(failure, state, self.work(state).learning_rate, self.outer)
