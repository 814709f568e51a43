"""Logistic regression on the command line."""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from daskml_exec.cli._columns import Columns
from daskml_exec.cli._models._kind import require
from daskml_exec.cli._text import count, label, number
from daskml_exec.executor import Table
from daskml_exec.kernels.arrays import Array
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.training import Callback

# Of more classes than this, the first ones are shown.
_MAX_CLASSES = 20
_N_LARGEST = 5

_DEFAULTS = LogisticRegression()


@dataclass(frozen=True)
class Logistic:
    """`ModelKind` of `LogisticRegression`."""

    solver: Literal["auto", "newton", "lbfgs", "averaging"] = _DEFAULTS.solver
    max_iter: int = _DEFAULTS.max_iter
    tol: float = _DEFAULTS.tol
    C: float = _DEFAULTS.C

    name: ClassVar[str] = "logistic"
    about: ClassVar[str] = "logistic regression"
    usual_warnings: ClassVar[tuple[type[Warning], ...]] = ()
    reading: ClassVar[str] = """\
with safe_open("model.safetensors", framework="numpy") as file:
    coef, intercept, classes = map(file.get_tensor, ["coef_", "intercept_", "classes_"])
margins = X @ coef.T + intercept
if len(classes) == 2:                   # one margin, that of the second class
    margins = np.hstack([-margins, margins])
labels = classes[margins.argmax(axis=1)]
"""

    @classmethod
    def add_options(cls, group: "argparse._ArgumentGroup") -> None:
        group.add_argument(
            "--solver",
            choices=["auto", "newton", "lbfgs", "averaging"],
            help="auto is newton: a few rounds; lbfgs sums gradients, averaging averages local "
            f"models (default: {cls.solver})",
        )
        group.add_argument(
            "--max-iter",
            type=int,
            metavar="N",
            help=f"iterations at most (default: {cls.max_iter})",
        )
        group.add_argument(
            "--tol",
            type=float,
            metavar="X",
            help="stop when no component of the gradient is larger, relative to the square root "
            "of the objective and in standardised coordinates; see LogisticRegression "
            f"(default: {cls.tol})",
        )
        group.add_argument(
            "--C",
            type=float,
            metavar="X",
            help=f"inverse strength of the penalty, inf for none (default: {cls.C})",
        )

    def check(self) -> None:
        require(self.max_iter >= 1, "max_iter", self.max_iter, "integers from 1")
        require(self.tol >= 0, "tol", self.tol, "numbers from 0")
        allowed = self.C > 0 and math.isfinite(1.0 / self.C)
        require(allowed, "C", self.C, "numbers from 1e-308, and inf for no penalty")

    def estimator(self, callbacks: list[Callback]) -> LogisticRegression:
        return LogisticRegression(
            C=self.C,
            tol=self.tol,
            max_iter=self.max_iter,
            solver=self.solver,
            callbacks=callbacks,
        )

    def head(self, model: Any, *, converged: bool) -> Iterator[tuple[str, str]]:
        yield "model", f"{self.name}, {len(model.classes_)} classes, C={self.C:g}"
        yield (
            "solver",
            f"{self.solver}, {count(int(model.n_iter_[0]), 'iteration')} in "
            f"{count(len(model.history_), 'round')}, "
            f"{'converged' if converged else 'NOT converged'} (tol={self.tol:g})",
        )

    def details(self, model: Any, columns: Columns) -> Iterator[str]:
        classes = model.classes_
        # Two classes have one row of coefficients, that of the second class.
        labels = [label(value) for value in (classes if len(classes) > 2 else classes[1:])]
        coef, intercept = model.coef_, model.intercept_
        shown = range(min(len(coef), _MAX_CLASSES))
        yield from Table(
            ("class", "non-zero", "min", "max", "norm", "intercept"),
            [
                (
                    labels[k],
                    f"{np.count_nonzero(coef[k]):,}",
                    number(coef[k].min()),
                    number(coef[k].max()),
                    number(np.linalg.norm(coef[k])),
                    number(intercept[k]),
                )
                for k in shown
            ],
        ).lines()
        hidden = len(coef) - len(shown)
        if hidden:
            yield f"... and {count(hidden, 'class', 'classes')} more"
        yield ""
        header, *rows = Table(
            ("class", *[""] * _N_LARGEST),
            [(labels[k], *_largest(coef[k], columns)) for k in shown],
        ).lines()
        yield f"{header}  largest, as {columns.in_words()}"
        yield from rows

    def loss(self, model: Any) -> str:
        # The last round may be a step that was tried and refused.
        loss = min(record.loss for record in model.history_ if record.loss is not None)
        return f"{loss:.8g} (per row, with the penalty)"


def _largest(coef: Array, columns: Columns) -> list[str]:
    """Return the coefficients of largest magnitude, the first of equal ones first; no zeros."""
    order = np.argsort(-np.abs(coef), kind="stable")[:_N_LARGEST]
    cells = [f"{columns.name(j)}:{coef[j]:+#.3g}" for j in order if coef[j]]
    return cells + [""] * (_N_LARGEST - len(cells))
