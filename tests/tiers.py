"""Which combinations of a grid are tested by default, where the others are slow.

Most faults need no more than one value, or two that meet. A grid of hundreds is run whole now and
then; by default, as few of it as have each value, or each pair of values of two axes.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

Combination = tuple[int, ...]


def slow(*values: Any) -> Any:
    """Return a case of a table that is not run by default."""
    return pytest.param(*values, marks=pytest.mark.slow)


def each_value(**axes: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrise with all combinations, of which those are slow that no value needs."""
    return _parametrize(1, axes)


def each_pair(**axes: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrise with all combinations, of which those are slow that no pair of values needs."""
    return _parametrize(2, axes)


def _parametrize(strength: int, axes: dict[str, Iterable[Any]]) -> pytest.MarkDecorator:
    grid = [list(values) for values in axes.values()]
    always = set(covering(strength, list(map(len, grid))))
    cases = []
    for indices in itertools.product(*(range(len(values)) for values in grid)):
        case = [values[i] for values, i in zip(grid, indices, strict=True)]
        cases.append(pytest.param(*case, marks=[] if indices in always else [pytest.mark.slow]))
    return pytest.mark.parametrize(list(axes), cases)


def covering(strength: int, lengths: Sequence[int]) -> list[Combination]:
    """Return combinations of indices, in which each of `strength` axes' values meet.

    The next one is the first of those that have most of what is still missing.
    """
    grid = list(itertools.product(*map(range, lengths)))
    missing = {met for indices in grid for met in _meetings(strength, indices)}
    found = []
    while missing:
        best = max(
            grid, key=lambda indices: len(missing.intersection(_meetings(strength, indices)))
        )
        missing.difference_update(_meetings(strength, best))
        found.append(best)
    return found


def _meetings(strength: int, indices: Combination) -> Iterator[tuple[tuple[int, int], ...]]:
    return itertools.combinations(enumerate(indices), strength)
