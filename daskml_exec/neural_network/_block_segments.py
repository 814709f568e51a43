"""Segments of a network whose weights are cut into blocks: what workers do, what follows."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from daskml_exec.executor.peers import BlockExchange, Peer, Source
from daskml_exec.kernels.networks.blocks.chunks import sum_of_squares
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.blocks.initial import initial_pieces
from daskml_exec.kernels.networks.blocks.states import (
    BlockState,
    first_state,
    from_arrays,
)
from daskml_exec.kernels.networks.blocks.training import (
    NOTHING,
    BlockSums,
    penalised_loss,
    train_blocks,
)
from daskml_exec.neural_network._block_averages import average_replicas
from daskml_exec.neural_network._block_plan import BlockPlan, Stretch
from daskml_exec.neural_network._block_stream import BatchStream
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.neural_network._problem import NetworkProblem, Numbers
from daskml_exec.neural_network._progress import Progress, Stopping
from daskml_exec.training import Measured

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class BlockWork:
    """The steps of a segment, of each replica.

    Attributes
    ----------
    epoch, first_step, n_steps : int
    learning_rate : float
    before : dict of replica to BlockSums
        What the epoch's steps before have seen, of all blocks; none in its first segment.
    """

    epoch: int
    first_step: int
    n_steps: int
    learning_rate: float
    before: Mapping[int, BlockSums]

    def sums_before(self, replica: int) -> BlockSums:
        """Return what a replica's steps of the epoch have seen so far."""
        return self.before.get(replica, NOTHING)


@dataclass(frozen=True)
class BlockFit:
    """The state between two segments; the weights are on the workers.

    Attributes
    ----------
    progress : Progress
    max_iter : int
        Epochs at most.
    segments : int
        Done so far.
    position : int
        Steps done in this epoch.
    loss, weight : float
        Sums over the rows of this epoch so far.
    sums : dict of replica to BlockSums
        Which they are made of.
    failure : Exception or None
    """

    progress: Progress
    max_iter: int
    segments: int = 0
    position: int = 0
    loss: float = 0.0
    weight: float = 0.0
    sums: Mapping[int, BlockSums] = field(default_factory=dict)
    failure: Exception | None = None

    @property
    def step(self) -> str:
        return "train"

    @property
    def done(self) -> bool:
        return self.progress.stopped or self.progress.epochs >= self.max_iter


@dataclass(frozen=True)
class Found:
    """What a member's blocks have seen.

    Attributes
    ----------
    sums : dict of replica to BlockSums
        Since the epoch began.
    data_failure : str
    finite : bool
        Whether all losses were, and the weights are.
    """

    sums: dict[int, BlockSums] = field(default_factory=dict)
    data_failure: str = ""
    finite: bool = True


@dataclass(frozen=True)
class BlockSegments:
    """`Segmented` of networks: units are the blocks of all replicas, replica by replica.

    Attributes
    ----------
    problem : NetworkProblem
    plan : BlockPlan
    stopping : Stopping
    dtype : numpy.dtype
        Of the weights.
    """

    problem: NetworkProblem
    plan: BlockPlan
    stopping: Stopping
    dtype: np.dtype[Any]

    @property
    def layout(self) -> BlockLayout:
        return BlockLayout(self.problem.network.layout.units, self.plan.n_blocks)

    @property
    def n_units(self) -> int:
        return len(self.plan.replicas) * self.plan.n_blocks

    @property
    def unit_nbytes(self) -> int:
        layout, moments = self.layout, self.problem.optimiser.n_moments
        size = sum(layout.size(layer, 0) for layer in range(layout.n_layers))
        return (1 + moments) * size * self.dtype.itemsize

    def outgoing(self, state: BlockFit, limit: int | None) -> BlockWork:
        left = self.plan.steps_per_epoch - state.position
        steps = self.plan.sync_steps or limit or left
        return BlockWork(
            epoch=state.progress.epochs,
            first_step=state.position,
            n_steps=min(steps, left),
            learning_rate=state.progress.learning_rate,
            before=state.sums,
        )

    def steps(self, work: BlockWork) -> int:
        return work.n_steps

    def sources(self, work: BlockWork) -> list[int]:
        return [
            stretch.partition
            for replica in range(len(self.plan.replicas))
            for stretch in self._stretches(replica, work)
        ]

    def create(self, unit: int, given: Any) -> BlockState:
        layout, block = self.layout, unit % self.plan.n_blocks
        if given is None:
            pieces = initial_pieces(
                layout,
                block,
                seed=self.problem.seed,
                logistic=self.problem.network.activation_name == "logistic",
                dtype=self.dtype,
            )
        else:
            pieces = [np.array(piece, self.dtype) for piece in given]
        return first_state(layout, block, pieces, self.problem.optimiser)

    def revive(self, unit: int, arrays: Mapping[str, Array]) -> BlockState:
        return from_arrays(arrays)

    def wanted(self) -> Sequence[int]:
        return range(self.plan.n_blocks)  # all replicas are alike

    def result(self, unit: BlockState) -> tuple[Array, ...]:
        return unit.parameters

    def train(
        self,
        peer: Peer,
        owners: Sequence[int],
        units: Mapping[int, BlockState],
        work: BlockWork,
        sources: Mapping[int, Source],
        name: int,
    ) -> Found:
        streams: dict[int, BatchStream] = {}
        turns: dict[int, Generator[None, None, BlockSums]] = {}
        for replica in sorted({unit // self.plan.n_blocks for unit in units}):
            stream = BatchStream(self.problem, self.plan, peer, sources, self.dtype)
            streams[replica] = stream
            turns[replica] = train_blocks(
                self._group(peer, owners, units, replica, name),
                self.problem.optimiser,
                stream.batches(replica, work.epoch, work.first_step, work.n_steps),
                learning_rate=work.learning_rate,
                alpha=self._alpha,
                before=work.sums_before(replica),
                ends_epoch=work.first_step + work.n_steps >= self.plan.steps_per_epoch,
            )
        sums = _in_turn(turns)
        if len(self.plan.replicas) > 1:
            weights = {
                replica: found.weight - work.sums_before(replica).weight
                for replica, found in sums.items()
            }
            average_replicas(peer, owners, units, self.plan.n_blocks, weights, name)
            for unit, averaged in units.items():
                _take_squares(self.layout, unit % self.plan.n_blocks, averaged)
        return Found(
            sums,
            next((stream.failure for stream in streams.values() if stream.failure), ""),
            all(found.finite for found in sums.values())
            and all(np.isfinite(state.squares.sum()) for state in units.values()),
        )

    def update(
        self, state: BlockFit, work: BlockWork, found: Sequence[Found]
    ) -> tuple[BlockFit, Measured]:
        wrong = [each.data_failure for each in found if each.data_failure]
        if wrong:
            return replace(state, failure=ValueError(min(wrong))), Measured()
        if not all(each.finite for each in found):
            rescale = "X or y" if isinstance(self.problem.target, Numbers) else "X"
            remedy = f"Lower learning_rate_init or rescale {rescale}"
            error = DivergenceError(state.segments, None, work.learning_rate, remedy, (), ())
            return replace(state, failure=error), Measured()
        sums = self._sums(found)
        loss = sum(penalised_loss(each.loss, each.squares, self._alpha) for each in sums.values())
        weight = sum(each.weight for each in sums.values())
        seen = weight - state.weight
        measured = Measured(loss=(loss - state.loss) / seen if seen else None)
        state = replace(
            state,
            segments=state.segments + 1,
            position=state.position + work.n_steps,
            loss=loss,
            weight=weight,
            sums=sums,
        )
        if state.position < self.plan.steps_per_epoch:
            return state, measured
        if not state.weight:
            nothing = ValueError("no row with a positive weight is left to train on")
            return replace(state, failure=nothing), measured
        progress = state.progress.after_epoch(
            state.loss / state.weight, sum(self.plan.rows), self.stopping
        )
        return BlockFit(progress, state.max_iter, state.segments), measured

    def _sums(self, found: Sequence[Found]) -> dict[int, BlockSums]:
        """Return what each replica's steps have seen, of all blocks."""
        sums: dict[int, BlockSums] = {}
        for replica in range(len(self.plan.replicas)):
            parts = [each.sums[replica] for each in found if replica in each.sums]
            squares = {block: value for part in parts for block, value in part.squares.items()}
            sums[replica] = replace(parts[0], squares=squares)
        return sums

    @property
    def _alpha(self) -> float:
        """Return a replica's share of the penalty: that of a step's rows."""
        return self.problem.alpha / len(self.plan.replicas)

    def _stretches(self, replica: int, work: BlockWork) -> Iterator[Stretch]:
        return self.plan.stretches(replica, work.epoch, work.first_step, work.n_steps)

    def _group(
        self,
        peer: Peer,
        owners: Sequence[int],
        units: Mapping[int, BlockState],
        replica: int,
        name: int,
    ) -> BlockGroup:
        first, n = replica * self.plan.n_blocks, self.plan.n_blocks
        states = {u - first: state for u, state in units.items() if first <= u < first + n}
        exchange = BlockExchange(peer, owners[first : first + n], (name, replica))
        return BlockGroup(self.problem.network, self.layout, states, exchange)


def _in_turn(
    turns: Mapping[int, Generator[None, None, BlockSums]],
) -> dict[int, BlockSums]:
    """Take a step of each in turn, the same order on all workers, until all are at their end."""
    sums: dict[int, BlockSums] = {}
    while len(sums) < len(turns):
        for replica, steps in turns.items():
            if replica not in sums:
                try:
                    next(steps)
                except StopIteration as end:
                    sums[replica] = end.value
    return sums


def _take_squares(layout: BlockLayout, block: int, state: BlockState) -> None:
    """Take a block's squares anew, after its weights were changed from outside."""
    for layer, flat in enumerate(state.parameters):
        state.squares[layer] = sum_of_squares(layout.views(layer, block, flat)[0])
