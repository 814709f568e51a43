"""Rounds that send changes in a codec, both ways, and make up later for what it loses.

Each partition keeps on its Worker what it need not send: its copy of the parameters, the moments
of its optimiser, and the residual of its messages. It trains on from the parameters *with* its
residual, which is what it has learnt and not yet said: from the parameters alone it would learn the
same again, and say it twice. The driver's message is the change that it made to the parameters, in
the codec too, so that all copies and the driver's own parameters are equal to the bit.

After `EXACT_EVERY` rounds, and at the end, one round is exact: changes and moments come back whole
and are averaged, and the next round starts from a whole model. What a lost Worker kept is
recomputed from there. What the driver has not said by then is dropped: the partitions, who did not
hear it, have learnt it again.

Source: Basu, Data, Karakus and Diggavi (2019), Qsparse-local-SGD: distributed SGD with
quantization, sparsification and local computations, NeurIPS; Tang, Lian, Yu, Zhang and Liu (2019),
DoubleSqueeze, ICML.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.executor import fold
from daskml_exec.neural_network._model import (
    Changes,
    Link,
    Losses,
    Model,
    Score,
    Scoring,
    Training,
    Work,
)
from daskml_exec.neural_network._problem import changes
from daskml_exec.neural_network._rounds import NetworkFit, NetworkRounds
from daskml_exec.partitions import Partition
from daskml_exec.training import Measured
from daskml_exec.training.compression import Codec, compressed

Array = np.ndarray[Any, np.dtype[Any]]

EXACT_EVERY = 64
"""An exact round moves three vectors each way, in full; at this distance that is about what the
sparsest codec moves in the rounds between, and a loss costs 64 rounds of one partition at most."""


@dataclass(frozen=True)
class Continuation:
    """What travels out within a chain: how the parameters change, and the steps to take."""

    update: Any
    work: Work


@dataclass(frozen=True)
class Carry:
    """What a partition keeps between two rounds, in its Worker's memory."""

    model: Model
    residual: Array | None
    weight: float
    """Of the rows behind its last message, and so of the residual."""


@dataclass(frozen=True)
class EncodedChanges:
    """What comes back: each partition's change in the codec, with its weight.

    Encoded changes cannot be added without decoding them, so sums over partitions are lists.
    """

    losses: Losses
    pieces: tuple[tuple[float, Any], ...]

    def __add__(self, other: "EncodedChanges") -> "EncodedChanges":
        return EncodedChanges(self.losses + other.losses, self.pieces + other.pieces)


@dataclass(frozen=True)
class CompressedRounds:
    """`CarryingRound` of networks; see the module."""

    rounds: NetworkRounds
    codec: Codec

    def outgoing(self, state: NetworkFit) -> Training | Continuation | Scoring:
        if state.scoring:
            return Scoring(state.model.parameters)
        work = self._work(state)
        if state.link is None:
            return Training(state.model, work)
        return Continuation(state.link.update, work)

    def ends_carrying(self, state: NetworkFit) -> bool:
        return not state.scoring and self._work(state).exact

    def partial(self, partition: Partition, message: Any) -> Any:
        result, _ = self.partial_carrying(partition, message, None)
        return result

    def partial_carrying(
        self, partition: Partition, message: Any, carry: Carry | None
    ) -> tuple[Changes | EncodedChanges | Score, Carry | None]:
        """Return a partition's part of the sums, and what it keeps for the next round."""
        if isinstance(message, Scoring):
            return self.rounds.partial(partition, message), carry
        start, residual = self._start(message, carry)
        last_weight = 0.0 if carry is None else carry.weight
        here = start
        if residual is not None:
            here = replace(start, parameters=start.parameters + residual)
        losses, local, weight = self.rounds.problem.train(partition, Training(here, message.work))
        if message.work.exact:
            total = changes(losses, local, weight, start)
            if residual is not None and not weight:  # out of rows, but not of what it owes
                owed = residual.dtype.type(last_weight) * residual
                total = replace(total, parameters=total.parameters + owed)
            return total, None
        if not weight:  # nothing is said, and nothing is lost
            return EncodedChanges(losses, ()), Carry(start, residual, last_weight)
        encoded, residual = compressed(self.codec, local.parameters - start.parameters, None)
        kept = Carry(Model(start.parameters, local.optimiser), residual, weight)
        return EncodedChanges(losses, ((weight, encoded),)), kept

    def combine(self, left: Any, right: Any) -> Any:
        return self.rounds.combine(left, right)

    def update(self, state: NetworkFit, total: Any) -> tuple[NetworkFit, Measured]:
        if isinstance(total, Score):
            return self.rounds.scored(state, total)
        if total.losses.failure:
            return self.rounds.failed(state, total.losses.failure), Measured()
        if isinstance(total, Changes):
            return self.rounds.update(replace(state, link=None), total)
        link = state.link or Link(None, None, 0)
        step = np.zeros_like(state.model.parameters)
        velocity = state.velocity
        if total.pieces:
            change = fold([_decoded(self.codec, *piece) for piece in total.pieces], np.add)
            change /= change.dtype.type(total.losses.weight)
            step, velocity = self.rounds.outer.step(velocity, change)
        update, residual = compressed(self.codec, step, link.residual)
        model = replace(state.model, parameters=state.model.parameters + self.codec.decode(update))
        state = replace(state, velocity=velocity, link=Link(update, residual, link.length + 1))
        return self.rounds.trained(state, model, total.losses)

    def _work(self, state: NetworkFit) -> Work:
        work = self.rounds.work(state)
        ends_epoch = work.first_step + work.n_steps >= self.rounds.problem.batching.steps_per_epoch
        length = 0 if state.link is None else state.link.length
        # So is the last one, unless training stops before its time: nothing is left unsaid, and
        # `partial_fit` goes on from there.
        last = ends_epoch and work.epoch + 1 >= state.max_iter
        return replace(work, exact=last or length + 1 >= EXACT_EVERY)

    def _start(self, message: Any, carry: Carry | None) -> tuple[Model, Array | None]:
        """Return the model to train from, and the residual of earlier messages."""
        if isinstance(message, Training):
            return message.model, None
        assert carry is not None
        parameters = carry.model.parameters + self.codec.decode(message.update)
        return replace(carry.model, parameters=parameters), carry.residual


def _decoded(codec: Codec, weight: float, encoded: Any) -> Array:
    change = codec.decode(encoded)
    change *= change.dtype.type(weight)
    return change
