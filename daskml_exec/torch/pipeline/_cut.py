"""Where a chain of modules is cut into stages, by what each of them takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

# How much slower the slowest stage may be than it must for stages of more even size in memory.
_SLOWER = 1.1


@dataclass(frozen=True)
class Cost:
    """What a part of a module takes.

    Attributes
    ----------
    milliseconds : float
        Forwards and backwards, of a micro-batch.
    nbytes : int
        Of its weights.
    """

    milliseconds: float
    nbytes: int


def cut_evenly(costs: Sequence[Cost], n_stages: int) -> tuple[int, ...]:
    """Return the first part of each stage: the slowest stage is to take as little as can be.

    Among cuts by which it takes up to a tenth more, the largest stage is to be small in memory;
    among those, stages end as early as can be.

    Parameters
    ----------
    costs : sequence of Cost
        Of each part.
    n_stages : int
        At most as many as there are parts.

    Examples
    --------
    >>> cut_evenly([Cost(1, 10), Cost(1, 10), Cost(2, 10), Cost(0, 10)], 2)
    (0, 2)
    """
    times = [each.milliseconds for each in costs]
    sizes = [float(each.nbytes) for each in costs]
    most = _SLOWER * _best(times, times, float("inf"), n_stages)[0]
    return _best(sizes, times, most, n_stages)[1]


def _best(
    values: Sequence[float], limited: Sequence[float], limit: float, n_stages: int
) -> tuple[float, tuple[int, ...]]:
    """Return the least largest sum of values of a stage, and where such stages begin.

    No stage may have a sum of `limited` above the limit.
    """
    n = len(values)

    @cache
    def rest(start: int, left: int) -> tuple[float, tuple[int, ...]]:
        best: tuple[float, tuple[int, ...]] = (float("inf"), ())
        ends = [n] if left == 1 else range(start + 1, n - left + 2)
        for end in ends:
            if sum(limited[start:end]) > limit:
                break
            most, begins = (0.0, ()) if left == 1 else rest(end, left - 1)
            most = max(most, sum(values[start:end]))
            if most < best[0] and (left == 1 or begins):
                best = most, (start, *begins)
        return best

    return rest(0, n_stages)


def cut_at(names: Sequence[str], begins: Sequence[str]) -> tuple[int, ...]:
    """Return the first part of each stage, where it is said which parts begin one.

    Parameters
    ----------
    names : sequence of str
        Of all parts, as ``"encoder.0"``.
    begins : sequence of str
        A name of several parts, as ``"encoder"``, means the first of them.

    Raises
    ------
    ValueError
        A name is unknown.

    Examples
    --------
    >>> cut_at(["embedding", "encoder.0", "encoder.1", "head"], ["encoder", "head"])
    (0, 1, 3)
    """
    found = {0}
    for name in begins:
        at = [i for i, each in enumerate(names) if each == name or each.startswith(f"{name}.")]
        if not at:
            raise ValueError(
                f"stages has {name!r}, which no part is called like; there are "
                f"{', '.join(names[:20])}"
            )
        found.add(at[0])
    return tuple(sorted(found))
