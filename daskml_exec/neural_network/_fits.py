"""Train a network as planned: whole models that are averaged, or blocks that stay on workers.

What happens before the first round is here, too: the model to start from, and what is told.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.assemble import assemble
from daskml_exec.kernels.networks.compiled_updates import compile_updates
from daskml_exec.kernels.networks.layout import Layers, initial_parameters
from daskml_exec.kernels.networks.optimisers import Adam, OptimiserState, init
from daskml_exec.neural_network._block_holders import BlockHolders
from daskml_exec.neural_network._block_plan import BlockPlan, asked_blocks
from daskml_exec.neural_network._block_steps import BlocksState, BlockSteps, BlockUnits
from daskml_exec.neural_network._explain import BlockExplanation, Explanation
from daskml_exec.neural_network._fit_warnings import not_converged
from daskml_exec.neural_network._problem import Classes, NetworkProblem
from daskml_exec.neural_network._workload import Case, data_memory, require_room
from daskml_exec.neural_network.planning import measured, strategies_of
from daskml_exec.partitions import Partition, Partitions
from daskml_exec.training import Callback, FitWarning, History, Reached, compile_ahead, train
from daskml_exec.training.averaging import (
    AveragedSteps,
    AveragingState,
    Chain,
    CompressedSteps,
    Model,
    Progress,
    Stopping,
    TargetSpread,
    chain_of,
    enlarged_batch,
    large_batch,
    sorted_rows,
)

Remembered = tuple[Array, Array, Array | None]
"""The moments of an optimiser, their scales, and the velocity of the outer rule, if it has one:
arrays, which any way of saving a model takes."""


_FEWER = "fewer, larger chunks of X"
_DEAL = "shuffle='partitions' deals the rows anew"


@dataclass(frozen=True)
class Training:
    """What to train, and whom to tell of it.

    Attributes
    ----------
    problem : NetworkProblem
    partitions : Partitions
    case : Case
    stopping : Stopping
    progress : Progress
        To start with.
    max_iter : int
        Epochs at most, with those of the progress.
    callbacks : sequence of callables
    snapshot : callable
        Returns an estimator that has these weights.
    name : str
        The estimator's.
    goes_on : bool
        Whether training is to go on from where this ends.
    """

    problem: NetworkProblem
    partitions: Partitions
    case: Case
    stopping: Stopping
    progress: Progress
    max_iter: int
    callbacks: Sequence[Callback]
    snapshot: Callable[[Layers], Any]
    name: str
    goes_on: bool = False

    def reached(self, state: AveragingState | BlocksState, steps_per_epoch: int) -> Reached:
        """Return how far training has come since it began."""
        limit = self.max_iter - self.progress.epochs
        return Reached("epoch", self.epochs(state, steps_per_epoch), limit)

    def epochs(self, state: AveragingState | BlocksState, steps_per_epoch: int) -> float:
        """Return how many epochs were trained."""
        done = state.progress.epochs - self.progress.epochs
        return float(done + state.position / steps_per_epoch)

    def explained(
        self, state: AveragingState | BlocksState, history: History, steps_per_epoch: int
    ) -> dict[str, Any]:
        """Return the fields that all explanations of networks have."""
        network = self.problem.network
        return {
            "layers": network.layout.units,
            "n_parameters": network.layout.size,
            "activation": network.activation_name,
            "output": network.output_name,
            "history": history,
            "case": self.case,
            "epochs": self.epochs(state, steps_per_epoch),
        }

    def warnings(
        self, state: AveragingState | BlocksState, spread: TargetSpread | None
    ) -> tuple[FitWarning, ...]:
        """Return what there is to say of training that has ended in this state."""
        problem, rows = self.problem, self.problem.batching.rows
        batch_size = self.case.arguments["batch_size"]
        classes = isinstance(problem.target, Classes)
        found = [
            *large_batch(batch_size, sum(rows)),
            *sorted_rows(spread, len(rows), _DEAL, classes=classes),
        ]
        if isinstance(state, AveragingState):
            found += enlarged_batch(problem.batching, batch_size, "rows", _FEWER)
        if not self.goes_on and not state.progress.stopped and state.done:
            found.append(not_converged(self.name, state.max_iter, self.stopping))
        return tuple(found)


@dataclass(frozen=True)
class FittedNetwork:
    """What came out of training, however it was shared."""

    state: AveragingState | BlocksState
    layers: Layers
    remembered: Remembered | None
    chain: Chain | None
    history: History
    explanation: Explanation | BlockExplanation
    warnings: tuple[FitWarning, ...]


def train_whole(
    training: Training,
    algorithm: AveragedSteps | CompressedSteps,
    model: Model,
    last: Remembered | None,
    chain: Chain | None,
    *,
    compression: str | None,
    dealt: bool,
) -> FittedNetwork:
    """Average local models of the whole network, round by round.

    Parameters
    ----------
    training : Training
    algorithm : AveragedSteps or CompressedSteps
    model : Model
        To start from.
    last : Remembered or None
        Of the training that this goes on with.
    chain : Chain or None
        Where that has come to, in a codec.
    compression : str or None
    dealt : bool
        Whether the rows were dealt anew over the partitions first.
    """
    layout, batching = training.problem.network.layout, training.problem.batching
    state = AveragingState(
        model=model,
        velocity=last_velocity(model.parameters, last),
        progress=training.progress,
        max_iter=training.max_iter,
    )
    carried: Sequence[Any] | None = () if training.goes_on else None
    if chain is not None and chain.continues(compression, model, len(training.partitions.rows)):
        state = replace(state, model=chain.model, velocity=chain.velocity, link=chain.link)
        carried = chain.carried
    result = train(
        algorithm,
        state,
        training.partitions,
        callbacks=training.callbacks,
        view=lambda state: partial(
            _view, training.snapshot, layout.layers(_shown(state).parameters)
        ),
        reached=lambda state: training.reached(state, batching.steps_per_epoch),
        carried=carried,
        name=training.name.lower(),
    )
    state = result.state
    shown = _shown(state)
    best = state.progress.best if training.stopping.by_score else None
    return FittedNetwork(
        state=state,
        layers=layout.layers((best or shown).parameters),
        remembered=remembered(shown, state.velocity),
        chain=chain_of(compression, state, result.carried),
        history=result.history,
        explanation=Explanation(
            **training.explained(state, result.history, batching.steps_per_epoch),
            batching=batching,
            compression=compression,
            dealt=dealt,
        ),
        warnings=training.warnings(state, state.seen),
    )


def train_blocks(training: Training, plan: BlockPlan, layers: Layers | None) -> FittedNetwork:
    """Train blocks of the network that stay on their workers.

    Parameters
    ----------
    training : Training
    plan : BlockPlan
    layers : Layers or None
        Weights to start from; None for new ones.
    """
    units = BlockUnits(training.problem, plan, training.partitions.dtype)

    def whole(held: Mapping[int, Any]) -> Layers:
        return assemble(units.layout, {block: held[block] for block in range(plan.n_blocks)})

    result = train(
        BlockSteps(units, training.stopping, layers),
        BlocksState(training.progress, training.max_iter),
        training.partitions,
        callbacks=training.callbacks,
        view=lambda state: lambda held: training.snapshot(whole(held)),
        reached=lambda state: training.reached(state, plan.steps_per_epoch),
        name=training.name.lower(),
    )
    return FittedNetwork(
        state=result.state,
        layers=whole(result.units),
        remembered=None,
        chain=None,
        history=result.history,
        explanation=BlockExplanation(
            **training.explained(result.state, result.history, plan.steps_per_epoch), plan=plan
        ),
        warnings=training.warnings(result.state, None),
    )


def _shown(state: AveragingState) -> Model:
    """Return the model that users see: with what a codec has not said yet, where that is known."""
    return state.shown or state.model


def _view(snapshot: Callable[[Layers], Any], layers: Layers, units: Mapping[int, Any]) -> Any:
    return snapshot(layers)


def new_model(problem: NetworkProblem, dtype: np.dtype[Any]) -> Model:
    """Return drawn parameters, with an optimiser that remembers nothing."""
    layout = problem.network.layout
    logistic = problem.network.activation_name == "logistic"
    parameters = initial_parameters(layout, seed=problem.seed, logistic=logistic, dtype=dtype)
    return Model(parameters, init(problem.optimiser, layout.size, dtype))


def going_on(
    problem: NetworkProblem, dtype: np.dtype[Any], layers: Layers, last: Remembered | None
) -> Model:
    """Return a model with the parameters of these layers, and what the optimiser remembers.

    Parameters
    ----------
    problem : NetworkProblem
    dtype : numpy.dtype
    layers : Layers
    last : Remembered or None
        It counts if its moments are of this dtype and shape.
    """
    layout = problem.network.layout
    fresh = init(problem.optimiser, layout.size, dtype)
    parameters = layout.flat(*layers).astype(dtype, copy=False)
    if last is not None:
        moments, scales, _ = last
        if moments.dtype == dtype and moments.shape == fresh.moments.shape:
            return Model(parameters, OptimiserState(moments, scales))
    return Model(parameters, fresh)


def last_velocity(parameters: Array, last: Remembered | None) -> Array | None:
    """Return the velocity to go on with, which counts if it is of these parameters."""
    velocity = None if last is None else last[2]
    alike = velocity is not None and (velocity.dtype, velocity.shape) == (
        parameters.dtype,
        parameters.shape,
    )
    return velocity if alike else None


def remembered(model: Model, velocity: Array | None) -> Remembered:
    """Return what the optimiser and the outer rule remember."""
    return model.optimiser.moments, model.optimiser.scales, velocity


def planned(case: Case, partitions: Partitions) -> tuple[Case, str, BlockPlan | None]:
    """Return the case, how it is to be trained, and the steps if that is in blocks.

    The case comes back with what was found out of the cluster for ``parallel="auto"``.

    Raises
    ------
    ValueError
        What was asked for is impossible, or does not fit in the workers' memory; or nothing fits.
    """
    if case.parallel == "auto":
        case = measured(case, partitions)
        strategies = strategies_of(case)
        return case, strategies.chosen.parallel, strategies.block_plan
    work, plan = case.work, None
    if case.parallel == "data":
        needed = data_memory(work, case.batching)
    else:
        plan = asked_blocks(case)
        needed = BlockHolders(work, plan).most_memory
    require_room(case.parallel, needed, work.memory_limit)
    return case, case.parallel, plan


def opening(problem: NetworkProblem, parallel: str, blocks: BlockPlan | None, epochs: int) -> str:
    """Return what there is to train, and on how much, in words."""
    layout, rows = problem.network.layout, problem.batching.rows
    plan = blocks or problem.batching
    return (
        f"layers {'-'.join(map(str, layout.units))}, {layout.size:,} parameters; "
        f"{sum(rows):,} rows to train on in {len(rows):,} partition{'s' * (len(rows) != 1)}; "
        f"at most {epochs:,} epoch{'s' * (epochs != 1)} of {plan.steps_per_epoch:,} steps, "
        f"parallel={parallel!r}"
    )


def prepare(
    problem: NetworkProblem, partitions: Partitions, *, say: Callable[[str], object]
) -> None:
    """Have compiled what steps call, and say so if it is to be."""
    if isinstance(problem.optimiser, Adam):
        dtype = partitions.dtype
        compile_ahead(partitions, partial(_compile, dtype), f"updates of {dtype}", say=say)


def _compile(dtype: np.dtype[Any], partition: Partition) -> None:
    if is_host(partition.X):
        compile_updates(dtype)
