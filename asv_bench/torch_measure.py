"""What a training costs by the clock and of the processors, and how two of them compare."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from peers.table import spread


@dataclass(frozen=True)
class Cost:
    """Of so many units of work (samples, tokens, steps) the seconds, and those of processors."""

    units: float
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.units / self.seconds

    @property
    def rate_of_cpu(self) -> float:
        """Units for each second of a processor: what others do on the machine touches it little."""
        return self.units / self.cpu


class Marks:
    """A callback that notes, after each round, how far the fit is and what it has cost.

    `processor` returns the processor seconds so far of whoever computes.
    """

    def __init__(self, processor: Callable[[], float]) -> None:
        self._processor = processor
        self._noted: list[tuple[float, float, float]] = []

    def __call__(self, event: Any) -> None:
        self._noted.append((event.reached.done, time.perf_counter(), self._processor()))

    def cost(self, units_of_epoch: float) -> Cost:
        """Return the cost after the end of the first round, which starts and compiles."""
        if len(self._noted) < 2:
            raise ValueError(f"{len(self._noted)} rounds were noted; a cost needs 2 or more")
        first, last = self._noted[0], self._noted[-1]
        done, seconds, cpu = (after - before for before, after in zip(first, last, strict=True))
        return Cost(done * units_of_epoch, seconds, cpu)


def processor_of(pids: Sequence[int]) -> Callable[[], float]:
    """Return a function of the user and system seconds that these processes have taken."""
    processes = [psutil.Process(pid) for pid in pids]

    def taken() -> float:
        times = [process.cpu_times() for process in processes]
        return sum(each.user + each.system for each in times)

    return taken


def compared(ours: Sequence[Cost], theirs: Sequence[Cost]) -> tuple[str, str]:
    """Return how many times their rate ours is, by the clock and by processors' seconds."""
    pairs = list(zip(ours, theirs, strict=True))
    return (
        spread([mine.rate / other.rate for mine, other in pairs]),
        spread([mine.rate_of_cpu / other.rate_of_cpu for mine, other in pairs]),
    )
