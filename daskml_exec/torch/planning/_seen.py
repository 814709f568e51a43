"""What a step of a module has shown, and the cluster that it is for: all that costs depend on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class PartSeen:
    """What a part of a module takes, or consecutive parts together.

    Attributes
    ----------
    forth, back : tuple of float
        Seconds forwards and backwards, for each number of samples that was tried.
    weights, trained : int
        Bytes of parameters and buffers, and of parameters that are trained.
    passed, returned : float
        Bytes for each sample that it passes on, and of their gradients that come back.
    saved : mapping of int to float
        Bytes for each sample of what it keeps to go back, by where that is in memory: neighbours
        may keep the same.
    given : float
        Bytes for each sample of what it was given.
    """

    forth: tuple[float, ...]
    back: tuple[float, ...]
    weights: int
    trained: int
    passed: float = 0.0
    returned: float = 0.0
    saved: dict[int, float] = field(default_factory=dict)
    given: float = 0.0


@dataclass(frozen=True)
class StepSeen:
    """What a step has shown on the driver, by one thread.

    Attributes
    ----------
    sizes : tuple of int
        Numbers of samples that were tried, in order.
    parts : tuple of PartSeen
    update : float
        Seconds of the optimiser's step.
    parameters, moments, statistics : int
        Bytes of what is trained, of what the optimiser remembers of it, and of buffers that are
        averaged.
    """

    sizes: tuple[int, ...]
    parts: tuple[PartSeen, ...]
    update: float
    parameters: int
    moments: int
    statistics: int = 0

    @property
    def whole(self) -> PartSeen:
        """All parts together."""
        return joined(self.parts)

    def seconds(self, times: Sequence[float], n_samples: float) -> float:
        """Return the seconds of so many samples, of those of each number that was tried."""
        largest = self.sizes[-1]
        if n_samples >= largest:
            return times[-1] * n_samples / largest
        return float(np.interp(n_samples, self.sizes, times))


@dataclass(frozen=True)
class Cluster:
    """The Workers.

    Attributes
    ----------
    n_workers : int
    memory_limit : int
        Bytes that the smallest of them may use; 0 for no limit.
    one_machine : bool
        Whether all are on the driver's.
    """

    n_workers: int
    memory_limit: int = 0
    one_machine: bool = True


def joined(parts: Sequence[PartSeen]) -> PartSeen:
    """Return consecutive parts as one."""
    saved: dict[int, float] = {}
    for part in parts:
        saved |= part.saved
    return PartSeen(
        forth=tuple(map(sum, zip(*(each.forth for each in parts), strict=True))),
        back=tuple(map(sum, zip(*(each.back for each in parts), strict=True))),
        weights=sum(each.weights for each in parts),
        trained=sum(each.trained for each in parts),
        passed=parts[-1].passed,
        returned=parts[-1].returned,
        saved=saved,
        given=parts[0].given,
    )


def in_stages(parts: Sequence[PartSeen], begins: Sequence[int]) -> tuple[PartSeen, ...]:
    """Return the stages that begin at these parts."""
    ends = [*begins[1:], len(parts)]
    return tuple(joined(parts[a:b]) for a, b in zip(begins, ends, strict=True))
