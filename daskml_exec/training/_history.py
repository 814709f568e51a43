"""What happened in a fit, one record per round."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from html import escape
from math import nan
from typing import TYPE_CHECKING, Any, overload

from daskml_exec.executor import Table, frame_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class RoundRecord:
    """One round over all partitions."""

    round: int
    step: str
    """What the round did: "moments", "hessian", "gradient", "solve", "normal", "refine",
    "project"; "common", "own" and "score" of many models; "train" or "score" of networks."""
    loss: float | None
    """Objective, per unit of sample weight; None for a round that does not see it. Of networks, the
    mean of what the round's steps saw before each."""
    gradient_norm: float | None
    """The norm that is compared with ``tol``."""
    seconds: float
    bytes_out: int
    """Payload sent to the partitions."""
    bytes_back: int
    """Payload that the partitions returned."""
    workers: int
    """Number of Workers that took part."""
    busiest_seconds: float
    """Seconds that the busiest Worker computed."""
    workers_lost: int
    tasks_recomputed: int
    """Tasks run again because their Worker was lost, while running or with their result."""
    retries: int
    """How often the whole round was submitted again."""
    score: float | None = None
    """On rows held out, of a round that scores."""
    bytes_between: int = 0
    """Arrays that Workers sent to one another, of a segment of model or hybrid parallelism."""
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    """By name: what else a round that scores has found on rows held out."""

    @property
    def nbytes(self) -> int:
        """Payload sent and returned, and sent between Workers."""
        return self.bytes_out + self.bytes_back + self.bytes_between


@dataclass(frozen=True)
class History(Sequence[RoundRecord]):
    """The rounds of a fit, in order. Pickles without anything of the cluster.

    Attributes
    ----------
    records : tuple of RoundRecord
    n_partitions : int

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> history = LogisticRegression().fit(X, y).history_
    >>> history[0].step, history[-1].step, history.n_partitions
    ('moments', 'hessian', 1)
    >>> history[-1].loss < history[1].loss
    True
    """

    records: tuple[RoundRecord, ...]
    n_partitions: int

    @overload
    def __getitem__(self, index: int) -> RoundRecord: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RoundRecord, ...]: ...
    def __getitem__(self, index: int | slice) -> RoundRecord | tuple[RoundRecord, ...]:
        return self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[RoundRecord]:
        return iter(self.records)

    @property
    def bytes(self) -> int:
        """Payload sent and returned in all rounds together, and sent between Workers."""
        return sum(record.nbytes for record in self.records)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all rounds together."""
        return sum(record.seconds for record in self.records)

    @property
    def workers_lost(self) -> int:
        """Workers lost from the loading of the data to the last round."""
        return sum(record.workers_lost for record in self.records)

    @property
    def tasks_recomputed(self) -> int:
        """Tasks run again because a Worker was lost."""
        return sum(record.tasks_recomputed for record in self.records)

    def by_step(self) -> dict[str, "History"]:
        """Return the rounds of each kind, as histories of their own.

        Returns
        -------
        dict of str to History
            By kind, in the order in which they first came.
        """
        kinds = dict.fromkeys(record.step for record in self.records)
        return {
            kind: History(tuple(r for r in self.records if r.step == kind), self.n_partitions)
            for kind in kinds
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas DataFrame with one row per round.

        Returns
        -------
        pandas.DataFrame
            Indexed by round; the columns are the fields of `RoundRecord`, and after them, by
            their names, those of its `scores`. One that is called as a field is, such as "loss",
            has the column "scores.loss".
        """
        frame = frame_of(self.records, RoundRecord).set_index("round").drop(columns="scores")
        taken = {each.name for each in fields(RoundRecord)}
        for name in self._score_names():
            column = f"scores.{name}" if name in taken else name
            frame[column] = [record.scores.get(name, nan) for record in self.records]
        return frame

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the loss against the round, and beside it the gradient norm or the score.

        The gradient norm has a logarithmic axis.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw the loss; by default a new figure.

        Returns
        -------
        matplotlib Axes
            That of the loss.

        Raises
        ------
        ImportError
            matplotlib is not installed (``pip install daskml-exec[notebook]``).
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "history_.plot() draws with matplotlib: pip install 'daskml-exec[notebook]'"
            ) from error

        if ax is None:
            _, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
        losses = {r.round: r.loss for r in self.records if r.loss is not None}
        ax.plot(list(losses), list(losses.values()), "o-", ms=3, label="loss")
        ax.set_xlabel("round")
        ax.set_ylabel("loss", color="C0")
        # A logarithmic axis has no place for zero.
        norms = {r.round: r.gradient_norm for r in self.records if r.gradient_norm}
        scores = {r.round: r.score for r in self.records if r.score is not None}
        if norms:
            right = ax.twinx()
            right.semilogy(list(norms), list(norms.values()), ".--", color="C1", ms=3)
            right.set_ylabel("gradient norm", color="C1")
        elif scores:
            right = ax.twinx()
            right.plot(list(scores), list(scores.values()), ".--", color="C1", ms=3)
            right.set_ylabel("score", color="C1")
        for lost in (r for r in self.records if r.workers_lost):
            ax.axvline(lost.round, color="C3", ls=":", label="worker lost")
        return ax

    def __repr__(self) -> str:
        lines = self._table().lines()
        if len(self) > _SHOWN:
            left_out = slice(1 + _SHOWN // 2, 1 - _SHOWN // 2)
            lines[left_out] = [f"  ...  ({len(self) - _SHOWN + 1} more)"]
        return "\n".join([self._summary(), *lines])

    def _repr_html_(self) -> str:
        return (
            f"<b>History</b>: {escape(self._summary())}"
            f'<div style="max-height: 24em; overflow-y: auto">{self._table().html()}</div>'
        )

    def _table(self) -> Table:
        """Return the columns to show: of what is not always measured, what was."""
        columns = [(title, list(map(cell, self.records))) for title, cell in _COLUMNS.items()]
        shown = [
            (title, cells) for title, cells in columns if title not in _SOMETIMES or any(cells)
        ]
        beside_score = [title for title, _ in shown].index("ms")
        shown[beside_score:beside_score] = [
            (name, [_number(record.scores.get(name), ".4f") for record in self.records])
            for name in self._score_names()
        ]
        titles, cells = zip(*shown, strict=True)
        return Table(list(titles), list(zip(*cells, strict=True)), words=("step",))

    def _score_names(self) -> list[str]:
        """Return the names of scores, in the order in which they first came."""
        return list(dict.fromkeys(name for record in self.records for name in record.scores))

    def _summary(self) -> str:
        text = (
            f"{_count(len(self), 'round')} over {_count(self.n_partitions, 'partition')}, "
            f"{self.seconds:.2f} s, {self.bytes:,} bytes moved"
        )
        if self.workers_lost:
            again = _count(self.tasks_recomputed, "task")
            text += f", {_count(self.workers_lost, 'worker')} lost, {again} run again"
        return text


_SHOWN = 20
"""Lines that longer histories are cut to."""


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _number(value: Any, spec: str) -> str:
    return "" if value is None else format(value, spec)


_COLUMNS: dict[str, Callable[[RoundRecord], str]] = {
    "round": lambda r: str(r.round),
    "step": lambda r: r.step,
    "loss": lambda r: _number(r.loss, ".6g"),
    "gradient": lambda r: _number(r.gradient_norm, ".2e"),
    "score": lambda r: _number(r.score, ".4f"),
    "ms": lambda r: f"{r.seconds * 1e3:.1f}",
    "bytes": lambda r: f"{r.nbytes:,}",
    "workers": lambda r: str(r.workers),
    "lost": lambda r: str(r.workers_lost or ""),
}
"""How each thing about a round is shown; what was not measured is an empty text."""
_SOMETIMES = ("gradient", "score")
