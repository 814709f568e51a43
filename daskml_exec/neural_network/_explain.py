"""What was planned for a network's fit, beside what was measured."""

from dataclasses import dataclass

from daskml_exec.executor import bytes_text
from daskml_exec.neural_network._batching import LEAST_BATCH, Batching
from daskml_exec.neural_network._strategies import Strategies
from daskml_exec.training import History


@dataclass(frozen=True)
class Explanation:
    """How rows were shared, how often local models were averaged, and what the rounds took.

    Attributes
    ----------
    layers : tuple of int
        Units from the features to the outputs.
    n_parameters : int
    activation, output : str
        Of the hidden units, and of the outputs.
    batching : Batching
        Rows, rows per step and steps of each partition.
    compression : str or None
    dealt : bool
        Whether the rows were dealt anew over the partitions first.
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
    batching: Batching
    compression: str | None
    dealt: bool
    history: History
    strategies: Strategies
    epochs: float

    def __str__(self) -> str:
        units = "-".join(map(str, self.layers))
        lines = [
            f"network   {units}, {self.n_parameters:,} parameters, "
            f"{self.activation}, {self.output}",
            f"data      {self._data()}",
            f"steps     {self._steps()}",
            f"averages  {self._averages()}",
            "measured",
        ]
        for step, part in self.history.by_step().items():
            busy = sum(record.busiest_seconds for record in part)
            lines.append(
                f"  {step:7} {len(part):5,} rounds {part.seconds:8.3f} s, {busy:.3f} s of them "
                f"computing, {bytes_text(part.bytes)} moved"
            )
        return "\n".join([*lines, self.strategies.beside(self.history, self.epochs)])

    __repr__ = __str__

    def _data(self) -> str:
        rows, n = sum(self.batching.rows), len(self.batching.rows)
        text = f"{rows:,} rows to train on in {n} partition" + ("s" if n != 1 else "")
        return text + (", dealt anew first: each row moved once" if self.dealt else "")

    def _steps(self) -> str:
        plan = self.batching
        taken = [batch for batch, n in zip(plan.batches, plan.rows, strict=True) if n]
        each = f"{min(taken)}" if min(taken) == max(taken) else f"{min(taken)} to {max(taken)}"
        text = (
            f"{sum(taken):,} rows each, {each} per partition; {plan.steps_per_epoch:,} steps an "
            "epoch"
        )
        if plan.learning_rate_factor > 1:
            text += (
                f"; learning rate x {plan.learning_rate_factor:.3g}, since {LEAST_BATCH} rows per "
                "partition at least are more than were asked for"
            )
        return text

    def _averages(self) -> str:
        plan = self.batching
        if len(plan.rows) == 1:
            return "none: one partition"
        rounds = -(-plan.steps_per_epoch // plan.sync_steps)
        codec = "uncompressed" if self.compression is None else self.compression
        return f"every {plan.sync_steps:,} steps, {rounds:,} an epoch, {codec}"
