"""What was planned for a fit, beside what was measured."""

from dataclasses import dataclass

from daskml_exec.executor import bytes_text
from daskml_exec.linear_model._parallel import Choice
from daskml_exec.linear_model._plan import Plan, Shape
from daskml_exec.training import History


@dataclass(frozen=True)
class Explanation:
    """The regime that a fit ran in, why, and what its rounds took.

    Attributes
    ----------
    regime : str
    reason : str
    hessian_share, pool_share : float
        Of all rows: those that a Hessian was planned from, and those pooled on the driver.
    history : daskml_exec.training.History
    choice : Choice, optional
        Whether features were cut into blocks, and why.
    """

    shape: Shape
    plan: Plan
    history: History
    choice: Choice | None = None

    @property
    def regime(self) -> str:
        """What its rounds did: "hessian", "products" or another name."""
        return self.plan.regime

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.plan.reason

    @property
    def hessian_share(self) -> float:
        """The part of all rows that a Hessian was planned from."""
        return self.plan.hessian_share

    @property
    def pool_share(self) -> float:
        """The part of all rows that was pooled on the driver."""
        return self.plan.pool_share

    def __str__(self) -> str:
        shape, history = self.shape, self.history
        kind = "sparse" if shape.sparse else "dense"
        outputs = f", {shape.outputs} outputs" if shape.outputs > 1 else ""
        lines = [
            f"data      {shape.rows:,} rows x {shape.features:,} columns, {kind}, "
            f"{bytes_text(shape.row_bytes * shape.rows)} in {history.n_partitions} partition"
            + ("s" if history.n_partitions != 1 else "")
            + outputs,
            f"regime    {self.regime}: {self.reason}",
        ]
        if self.choice is not None:
            lines.insert(1, f"parallel  {self.choice.parallel}: {self.choice.reason}")
        if self.pool_share:
            lines.append(
                f"sample    {self.pool_share * shape.rows:,.0f} rows on the driver "
                f"({bytes_text(self.pool_share * shape.rows * shape.row_bytes)})"
            )
        lines.append("measured")
        for step, part in (history.by_step() | {"all": history}).items():
            lines.append(
                f"  {step:9} {_rounds(len(part))} {part.seconds:8.3f} s "
                f"{bytes_text(part.bytes):>10} moved"
            )
        return "\n".join(lines)

    __repr__ = __str__


def _rounds(number: int) -> str:
    return f"{number:4} round{'s' if number != 1 else ' '}"
