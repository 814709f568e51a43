"""Rounds of local training: a model out, weighted sums of its changes back, an average applied."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.neural_network._model import (
    Changes,
    Failure,
    Link,
    Losses,
    Model,
    Score,
    Scoring,
    Training,
    Work,
)
from daskml_exec.neural_network._outer import Outer
from daskml_exec.neural_network._problem import NetworkProblem, Numbers, changes
from daskml_exec.neural_network._progress import Progress, Stopping
from daskml_exec.partitions import Partition
from daskml_exec.training import Measured

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class NetworkFit:
    """The state between two rounds.

    Attributes
    ----------
    model : Model
    progress : Progress
    max_iter : int
        Epochs at most.
    rounds : int
        Done so far.
    position : int
        Steps done in this epoch.
    loss, weight : float
        Sums over the rows of this epoch so far.
    scoring : bool
        Whether the next round scores instead of training.
    velocity : ndarray or None
        Of the outer optimiser.
    link : Link or None
        Of compressed rounds.
    spread : TargetSpread or None
        Of the targets, after the first round.
    failure : Exception or None
    """

    model: Model
    progress: Progress
    max_iter: int
    rounds: int = 0
    position: int = 0
    loss: float = 0.0
    weight: float = 0.0
    scoring: bool = False
    velocity: Array | None = None
    link: Link | None = None
    spread: Any = None
    failure: Exception | None = None

    @property
    def step(self) -> str:
        return "score" if self.scoring else "train"

    @property
    def done(self) -> bool:
        if self.scoring:
            return False
        return self.progress.stopped or self.progress.epochs >= self.max_iter


@dataclass(frozen=True)
class NetworkRounds:
    """`Round` of networks whose local models are averaged by the weight of their rows.

    The moments of the optimiser are averaged as the parameters are. The average over one step of
    plain SGD is the step on the union of the batches.

    Source: McMahan, Moore, Ramage, Hampson and Agüera y Arcas (2017), Communication-efficient
    learning of deep networks from decentralized data, AISTATS; Stich (2019), Local SGD converges
    fast and communicates little, ICLR.
    """

    problem: NetworkProblem
    stopping: Stopping
    outer: Outer

    def outgoing(self, state: NetworkFit) -> Training | Scoring:
        if state.scoring:
            return Scoring(state.model.parameters)
        return Training(state.model, self.work(state))

    def work(self, state: NetworkFit) -> Work:
        """Return the steps of the next training round."""
        batching = self.problem.batching
        return Work(
            epoch=state.progress.epochs,
            first_step=state.position,
            n_steps=min(batching.sync_steps, batching.steps_per_epoch - state.position),
            learning_rate=state.progress.learning_rate * batching.learning_rate_factor,
            first_round=state.rounds == 0,
        )

    def partial(self, partition: Partition, message: Training | Scoring) -> Changes | Score:
        if isinstance(message, Scoring):
            return Score(self.problem.score_sums(partition, message.parameters))
        losses, local, weight = self.problem.train(partition, message)
        return changes(losses, local, weight, message.model)

    def combine(self, left: Any, right: Any) -> Any:
        if isinstance(left, Score):
            return Score(self.problem.target.combine(left.sums, right.sums))
        return left + right

    def update(self, state: NetworkFit, total: Changes | Score) -> tuple[NetworkFit, Measured]:
        if isinstance(total, Score):
            return self.scored(state, total)
        losses = total.losses
        if losses.failure:
            return self.failed(state, losses.failure), Measured()
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
                )
        return self.trained(replace(state, velocity=velocity), model, losses)

    def trained(
        self, state: NetworkFit, model: Model, losses: Losses
    ) -> tuple[NetworkFit, Measured]:
        """Return the state after a training round that gave this model."""
        batching, work = self.problem.batching, self.work(state)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = model.parameters.sum() + model.optimiser.moments.sum()
        if not np.isfinite(sums):
            return self.failed(state, Failure(diverged=True)), Measured()
        state = replace(
            state,
            model=model,
            rounds=state.rounds + 1,
            position=state.position + work.n_steps,
            loss=state.loss + losses.loss,
            weight=state.weight + losses.weight,
            spread=losses.spread if work.first_round else state.spread,
        )
        measured = Measured(loss=losses.loss / losses.weight if losses.weight else None)
        if state.position < batching.steps_per_epoch:
            return state, measured
        if not state.weight:
            nothing = Failure(data="no row with a positive weight is left to train on")
            return self.failed(state, nothing), measured
        progress = state.progress.after_epoch(
            state.loss / state.weight, sum(batching.rows), self.stopping
        )
        return replace(
            state,
            progress=progress,
            position=0,
            loss=0.0,
            weight=0.0,
            scoring=self.stopping.by_score,
        ), measured

    def scored(self, state: NetworkFit, total: Score) -> tuple[NetworkFit, Measured]:
        """Return the state after the score of its parameters is known."""
        with np.errstate(over="ignore", invalid="ignore"):
            score = self.problem.target.score(total.sums)
        if not np.isfinite(score):
            return self.failed(state, Failure(diverged=True)), Measured()
        progress = state.progress.after_score(score, state.model.parameters, self.stopping)
        return replace(state, progress=progress, scoring=False, rounds=state.rounds + 1), Measured(
            score=score
        )

    def failed(self, state: NetworkFit, failure: Failure) -> NetworkFit:
        """Return the state with the error that ends the fit."""
        error: Exception = ValueError(failure.data)
        if failure.diverged:
            layers = self.problem.network.layout.layers(state.model.parameters)
            error = DivergenceError(
                state.rounds,
                failure.partition,
                self.work(state).learning_rate,
                failure.remedy or self._remedy(),
                layers.coefs,
                layers.intercepts,
            )
        return replace(state, failure=error)

    def _remedy(self) -> str:
        """Say what may help where only the average, or its score, is not finite."""
        text = "Lower learning_rate_init or rescale X"
        if isinstance(self.problem.target, Numbers):
            text += " or y"
        return text + ("; outer='average' may help, too" if self.outer.momentum else "")
