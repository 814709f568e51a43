"""What was planned for a fit, beside what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from daskml_exec.executor import Facts, Part, Readable, Table, bytes_text
from daskml_exec.linear_model._parallel import Choice
from daskml_exec.linear_model._plan import Plan, Shape
from daskml_exec.training import History


@dataclass(frozen=True, repr=False)
class Explanation(Readable):
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
    scaling : str
        What became of a scaler in front, in words; empty if there was none.
    models : str
        Which models were fitted, and how, in words; empty if there was one.
    coefficients : str
        How many of them are zero, in words; empty where the penalty leaves none of them so.
    """

    shape: Shape
    plan: Plan
    history: History
    choice: Choice | None = None
    scaling: str = ""
    models: str = ""
    coefficients: str = ""

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

    def _parts(self) -> Iterator[Part]:
        yield Facts(list(self._facts()))
        steps = self.history.by_step() | {"all": self.history}
        yield Table(
            ("measured", "rounds", "seconds", "moved"),
            [
                (step, f"{len(part):,}", f"{part.seconds:.3f}", bytes_text(part.bytes))
                for step, part in steps.items()
            ],
            words=("measured",),
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        shape, n = self.shape, self.history.n_partitions
        kind = "sparse" if shape.sparse else "dense"
        outputs = f", {shape.outputs} outputs" if shape.outputs > 1 else ""
        yield (
            "data",
            f"{shape.rows:,} rows x {shape.features:,} columns, {kind}, "
            f"{bytes_text(shape.row_bytes * shape.rows)} in {n} partition{'s' * (n != 1)}{outputs}",
        )
        if self.choice is not None:
            yield "parallel", f"{self.choice.parallel}: {self.choice.reason}"
        if self.scaling:
            yield "scaling", self.scaling
        if self.models:
            yield "models", self.models
        if self.coefficients:
            yield "coefficients", self.coefficients
        yield "regime", f"{self.regime}: {self.reason}"
        if self.pool_share:
            rows = self.pool_share * shape.rows
            yield "sample", f"{rows:,.0f} rows on the driver ({bytes_text(rows * shape.row_bytes)})"
