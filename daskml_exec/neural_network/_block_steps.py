"""Segments of a network whose weights are cut into blocks: what workers do, what follows."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from daskml_exec.executor.peers import BlockExchange, Peer, Source
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.assemble import cut
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
from daskml_exec.kernels.networks.layout import Layers
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._block_stream import BatchStream
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.neural_network._problem import NetworkProblem, Numbers
from daskml_exec.partitions import Place
from daskml_exec.training import Measured, Segment, owners_of
from daskml_exec.training.averaging import Progress, Stopping, data_error
from daskml_exec.training.groups._replica_averages import Averaged, Share, average_replicas


@dataclass(frozen=True)
class ReplicaSums:
    """What a replica's steps have seen since an epoch began, of all blocks.

    Attributes
    ----------
    loss, weight : float
        As of `BlockSums`.
    steps : int
    squares : tuple of float
        Per block.
    averaged : float
        The weight at the last average of the replicas.
    """

    loss: float
    weight: float
    steps: int
    squares: tuple[float, ...]
    averaged: float

    @property
    def of_blocks(self) -> BlockSums:
        return BlockSums(self.loss, self.weight, self.steps, dict(enumerate(self.squares)), True)

    def penalised_loss(self, alpha: float) -> float:
        return penalised_loss(self.loss, self.of_blocks.squares, alpha)


@dataclass(frozen=True)
class BlockWork:
    """The steps of a segment, of each replica.

    Attributes
    ----------
    epoch, first_step, n_steps : int
    learning_rate : float
    before : tuple of ReplicaSums
        What the epoch's steps before have seen, per replica; empty in its first segment.
    """

    epoch: int
    first_step: int
    n_steps: int
    learning_rate: float
    before: tuple[ReplicaSums, ...]


@dataclass(frozen=True)
class Found:
    """What a member's blocks have seen.

    Attributes
    ----------
    sums : dict of replica to BlockSums
        Since the epoch began.
    averaged : dict of replica to float
        The weight at the last average of the replicas.
    data_failure : str or Place
    finite : bool
        Whether all losses were, and the weights are.
    """

    sums: dict[int, BlockSums] = field(default_factory=dict)
    averaged: dict[int, float] = field(default_factory=dict)
    data_failure: str | Place = ""
    finite: bool = True


@dataclass(frozen=True)
class BlocksState:
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
    sums : tuple of ReplicaSums
        Which they are made of, per replica; empty before the epoch's first segment.
    """

    progress: Progress
    max_iter: int
    segments: int = 0
    position: int = 0
    loss: float = 0.0
    weight: float = 0.0
    sums: tuple[ReplicaSums, ...] = ()

    @property
    def done(self) -> bool:
        """Whether no further segment is needed."""
        return self.progress.stopped or self.progress.epochs >= self.max_iter


@dataclass(frozen=True)
class BlockUnits:
    """`Units` of networks: the blocks of all replicas, replica by replica.

    Parameters
    ----------
    problem : NetworkProblem
    plan : BlockPlan
    dtype : numpy.dtype
        Of the weights.
    """

    problem: NetworkProblem
    plan: BlockPlan
    dtype: np.dtype[Any]

    @property
    def layout(self) -> BlockLayout:
        return BlockLayout(self.problem.network.layout.units, self.plan.n_blocks)

    @property
    def n(self) -> int:
        return len(self.plan.replicas) * self.plan.n_blocks

    def owners(self, n_workers: int) -> tuple[int, ...]:
        return owners_of(self.n, n_workers)

    @property
    def largest_nbytes(self) -> int:
        layout, moments = self.layout, self.problem.optimiser.n_moments
        size = sum(layout.size(layer, 0) for layer in range(layout.n_layers))
        return (1 + moments) * size * self.dtype.itemsize

    @property
    def alpha(self) -> float:
        """A replica's share of the penalty: that of a step's rows."""
        return self.problem.alpha / len(self.plan.replicas)

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


@dataclass(frozen=True)
class BlockSegment(Segment):
    """Steps of all blocks."""

    kind: BlockUnits
    work: BlockWork

    @property
    def step(self) -> str:
        return "train"

    @property
    def units(self) -> BlockUnits:
        return self.kind

    @property
    def n_steps(self) -> int:
        return self.work.n_steps

    def cut(self, limit: int) -> "BlockSegment":
        return replace(self, work=replace(self.work, n_steps=min(limit, self.work.n_steps)))

    def message(self) -> BlockWork:
        return self.work

    def sources(self) -> list[int]:
        work, plan = self.work, self.kind.plan
        return [
            stretch.partition
            for replica in range(len(plan.replicas))
            for stretch in plan.stretches(replica, work.epoch, work.first_step, work.n_steps)
        ]

    def run(
        self,
        peer: Peer,
        owners: Sequence[int],
        units: Mapping[int, BlockState],
        sources: Mapping[int, Source],
        name: int,
    ) -> Found:
        kind, work = self.kind, self.work
        plan = kind.plan
        replicas = sorted({unit // plan.n_blocks for unit in units})
        groups = {r: _group(kind, peer, owners, units, r, name) for r in replicas}
        streams = {r: BatchStream(kind.problem, plan, peer, sources, kind.dtype) for r in replicas}
        sums = {r: work.before[r].of_blocks if work.before else NOTHING for r in replicas}
        averaged = {r: work.before[r].averaged if work.before else 0.0 for r in replicas}
        for stint in plan.stints(work.first_step, work.n_steps):
            turns = {
                r: train_blocks(
                    groups[r],
                    kind.problem.optimiser,
                    streams[r].batches(r, work.epoch, stint.first, stint.last - stint.first),
                    learning_rate=work.learning_rate,
                    alpha=kind.alpha,
                    before=sums[r],
                    ends_epoch=stint.ends_epoch,
                )
                for r in replicas
            }
            sums = _in_turn(turns)
            if not stint.averages:
                continue
            mine = {
                r: Share(
                    found.weight - averaged[r], goes_on=found.finite and not streams[r].failure
                )
                for r, found in sums.items()
            }
            averages = {unit: _averaged(state) for unit, state in units.items()}
            go_on = average_replicas(
                peer, owners, averages, plan.n_blocks, mine, (name, stint.last)
            )
            for unit, state in units.items():
                _take_squares(kind.layout, unit % plan.n_blocks, state)
            averaged = {r: found.weight for r, found in sums.items()}
            if not go_on:
                break
        return Found(
            sums,
            averaged,
            next((stream.failure for stream in streams.values() if stream.failure), ""),
            all(found.finite for found in sums.values())
            and all(np.isfinite(state.squares.sum()) for state in units.values()),
        )


@dataclass(frozen=True)
class BlockSteps:
    """`Algorithm` of networks whose weights are cut into blocks.

    Parameters
    ----------
    units : BlockUnits
    stopping : Stopping
    layers : Layers or None
        Weights to start from; None for new ones.
    """

    units: BlockUnits
    stopping: Stopping
    layers: Layers | None = None

    states = (BlocksState, Progress, ReplicaSums)

    def given(self) -> dict[int, list[Array]]:
        """Return what blocks begin with, the same for all replicas; nothing for new ones."""
        if self.layers is None:
            return {}
        n_blocks, layout = self.units.plan.n_blocks, self.units.layout
        pieces = [cut(layout, self.layers, block) for block in range(n_blocks)]
        return {unit: pieces[unit % n_blocks] for unit in range(self.units.n)}

    def ask(self, state: BlocksState) -> BlockSegment | None:
        if state.done:
            return None
        plan = self.units.plan
        left = plan.steps_per_epoch - state.position
        work = BlockWork(
            epoch=state.progress.epochs,
            first_step=state.position,
            n_steps=left,
            learning_rate=state.progress.learning_rate,
            before=state.sums,
        )
        return BlockSegment(self.units, work)

    def tell(
        self, state: BlocksState, query: BlockSegment, answer: Sequence[Found]
    ) -> tuple[BlocksState, Measured]:
        work, plan, alpha = query.work, self.units.plan, self.units.alpha
        self._require_success(state, work, answer)
        sums = self._sums(answer)
        loss = sum(each.penalised_loss(alpha) for each in sums)
        weight = sum(each.weight for each in sums)
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
        if state.position < plan.steps_per_epoch:
            return state, measured
        if not state.weight:
            raise ValueError("no row with a positive weight is left to train on")
        progress = state.progress.after_epoch(
            state.loss / state.weight, sum(plan.rows), self.stopping
        )
        return BlocksState(progress, state.max_iter, state.segments), measured

    def _require_success(self, state: BlocksState, work: BlockWork, found: Sequence[Found]) -> None:
        wrong = [data_error(each.data_failure) for each in found if each.data_failure]
        if wrong:
            raise min(wrong, key=str)
        if not all(each.finite for each in found):
            numbers = isinstance(self.units.problem.target, Numbers)
            remedy = f"Lower learning_rate_init or rescale {'X or y' if numbers else 'X'}"
            raise DivergenceError(state.segments, None, work.learning_rate, remedy, (), ())

    def _sums(self, found: Sequence[Found]) -> tuple[ReplicaSums, ...]:
        """Return what each replica's steps have seen, of all blocks."""
        plan = self.units.plan
        sums = []
        for replica in range(len(plan.replicas)):
            holders = [each for each in found if replica in each.sums]
            squares = {b: v for each in holders for b, v in each.sums[replica].squares.items()}
            seen = holders[0].sums[replica]
            sums.append(
                ReplicaSums(
                    loss=seen.loss,
                    weight=seen.weight,
                    steps=seen.steps,
                    squares=tuple(squares[block] for block in range(plan.n_blocks)),
                    averaged=holders[0].averaged[replica],
                )
            )
        return tuple(sums)


def _group(
    kind: BlockUnits,
    peer: Peer,
    owners: Sequence[int],
    units: Mapping[int, BlockState],
    replica: int,
    name: int,
) -> BlockGroup:
    first, n = replica * kind.plan.n_blocks, kind.plan.n_blocks
    states = {u - first: state for u, state in units.items() if first <= u < first + n}
    exchange = BlockExchange(peer, owners[first : first + n], (name, replica))
    return BlockGroup(kind.problem.network, kind.layout, states, exchange)


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


def _averaged(state: BlockState) -> Averaged:
    """Return what replicas average of a block: the moments of the optimiser, too."""
    return Averaged([[a] for key, a in sorted(state.arrays().items()) if key != "squares"])


def _take_squares(layout: BlockLayout, block: int, state: BlockState) -> None:
    """Take a block's squares anew, after its weights were changed from outside."""
    for layer, flat in enumerate(state.parameters):
        state.squares[layer] = sum_of_squares(layout.views(layer, block, flat)[0])
