"""What happened in a fit, one record per round."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class RoundRecord:
    """One round over all partitions."""

    round: int
    step: str
    """What the round did: "moments", "hessian", "gradient", "solve", "normal" or "refine"."""
    loss: float | None
    """Objective, per unit of sample weight; None for a round that does not see it."""
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
        """Payload sent and returned in all rounds together."""
        return sum(record.bytes_out + record.bytes_back for record in self.records)

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

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas DataFrame with one row per round."""
        import pandas as pd

        columns = [field.name for field in fields(RoundRecord)]
        frame = pd.DataFrame([asdict(record) for record in self.records], columns=columns)
        return frame.set_index("round")

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the loss, and the gradient norm on a logarithmic axis, against the round.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw the loss; by default a new figure.

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
        right = ax.twinx()
        # A logarithmic axis has no place for zero.
        norms = {r.round: r.gradient_norm for r in self.records if r.gradient_norm}
        right.semilogy(list(norms), list(norms.values()), ".--", color="C1", ms=3)
        right.set_ylabel("gradient norm", color="C1")
        for lost in (r for r in self.records if r.workers_lost):
            ax.axvline(lost.round, color="C3", ls=":", label="worker lost")
        return ax

    def __repr__(self) -> str:
        lines = [
            f"{'round':>5}  {'step':9}{'loss':>12}  {'gradient':>9}  {'ms':>7}  {'bytes':>9}"
            f"  {'workers':>7}  lost"
        ]
        shown = self.records if len(self) <= 20 else (*self.records[:10], None, *self.records[-9:])
        for record in shown:
            if record is None:
                lines.append(f"{'...':>5}  ({len(self) - 19} more)")
                continue
            lines.append(
                f"{record.round:>5}  {record.step:9}{_number(record.loss, '.6g'):>12}  "
                f"{_number(record.gradient_norm, '.2e'):>9}  {record.seconds * 1e3:>7.1f}  "
                f"{record.bytes_out + record.bytes_back:>9,}  {record.workers:>7}  "
                f"{record.workers_lost or ''}".rstrip()
            )
        return "\n".join([self._summary(), *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{html.escape(cell)}</td>"
                for cell in (
                    str(r.round),
                    r.step,
                    _number(r.loss, ".6g"),
                    _number(r.gradient_norm, ".2e"),
                    f"{r.seconds * 1e3:.1f}",
                    f"{r.bytes_out + r.bytes_back:,}",
                    str(r.workers),
                    str(r.workers_lost or ""),
                )
            )
            + "</tr>"
            for r in self.records
        )
        titles = ("round", "step", "loss", "gradient norm", "ms", "bytes", "workers", "lost")
        header = "".join(f"<th>{title}</th>" for title in titles)
        return (
            f"<b>History</b>: {html.escape(self._summary())}"
            '<div style="max-height: 24em; overflow-y: auto">'
            f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def _summary(self) -> str:
        text = (
            f"{len(self)} rounds over {self.n_partitions} partitions, {self.seconds:.2f} s, "
            f"{self.bytes:,} bytes moved"
        )
        if self.workers_lost:
            text += f", {self.workers_lost} workers lost, {self.tasks_recomputed} tasks run again"
        return text


def _number(value: Any, spec: str) -> str:
    return "" if value is None else format(value, spec)
