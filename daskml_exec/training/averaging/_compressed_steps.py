"""Rounds that send changes in a codec, both ways, and make up later for what it loses.

Each partition keeps on its Worker what it need not send: its copy of the parameters, the moments
of its optimiser, and the residual of its messages. It trains on from the parameters *with* its
residual, which is what it has learnt and not yet said: from the parameters alone it would learn the
same again, and say it twice. The driver's message is the change that it made to the parameters, in
the codec too, so that all copies and the driver's own parameters are equal to the bit. Buffers of
the model travel whole both ways, and are averaged in every round.

After `Tuning.exact_every` rounds, and at the end, one round is exact: changes and moments come back
whole and are averaged, and the next round starts from a whole model. What a lost Worker kept is
recomputed from there. What the driver has not said by then is dropped: the partitions, who did not
hear it, have learnt it again.

Source: Basu, Data, Karakus and Diggavi (2019), Qsparse-local-SGD: distributed SGD with
quantization, sparsification and local computations, NeurIPS; Tang, Lian, Yu, Zhang and Liu (2019),
DoubleSqueeze, ICML.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.executor import Carrying, fold, tuning
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.partitions import Partition
from daskml_exec.training._algorithm import Measured
from daskml_exec.training.averaging._averaged_steps import AveragedSteps, Scoring
from daskml_exec.training.averaging._local_trainer import LocalTrainer
from daskml_exec.training.averaging._model import (
    NO_BUFFERS,
    Buffers,
    Changes,
    Link,
    Losses,
    Model,
    Work,
    changes,
)
from daskml_exec.training.averaging._state import AveragingState
from daskml_exec.training.compression import Codec, HalfChange, SparseChange, compressed


@dataclass(frozen=True)
class Carry:
    """What a partition keeps between two rounds, in its Worker's memory."""

    model: Model
    """Without buffers, which come anew."""
    residual: Array | None
    weight: float
    """Of the rows behind its last message, and so of the residual."""


@dataclass(frozen=True)
class EncodedChanges(FieldwiseSum):
    """What comes back: each partition's change in the codec, with its weight.

    Encoded changes cannot be added without decoding them, so sums over partitions are lists.
    """

    losses: Losses
    pieces: tuple[tuple[float, Any], ...]
    buffers: Buffers = NO_BUFFERS
    """Each times its weight, as in `Changes`."""


@dataclass(frozen=True)
class Whole:
    """Where a chain begins: at a model that is sent whole."""

    model: Model

    def start(self, codec: Codec, carry: Carry | None) -> tuple[Model, Array | None, float]:
        """Return the model to train from, the residual of earlier messages, and its weight."""
        return self.model, None, 0.0


@dataclass(frozen=True)
class Continuation:
    """Where it goes on: at the model that the partition keeps, with how it has changed."""

    update: Any
    buffers: Buffers = NO_BUFFERS

    def start(self, codec: Codec, carry: Any) -> tuple[Model, Array | None, float]:
        """As of `Whole`."""
        parameters = carry.model.parameters + codec.decode(self.update)
        model = replace(carry.model, parameters=parameters, buffers=self.buffers)
        return model, carry.residual, carry.weight


@dataclass(frozen=True)
class Published(FieldwiseSum):
    """The answer where training is to go on, and the model so far is to be shown: both."""

    said: EncodedChanges
    whole: Changes


@dataclass(frozen=True)
class CompressedTrain(Carrying[Changes | EncodedChanges | Published]):
    """Steps of each partition, of which it says what the codec lets through."""

    problem: LocalTrainer
    codec: Codec
    begin: Whole | Continuation
    work: Work

    @property
    def step(self) -> str:
        return "train"

    @property
    def last(self) -> bool:
        return self.work.exact

    def partial(
        self, partition: Partition, carry: Carry | None
    ) -> tuple[Changes | EncodedChanges | Published, Carry | None]:
        """Return a partition's part of the sums, and what it keeps for the next round."""
        start, residual, last_weight = self.begin.start(self.codec, carry)
        here = start
        if residual is not None:
            here = replace(start, parameters=start.parameters + residual)
        losses, local, weight = self.problem.train(partition, here, self.work)
        whole = None
        if self.work.exact or self.work.published:
            whole = changes(losses, local, weight, start)
            if residual is not None and not weight:  # out of rows, but not of what it owes
                owed = residual.dtype.type(last_weight) * residual
                whole = replace(whole, parameters=whole.parameters + owed)
            if self.work.exact:
                return whole, None
        # Without a weight nothing is said, and nothing is lost.
        pieces: tuple[tuple[float, Any], ...] = ()
        kept = Carry(replace(start, buffers=NO_BUFFERS), residual, last_weight)
        if weight:
            encoded, residual = compressed(self.codec, local.parameters - start.parameters, None)
            pieces = ((weight, encoded),)
            kept = Carry(Model(start.parameters, local.optimiser), residual, weight)
        said = EncodedChanges(losses, pieces, local.buffers.weighted(weight))
        return (said if whole is None else Published(said, whole)), kept


@dataclass(frozen=True)
class CompressedSteps:
    """`Algorithm` of models whose changes are sent in a codec; see the module."""

    steps: AveragedSteps
    codec: Codec
    goes_on: bool = False
    """Whether training is to go on from the end, in the same chain."""

    @property
    def states(self) -> tuple[type, ...]:
        return (*self.steps.states, Link, HalfChange, SparseChange)

    def ask(self, state: AveragingState) -> CompressedTrain | Scoring | None:
        if state.scoring:
            return self.steps.scoring(state)
        if state.done:
            return None
        begin: Whole | Continuation = Whole(state.model)
        if state.link is not None:
            begin = Continuation(state.link.update, state.model.buffers)
        return CompressedTrain(self.steps.problem, self.codec, begin, self._work(state))

    def tell(
        self, state: AveragingState, query: Any, answer: Any
    ) -> tuple[AveragingState, Measured]:
        if state.scoring:
            return self.steps.scored(state, answer)
        if query.work.exact:
            return self.steps.averaged(replace(state, link=None), answer)
        if query.work.published:
            shown, _ = self.steps.averaged(replace(state, link=None), answer.whole)
            state, answer = replace(state, shown=shown.model), answer.said
        self.steps.require_success(state, answer.losses.failure)
        link = state.link or Link(None, None, 0)
        step = np.zeros_like(state.model.parameters)
        velocity, buffers = state.velocity, state.model.buffers
        if answer.pieces:
            buffers = answer.buffers.over(answer.losses.weight)
            change = fold([_decoded(self.codec, *piece) for piece in answer.pieces], np.add)
            change /= change.dtype.type(answer.losses.weight)
            step, velocity = self.steps.outer.step(velocity, change)
        update, residual = compressed(self.codec, step, link.residual)
        parameters = state.model.parameters + self.codec.decode(update)
        model = replace(state.model, parameters=parameters, buffers=buffers)
        state = replace(state, velocity=velocity, link=Link(update, residual, link.length + 1))
        return self.steps.trained(state, model, answer.losses)

    def _work(self, state: AveragingState) -> Work:
        work = self.steps.work(state)
        ends_epoch = work.first_step + work.n_steps >= self.steps.problem.batching.steps_per_epoch
        length = 0 if state.link is None else state.link.length
        # So is the last one, unless training stops before its time: nothing is left unsaid, and
        # `partial_fit` goes on from there.
        last = (ends_epoch and work.epoch + 1 >= state.max_iter) or state.steps_end(
            state.steps + work.n_steps
        )
        exact = length + 1 >= tuning().exact_every
        if self.goes_on:
            return replace(work, exact=exact, published=last and not exact)
        return replace(work, exact=last or exact)


def _decoded(codec: Codec, weight: float, encoded: Any) -> Array:
    change = codec.decode(encoded)
    change *= change.dtype.type(weight)
    return change


@dataclass(frozen=True)
class Chain:
    """Where training in a codec has come to, for `partial_fit` to go on.

    Attributes
    ----------
    codec : str
    shown : ndarray
        Parameters that the user was given.
    model : Model
        The driver's, without what has not been said.
    velocity : ndarray or None
        Of the outer rule.
    link : Link
    carried : tuple of Carry
        What each partition keeps.
    """

    codec: str
    shown: Array
    model: Model
    velocity: Array | None
    link: Link
    carried: tuple[Carry, ...]

    def continues(self, codec: str | None, model: Model, n_partitions: int) -> bool:
        """Return whether training from such a model, on so many partitions, goes on with it."""
        mine, other = self.shown, model.parameters
        # Not of the driver's model, whose optimiser has not taken a step before an exact round.
        moments = any(
            each.model.optimiser.moments.shape == model.optimiser.moments.shape
            for each in self.carried
        )
        # Whoever has changed the weights since wants to go on from them.
        same = mine.dtype == other.dtype and moments and np.array_equal(mine, other)
        return same and codec == self.codec and n_partitions == len(self.carried)


def chain_of(codec: str | None, state: AveragingState, carried: Sequence[Any]) -> Chain | None:
    """Return the chain that this state is in, if it is in one."""
    if codec is None or state.link is None or not carried:
        return None
    shown = (state.shown or state.model).parameters
    return Chain(codec, shown, state.model, state.velocity, state.link, tuple(carried))
