"""The result of a training in words and columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from daskml_exec.cli._columns import Columns
from daskml_exec.cli._confusion import Confusion
from daskml_exec.cli._models import ModelKind
from daskml_exec.cli._text import count
from daskml_exec.executor import Facts
from daskml_exec.training import History

NAME_WIDTH = 19
"""Of the names in front of facts."""


@dataclass(frozen=True)
class Report:
    """All that there is to tell after a training."""

    n_rows: int
    n_features: int
    n_workers: int
    columns: Columns
    kind: ModelKind
    model: Any
    converged: bool
    training_accuracy: float
    test_accuracy: float | None
    loading_seconds: float
    training_seconds: float
    confusion: Confusion | None = None
    """Of the test file."""

    def __str__(self) -> str:
        details = list(self.kind.details(self.model, self.columns))
        head, outcome = (
            Facts(list(facts), NAME_WIDTH).lines() for facts in (self._head(), self._outcome())
        )
        confusion = [] if self.confusion is None else list(self.confusion.lines())
        blocks = [head, details, confusion, outcome]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    @property
    def _history(self) -> History:
        history: History = self.model.history_
        return history

    def _head(self) -> Iterator[tuple[str, str]]:
        yield "data", f"{self.n_rows:,} rows x {self.n_features:,} features{self.columns.made}"
        yield (
            "cluster",
            f"{count(self._history.n_partitions, 'partition')} on "
            f"{count(self.n_workers, 'worker')}",
        )
        yield from self.kind.head(self.model, converged=self.converged)

    def _outcome(self) -> Iterator[tuple[str, str]]:
        history = self._history
        yield "training loss", self.kind.loss(self.model)
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
                f"{history.workers_lost} ({count(history.tasks_recomputed, 'task')} run again)",
            )
