"""What a search is to do, and what it has taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from daskml_exec.executor import Facts, Part, Readable


@dataclass(frozen=True, repr=False)
class SearchExplanation(Readable):
    """Which candidates share passes over the data, and which are fitted one by one.

    Attributes
    ----------
    candidates : int
    n_splits : int or None
        None where only the data tells.
    groups : tuple of tuple of int
        Candidates that share passes, by their places.
    alone : tuple of int
        Those that are fitted one by one.
    equal : int
        Candidates that are equal to one before them, whose scores they have.
    rows : str
        Where fits have their rows from, in words.
    seconds : float or None
        What the search took; None before it.
    refit_seconds : float or None
    """

    candidates: int
    n_splits: int | None
    groups: tuple[tuple[int, ...], ...]
    alone: tuple[int, ...]
    equal: int
    rows: str
    seconds: float | None = None
    refit_seconds: float | None = None

    def _parts(self) -> Iterator[Part]:
        yield Facts(list(self._facts()), width=12)

    def _facts(self) -> Iterator[tuple[str, str]]:
        equal = f", of which {self.equal:,} equal another" if self.equal else ""
        yield "candidates", f"{self.candidates:,}{equal}"
        yield "splits", "as the data tells" if self.n_splits is None else f"{self.n_splits:,}"
        for group in self.groups:
            yield "together", f"{_places(group)}: in the same passes over the rows"
        if self.alone:
            yield "one by one", _places(self.alone)
        yield "rows", self.rows
        if self.seconds is None:
            yield "seconds", "not known before a fit"
            return
        refit = f", and {self.refit_seconds:.2f} to refit" if self.refit_seconds is not None else ""
        yield "seconds", f"{self.seconds:.2f}{refit}"


def _places(places: tuple[int, ...]) -> str:
    if len(places) > 1 and places == tuple(range(places[0], places[-1] + 1)):
        return f"{places[0]} to {places[-1]}"
    return ", ".join(map(str, places[:20])) + (", ..." if len(places) > 20 else "")
