"""The result of a training in words and columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.training import History

# Of more classes than this, the first ones are shown.
_MAX_CLASSES = 20
_N_LARGEST = 5


@dataclass(frozen=True)
class Report:
    """All that there is to tell after a training."""

    n_rows: int
    n_features: int
    n_workers: int
    first_index: int
    """The index that column 0 has in the file: 0 or 1."""
    model_name: str
    model: Any
    converged: bool
    training_accuracy: float
    test_accuracy: float | None
    loading_seconds: float
    training_seconds: float

    def __str__(self) -> str:
        return "\n".join(
            [*_aligned(self._head()), "", *self._coefficients(), "", *_aligned(self._outcome())]
        )

    @property
    def _history(self) -> History:
        history: History = self.model.history_
        return history

    def _head(self) -> Iterator[tuple[str, str]]:
        model = self.model
        yield "data", f"{self.n_rows:,} rows x {self.n_features:,} features"
        yield (
            "cluster",
            f"{_count(self._history.n_partitions, 'partition')} on "
            f"{_count(self.n_workers, 'worker')}",
        )
        yield "model", f"{self.model_name}, {len(model.classes_)} classes, C={model.C:g}"
        yield (
            "solver",
            f"{model.solver}, {_count(int(model.n_iter_[0]), 'iteration')} in "
            f"{_count(len(self._history), 'round')}, "
            f"{'converged' if self.converged else 'NOT converged'} (tol={model.tol:g})",
        )

    def _coefficients(self) -> Iterator[str]:
        classes = self.model.classes_
        # Two classes have one row of coefficients, that of the second class.
        labels = [_label(value) for value in (classes if len(classes) > 2 else classes[1:])]
        coef, intercept = self.model.coef_, self.model.intercept_
        shown = range(min(len(coef), _MAX_CLASSES))
        yield from _table(
            ("class", "non-zero", "min", "max", "norm", "intercept"),
            [
                (
                    labels[k],
                    f"{np.count_nonzero(coef[k]):,}",
                    _number(coef[k].min()),
                    _number(coef[k].max()),
                    _number(np.linalg.norm(coef[k])),
                    _number(intercept[k]),
                )
                for k in shown
            ],
        )
        hidden = len(coef) - len(shown)
        if hidden:
            yield f"... and {_count(hidden, 'class', 'classes')} more"
        yield ""
        header, *rows = _table(
            ("class", *[""] * _N_LARGEST),
            [(labels[k], *_largest(coef[k], self.first_index)) for k in shown],
        )
        yield f"{header}  largest, as index:value (indices as in the file, from {self.first_index})"
        yield from rows

    def _outcome(self) -> Iterator[tuple[str, str]]:
        history = self._history
        # The last round may be a step that was tried and refused.
        loss = min(record.loss for record in history if record.loss is not None)
        yield "training loss", f"{loss:.8g} (per row, with the penalty)"
        yield "training accuracy", f"{self.training_accuracy:.2%}"
        if self.test_accuracy is not None:
            yield "test accuracy", f"{self.test_accuracy:.2%}"
        yield (
            "time",
            f"{self.loading_seconds:.2f} s loading, {self.training_seconds:.2f} s training",
        )
        yield "bytes moved", f"{history.bytes:,}"
        if history.workers_lost or history.tasks_recomputed:
            yield (
                "workers lost",
                f"{history.workers_lost} ({_count(history.tasks_recomputed, 'task')} run again)",
            )


def _largest(coef: np.ndarray[Any, Any], first_index: int) -> list[str]:
    """Return the coefficients of largest magnitude, the first of equal ones first; no zeros."""
    order = np.argsort(-np.abs(coef), kind="stable")[:_N_LARGEST]
    cells = [f"{j + first_index}:{coef[j]:+#.3g}" for j in order if coef[j]]
    return cells + [""] * (_N_LARGEST - len(cells))


def _label(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _number(value: Any) -> str:
    """Write four digits, with the zeros at the end that align a column."""
    return f"{value:#.4g}".rstrip(".")


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _aligned(pairs: Iterator[tuple[str, str]]) -> list[str]:
    return [f"{name:<19}{value}" for name, value in pairs]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align the columns, numbers to the right."""
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield line.rstrip()
