"""The loop of successive halving: train a rung, keep the best, and let these go on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daskml_exec.model_selection._brackets import Bracket
from daskml_exec.model_selection._candidates import Candidate
from daskml_exec.model_selection._places import Key, Place
from daskml_exec.model_selection._rungs import Outcome, RungRecord
from daskml_exec.training import Failed, FitWarning

Tell = Callable[[RungRecord], bool]
"""Is told of each candidate in each rung; True ends the search."""


@dataclass
class Lane:
    """A bracket under way.

    Attributes
    ----------
    bracket : Bracket
    place : int
        Among all.
    alive : list of int
        Numbers of the candidates of the present rung, in order.
    rung : int
    ready : dict of int to Outcome
        Of the present rung.
    """

    bracket: Bracket
    place: int
    alive: list[int]
    rung: int = 0
    ready: dict[int, Outcome] = field(default_factory=dict)


@dataclass
class Tournament:
    """Trains candidates in brackets.

    Brackets go on side by side, each as soon as its rung is over; who is promoted, and in which
    order is told, does not depend on which is first.

    Attributes
    ----------
    brackets : sequence of Bracket
    candidates : sequence of Candidate
    place : Place
    error_score : float or "raise"
    """

    brackets: Sequence[Bracket]
    candidates: Sequence[Candidate]
    place: Place
    error_score: Any
    records: list[RungRecord] = field(default_factory=list)
    models: dict[int, Any] = field(default_factory=dict)
    """Of candidates that may go on, and of the best among those that do not."""
    failures: dict[int, Failed] = field(default_factory=dict)
    warnings: list[tuple[int, FitWarning]] = field(default_factory=list)
    stopped: bool = False
    _untold: dict[Key, tuple[int, Outcome]] = field(default_factory=dict)

    def run(self, estimators: Sequence[Any], tell: Tell) -> None:
        """Train until one rung of each bracket is the last, or `tell` returns True.

        Parameters
        ----------
        estimators : sequence of estimators
            Of all candidates, not fitted; an exception where there is none.
        tell : callable

        Raises
        ------
        Exception
            What a candidate raised, where ``error_score="raise"``.
        """
        lanes = [
            Lane(bracket, at, [c.number for c in self.candidates if self._competes(c, at)])
            for at, bracket in enumerate(self.brackets)
        ]
        entrants: dict[tuple[int, int], list[int]] = {}
        for lane in lanes:
            entrants[lane.place, 0] = lane.alive
            self._begin(lane, {number: estimators[number] for number in lane.alive})
        order = sorted(
            (epochs, lane.place, rung)
            for lane in lanes
            for rung, epochs in enumerate(lane.bracket.epochs)
        )
        for epochs, at, rung in order:
            for number in entrants.get((at, rung), []):
                key = epochs, at, number
                while key not in self._untold:
                    self._take_in(lanes, entrants)
                self._tell(key, tell)
                if self.stopped:
                    return
            self._forget(entrants)

    def _competes(self, candidate: Candidate, at: int) -> bool:
        return candidate.bracket == at and candidate.same_as == candidate.number

    def _begin(self, lane: Lane, models: dict[int, Any]) -> None:
        before = (0, *lane.bracket.epochs)
        epochs = before[lane.rung + 1] - before[lane.rung]
        for number, model in models.items():
            if isinstance(model, Exception):
                nothing = Outcome(None, np.nan, np.nan, 0.0, 0.0, (), Failed.of(model))
                self._arrived(lane, number, nothing)
            else:
                self.place.begin(self._key(lane, number), model, epochs)

    def _key(self, lane: Lane, number: int) -> Key:
        return lane.bracket.epochs[lane.rung], lane.place, number

    def _arrived(self, lane: Lane, number: int, outcome: Outcome) -> None:
        lane.ready[number] = outcome
        self._untold[self._key(lane, number)] = lane.rung, outcome

    def _take_in(self, lanes: list[Lane], entrants: dict[tuple[int, int], list[int]]) -> None:
        """Wait for what is ready, and let those go on whose rung is over."""
        if not self._over(lanes, entrants):
            for (_, at, number), outcome in self.place.next():
                self._arrived(lanes[at], number, outcome)
            self._over(lanes, entrants)

    def _over(self, lanes: list[Lane], entrants: dict[tuple[int, int], list[int]]) -> bool:
        """Let the best of each rung that is over go on; return whether there were some."""
        found = False
        for lane in lanes:
            last = lane.rung + 1 == len(lane.bracket.epochs)
            if last or not lane.alive or len(lane.ready) < len(lane.alive):
                continue
            best = promoted(lane.ready, lane.bracket.sizes[lane.rung + 1])
            models = {number: lane.ready[number].model for number in best}
            lane.rung, lane.alive, lane.ready = lane.rung + 1, best, {}
            entrants[lane.place, lane.rung] = best
            self._begin(lane, models)
            found = True
        return found

    def _tell(self, key: Key, tell: Tell) -> None:
        epochs, at, number = key
        rung, outcome = self._untold.pop(key)
        self.models[number] = outcome.model
        self.warnings += [(number, warning) for warning in outcome.warnings]
        score, failed = outcome.score, ""
        if outcome.failed is not None:
            if self.error_score == "raise":
                error = outcome.failed.error
                error.add_note(f"candidate {number}: {self.candidates[number].params}")
                raise error
            self.failures[number] = outcome.failed
            score, failed = float(self.error_score), f"{outcome.failed.kind}: "
            failed += outcome.failed.message
        record = RungRecord(
            bracket=self.brackets[at].number,
            rung=rung,
            epochs=epochs,
            candidate=number,
            params=self.candidates[number].params,
            score=score,
            loss=outcome.loss,
            fit_seconds=outcome.fit_seconds,
            score_seconds=outcome.score_seconds,
            failed=failed,
        )
        self.records.append(record)
        self.stopped = tell(record)

    def _forget(self, entrants: dict[tuple[int, int], list[int]]) -> None:
        """Keep of the models that do not go on the best alone."""
        latest = self.latest()
        going_on = {
            number
            for (_, rung), numbers in entrants.items()
            for number in numbers
            if number not in latest or latest[number].rung < rung
        }
        best = best_of(latest, set(self.models) - going_on)
        self.models = {
            number: model
            for number, model in self.models.items()
            if number in going_on or number == best
        }

    def latest(self) -> dict[int, RungRecord]:
        """Return the last record of each candidate that has one."""
        return {record.candidate: record for record in self.records}


def promoted(ready: dict[int, Outcome], size: int) -> list[int]:
    """Return the candidates of the best scores, those drawn first where they are equal, in order.

    Who failed does not go on.
    """
    alive = [number for number in sorted(ready) if ready[number].failed is None]
    best = sorted(alive, key=lambda number: -ready[number].score)[:size]
    return sorted(best)


def best_of(latest: dict[int, RungRecord], numbers: Iterable[int]) -> int | None:
    """Return the candidate of the best score among some; None if there is none that has one."""
    scored = [
        number for number in sorted(numbers) if number in latest and not latest[number].failed
    ]
    return max(scored, key=lambda number: latest[number].score, default=None)
