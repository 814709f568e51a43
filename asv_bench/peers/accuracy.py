"""A learning rate chosen on one part of the rows, and what it is worth on another."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peers.options import Options
from peers.table import aligned

_HEADER = (
    "what",
    "side",
    "rate",
    "validation, %",
    "test, % (std)",
    "MB moved",
    "seconds",
)


@dataclass(frozen=True)
class Scored:
    """A fit: the share of rows that it classifies rightly, and what it cost."""

    accuracy: float
    seconds: float
    bytes: int | None = None
    """Payload between driver and workers; None where there are none."""


Fit = Callable[[float, int], Scored]
"""Train at a learning rate, from a seed."""


@dataclass(frozen=True)
class Contender:
    """A side, which trains on one part of the rows to choose and on another for the result."""

    what: str
    side: str
    on: Callable[[str], Any]
    """Given "validation" or "test", a context that gives a `Fit`."""


@dataclass(frozen=True)
class Result:
    """A contender at the learning rate that was best in validation."""

    what: str
    side: str
    rate: float
    validation: Mapping[float, Sequence[float]]
    test: Sequence[Scored]

    def cells(self) -> tuple[str, ...]:
        accuracies = [100 * fit.accuracy for fit in self.test]
        moved = [fit.bytes for fit in self.test if fit.bytes is not None]
        return (
            self.what,
            self.side,
            f"{self.rate:g}",
            ", ".join(
                f"{rate:g}: {100 * statistics.mean(found):.2f}"
                for rate, found in self.validation.items()
            ),
            f"{statistics.mean(accuracies):.2f} ({deviation(accuracies):.2f})",
            f"{statistics.median(moved) / 1e6:.2f}" if moved else "",
            f"{statistics.median(fit.seconds for fit in self.test):.1f}",
        )


def judge(
    contender: Contender,
    rates: Sequence[float],
    choosing: Sequence[int],
    seeds: Sequence[int],
    options: Options,
) -> Result:
    """Choose the rate with the seeds `choosing`, then train at it from each of `seeds`."""
    who = f"{contender.what}, {contender.side}"
    validation = {}
    with contender.on("validation") as fit:
        for rate in rates:
            validation[rate] = [fit(rate, seed).accuracy for seed in choosing]
            options.say(f"{who}: rate {rate:g}, validation {percent(validation[rate])}")
    rate = best(validation)
    with contender.on("test") as fit:
        test = [fit(rate, seed) for seed in seeds]
    options.say(f"{who}: rate {rate:g}, test {percent([scored.accuracy for scored in test])}")
    return Result(contender.what, contender.side, rate, validation, test)


def best(validation: Mapping[float, Sequence[float]]) -> float:
    """Return the rate of the highest mean accuracy, and of equals the lowest."""
    return min(validation, key=lambda rate: (-statistics.mean(validation[rate]), rate))


def deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def percent(accuracies: Sequence[float]) -> str:
    return " ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)


def render(results: Sequence[Result]) -> str:
    return aligned([_HEADER, *(result.cells() for result in results)])
