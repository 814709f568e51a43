"""What there is to say of a search by halving, before and after it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daskml_exec.executor import Facts, Part, Readable, bytes_text
from daskml_exec.model_selection._brackets import Bracket
from daskml_exec.model_selection._rungs import RungRecord
from daskml_exec.model_selection._search_rows import LIMIT, SearchRows


@dataclass(frozen=True, repr=False)
class HalvingExplanation(Readable):
    """How candidates are trained, why so, and what it took.

    Attributes
    ----------
    rows, rows_held_out : int
    nbytes : int
        Of both.
    limit : int
        Up to which candidates are trained side by side.
    side_by_side : bool
    workers : int or None
        At the time; None where threads of this process train.
    brackets : tuple of Bracket
    records : tuple of RungRecord
        Of a search that has ended.
    seconds : float or None
        That it took.
    """

    rows: int
    rows_held_out: int
    nbytes: int
    limit: int
    side_by_side: bool
    workers: int | None
    brackets: tuple[Bracket, ...]
    records: tuple[RungRecord, ...] = ()
    seconds: float | None = None

    @classmethod
    def of(cls, rows: SearchRows, brackets: Sequence[Bracket]) -> "HalvingExplanation":
        """Return what is known of a search when its rows are."""
        workers = None if rows.executor is None else len(rows.executor.client.nthreads())
        return cls(
            rows=sum(rows.train.rows),
            rows_held_out=sum(rows.held_out.rows),
            nbytes=rows.nbytes,
            limit=rows.limit,
            side_by_side=rows.side_by_side,
            workers=workers,
            brackets=tuple(brackets),
        )

    @property
    def plan(self) -> str:
        """How candidates are trained, and why so."""
        size, limit = bytes_text(self.nbytes), bytes_text(self.limit)
        where = "threads of this process"
        if self.workers is not None:
            where = f"{self.workers:,} Worker{'s' * (self.workers != 1)}"
        if self.side_by_side:
            return (
                f"side by side on {where}, each candidate by one of them on all rows: {size} are "
                f"no more than {limit} (dask config 'daskml-exec.{LIMIT}')"
            )
        return (
            f"one after another, each over all partitions by {where}: {size} are more than {limit} "
            f"(dask config 'daskml-exec.{LIMIT}')"
        )

    @property
    def n_epochs(self) -> int:
        """Epochs of all candidates together, as planned."""
        return sum(bracket.n_epochs for bracket in self.brackets)

    def _parts(self) -> Iterator[Part]:
        n = sum(bracket.sizes[0] for bracket in self.brackets)
        whole = sum(bracket.sizes[0] * bracket.epochs[-1] for bracket in self.brackets)
        yield Facts(
            [
                ("rows", f"{self.rows:,} to train on, {self.rows_held_out:,} held out for scores"),
                ("trained", self.plan),
                *(_in_words(bracket) for bracket in self.brackets),
                (
                    "epochs",
                    f"{self.n_epochs:,} in all, where {n:,} candidates to the end take {whole:,}",
                ),
            ],
            width=12,
        )
        if self.seconds is not None:
            fits = sum(record.fit_seconds for record in self.records)
            scores = sum(record.score_seconds for record in self.records)
            failed = len({record.candidate for record in self.records if record.failed})
            told = f"{self.seconds:.1f} s; candidates took {fits:.1f} s to train and {scores:.1f} s"
            yield Facts(
                [
                    ("took", f"{told} to score, one beside the other"),
                    ("failed", f"{failed:,} candidate{'s' * (failed != 1)}"),
                ],
                width=12,
            )


def _in_words(bracket: Bracket) -> tuple[str, str]:
    rungs = zip(bracket.sizes, bracket.epochs, strict=True)
    told = ", ".join(f"{size:,} to {n:,} epoch{'s' * (n != 1)}" for size, n in rungs)
    return f"bracket {bracket.number}", told
