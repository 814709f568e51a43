"""What was planned for a network's fit, whole or in blocks, beside what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from daskml_exec.executor import Facts, Part, Readable
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._workload import Case
from daskml_exec.neural_network.planning import Strategies, strategies_of
from daskml_exec.training import History
from daskml_exec.training.averaging import (
    Batching,
    averages_in_words,
    measured,
    rows_in_words,
    steps_in_words,
)


@dataclass(frozen=True, repr=False)
class NetworkExplanation(Readable):
    """What there is to say of every network's fit.

    Attributes
    ----------
    layers : tuple of int
        Units from the features to the outputs.
    n_parameters : int
    activation, output : str
        Of the hidden units, and of the outputs.
    history : daskml_exec.training.History
    case : Case
        What was asked for, and on what.
    epochs : float
        That were trained.
    """

    layers: tuple[int, ...]
    n_parameters: int
    activation: str
    output: str
    history: History
    case: Case
    epochs: float

    @property
    def strategies(self) -> Strategies:
        """What each strategy was predicted to cost, and why this one was followed."""
        return strategies_of(self.case)

    def _parts(self) -> Iterator[Part]:
        units = "-".join(map(str, self.layers))
        network = f"{units}, {self.n_parameters:,} parameters, {self.activation}, {self.output}"
        yield Facts([("network", network), *self._shared()])
        yield measured(self.history, self._unit)
        yield from self.strategies.beside(self.history, self.epochs)

    _unit = "rounds"

    def _shared(self) -> Iterator[tuple[str, str]]:
        """Yield what is to be said of how rows, steps and averages were planned."""
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Explanation(NetworkExplanation):
    """How rows were shared, how often local models were averaged, and what the rounds took.

    It has layers, n_parameters, activation, output, history, case and epochs, too.

    Attributes
    ----------
    batching : Batching
        Rows, rows per step and steps of each partition.
    compression : str or None
    dealt : bool
        Whether the rows were dealt anew over the partitions first.
    """

    batching: Batching
    compression: str | None
    dealt: bool

    def _shared(self) -> Iterator[tuple[str, str]]:
        dealt = ", dealt anew first: each row moved once" if self.dealt else ""
        yield "data", rows_in_words(self.batching.rows) + dealt
        yield "steps", steps_in_words(self.batching)
        yield "averages", averages_in_words(self.batching, self.compression)


@dataclass(frozen=True, repr=False)
class BlockExplanation(NetworkExplanation):
    """How a network was cut, and what its segments took.

    It has layers, n_parameters, activation, output, history, case and epochs, too.

    Attributes
    ----------
    plan : BlockPlan
    """

    plan: BlockPlan

    _unit = "segments"

    def _shared(self) -> Iterator[tuple[str, str]]:
        plan, n_replicas = self.plan, len(self.plan.replicas)
        several = n_replicas > 1
        yield "data", rows_in_words(plan.rows)
        yield "blocks", f"{plan.n_blocks}" + f" of each of {n_replicas} replicas" * several
        yield (
            "steps",
            f"{plan.batch:,} rows each{' of a replica' * several}; {plan.steps_per_epoch:,} steps "
            "an epoch",
        )
        yield (
            "averages",
            "none: one replica" if plan.sync_steps is None else f"every {plan.sync_steps:,} steps",
        )
