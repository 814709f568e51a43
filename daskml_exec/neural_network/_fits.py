"""Train a network as planned: whole models that are averaged, or blocks that stay on workers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from daskml_exec.kernels.networks.layout import Layers
from daskml_exec.neural_network._block_explain import BlockExplanation
from daskml_exec.neural_network._block_fit import fit_blocks
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._block_segments import BlockFit, BlockSegments
from daskml_exec.neural_network._compressed import CompressedRounds
from daskml_exec.neural_network._explain import Explanation
from daskml_exec.neural_network._model import Model
from daskml_exec.neural_network._problem import NetworkProblem
from daskml_exec.neural_network._progress import Stopping
from daskml_exec.neural_network._rounds import NetworkFit, NetworkRounds
from daskml_exec.neural_network._strategies import Strategies
from daskml_exec.partitions import Partitions
from daskml_exec.training import Callback, History, Reached, run_rounds


@dataclass(frozen=True)
class Fit:
    """What to train, and what to tell of it.

    Attributes
    ----------
    problem : NetworkProblem
    partitions : Partitions
    strategies : Strategies
    stopping : Stopping
    beginning : mapping
        The progress to start with, and where it ends.
    callbacks : sequence of callables
    snapshot : callable
        Returns an estimator that has these weights.
    name : str
        What the tasks are called.
    """

    problem: NetworkProblem
    partitions: Partitions
    strategies: Strategies
    stopping: Stopping
    beginning: Mapping[str, Any]
    callbacks: Sequence[Callback]
    snapshot: Callable[[Layers], Any]
    name: str

    @property
    def network(self) -> tuple[tuple[int, ...], int, str, str]:
        """What explanations say of the network: layers, parameters, activation, output."""
        network = self.problem.network
        layout = network.layout
        return layout.units, layout.size, network.activation_name, network.output_name

    def reached(self, state: NetworkFit | BlockFit, steps_per_epoch: int) -> Reached:
        """Return how far training has come since it began."""
        limit = self.beginning["max_iter"] - self.beginning["progress"].epochs
        return Reached("epoch", self.epochs(state, steps_per_epoch), limit)

    def epochs(self, state: NetworkFit | BlockFit, steps_per_epoch: int) -> float:
        """Return how many epochs were trained."""
        done = state.progress.epochs - self.beginning["progress"].epochs
        return float(done + state.position / steps_per_epoch)


@dataclass(frozen=True)
class Trained:
    """What training has given, however it was shared."""

    state: NetworkFit | BlockFit
    layers: Layers
    model: Model | None
    history: History
    explanation: Explanation | BlockExplanation
    spread: Any


def train_whole(
    fit: Fit,
    rounds: NetworkRounds | CompressedRounds,
    model: Model,
    *,
    compression: str | None,
    dealt: bool,
) -> Trained:
    """Average local models of the whole network, round by round.

    Parameters
    ----------
    fit : Fit
    rounds : NetworkRounds or CompressedRounds
    model : Model
        To start from.
    compression : str or None
    dealt : bool
        Whether the rows were dealt anew over the partitions first.
    """
    layout, batching = fit.problem.network.layout, fit.problem.batching
    result = run_rounds(
        rounds,
        NetworkFit(model=model, **fit.beginning),
        fit.partitions,
        callbacks=fit.callbacks,
        snapshot=lambda state: partial(fit.snapshot, layout.layers(state.model.parameters)),
        reached=lambda state: fit.reached(state, batching.steps_per_epoch),
        name=fit.name,
    )
    state = result.state
    best = state.progress.best_parameters if fit.stopping.by_score else None
    return Trained(
        state=state,
        layers=layout.layers(state.model.parameters if best is None else best),
        model=state.model,
        history=result.history,
        explanation=Explanation(
            *fit.network,
            batching,
            compression,
            dealt,
            result.history,
            fit.strategies,
            fit.epochs(state, batching.steps_per_epoch),
        ),
        spread=state.spread,
    )


def train_blocks(fit: Fit, plan: BlockPlan, layers: Layers | None) -> Trained:
    """Train blocks of the network that stay on their workers.

    Parameters
    ----------
    fit : Fit
    plan : BlockPlan
    layers : Layers or None
        Weights to start from; None for new ones.
    """
    segments = BlockSegments(fit.problem, plan, fit.stopping, fit.partitions.dtype)
    outcome = fit_blocks(
        segments,
        BlockFit(**fit.beginning),
        fit.partitions,
        layers=layers,
        callbacks=fit.callbacks,
        snapshot=fit.snapshot,
        reached=lambda state: fit.reached(state, plan.steps_per_epoch),
        name=fit.name,
    )
    return Trained(
        state=outcome.state,
        layers=outcome.layers,
        model=None,
        history=outcome.history,
        explanation=BlockExplanation(
            *fit.network,
            plan,
            outcome.history,
            fit.strategies,
            fit.epochs(outcome.state, plan.steps_per_epoch),
        ),
        spread=None,
    )
