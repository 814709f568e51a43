"""What was planned for a network in blocks, beside what was measured."""

from dataclasses import dataclass

from daskml_exec.executor import bytes_text
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._strategies import Strategies
from daskml_exec.training import History


@dataclass(frozen=True)
class BlockExplanation:
    """How a network was cut, and what its segments took.

    Attributes
    ----------
    layers : tuple of int
        Units from the features to the outputs.
    n_parameters : int
    activation, output : str
        Of the hidden units, and of the outputs.
    plan : BlockPlan
    history : daskml_exec.training.History
    strategies : Strategies
        What each strategy was predicted to cost, and why this one was followed.
    epochs : float
        That were trained.
    """

    layers: tuple[int, ...]
    n_parameters: int
    activation: str
    output: str
    plan: BlockPlan
    history: History
    strategies: Strategies
    epochs: float

    def __str__(self) -> str:
        units = "-".join(map(str, self.layers))
        n_replicas = len(self.plan.replicas)
        busy = sum(record.busiest_seconds for record in self.history)
        lines = [
            f"network   {units}, {self.n_parameters:,} parameters, "
            f"{self.activation}, {self.output}",
            f"data      {sum(self.plan.rows):,} rows to train on in {len(self.plan.rows)} "
            f"partition{'s' if len(self.plan.rows) != 1 else ''}",
            f"blocks    {self.plan.n_blocks} of each of {n_replicas} replicas"
            if n_replicas > 1
            else f"blocks    {self.plan.n_blocks}",
            f"steps     {self.plan.batch:,} rows each{' of a replica' * (n_replicas > 1)}; "
            f"{self.plan.steps_per_epoch:,} steps an epoch",
            "averages  none: one replica"
            if self.plan.sync_steps is None
            else f"averages  every {self.plan.sync_steps:,} steps",
            "measured",
            f"  train   {len(self.history):5,} segments {self.history.seconds:8.3f} s, {busy:.3f} "
            f"s of them computing, {bytes_text(self.history.bytes)} moved",
            self.strategies.beside(self.history, self.epochs),
        ]
        return "\n".join(lines)

    __repr__ = __str__
