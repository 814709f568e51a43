"""What `verbose` prints of a search by halving: the best so far, rung by rung."""

from collections.abc import Callable, Sequence
from typing import Any

from daskml_exec.model_selection._brackets import Bracket
from daskml_exec.model_selection._rungs import RungRecord

_SHOWN = 3


class Leaderboard:
    """Writes a line for each rung of each bracket, with the best candidates; with 2 for each one.

    Parameters
    ----------
    name : str
        Of the search.
    verbose : int
        0 writes nothing.
    brackets : sequence of Bracket
    write : callable, default=print
        Takes a line.

    Examples
    --------
    >>> board = Leaderboard("Search", 1, [Bracket(1, (2, 1), (1, 3))])
    >>> board(RungRecord(1, 0, 1, 0, {"alpha": 1}, 0.5, 1.0, 0.1, 0.0))
    >>> board(RungRecord(1, 0, 1, 1, {"alpha": 2}, 0.7, 1.0, 0.1, 0.0))
    >>> board(RungRecord(1, 1, 3, 1, {"alpha": 2}, 0.8, 1.0, 0.1, 0.0))
    Search: bracket 1, 1 epoch, 2 candidates: 1 0.7 (alpha=2), 0 0.5 (alpha=1)
    """

    def __init__(
        self,
        name: str,
        verbose: int,
        brackets: Sequence[Bracket],
        write: Callable[[str], object] = print,
    ) -> None:
        self._name, self._verbose, self._write = name, verbose, write
        self._rung: list[RungRecord] = []

    def begin(self, plan: str) -> None:
        """Say how candidates are trained."""
        if self._verbose:
            self._write(f"{self._name}: {plan}")

    def __call__(self, record: RungRecord) -> None:
        """Take in what came of a candidate."""
        if not self._verbose:
            return
        if self._rung and (self._rung[0].bracket, self._rung[0].rung) != (
            record.bracket,
            record.rung,
        ):
            self.end()
        self._rung.append(record)
        if self._verbose > 1:
            told = record.failed or f"{record.score:.4g} in {record.fit_seconds:.1f} s"
            self._write(
                f"{self._name}: {_rung_in_words(record)}, candidate {record.candidate} "
                f"({_params_in_words(record)}): {told}"
            )

    def end(self) -> None:
        """Write of the rung that is over."""
        if not (self._verbose and self._rung):
            return
        good = sorted((each for each in self._rung if not each.failed), key=lambda r: -r.score)
        told = [f"{r.candidate} {r.score:.4g} ({_params_in_words(r)})" for r in good[:_SHOWN]]
        failed = len(self._rung) - len(good)
        told += [f"{failed} failed"] if failed else []
        n = len(self._rung)
        self._write(
            f"{self._name}: {_rung_in_words(self._rung[0])}, {n} candidate{'s' * (n != 1)}: "
            + ", ".join(told)
        )
        self._rung = []


def _rung_in_words(record: RungRecord) -> str:
    return f"bracket {record.bracket}, {record.epochs} epoch{'s' * (record.epochs != 1)}"


def _params_in_words(record: RungRecord) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in record.params.items())


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value!r:.40}"
