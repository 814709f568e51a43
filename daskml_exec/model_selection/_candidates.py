"""Candidates: parameters that are drawn, and the estimators that have them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.utils import check_random_state

from daskml_exec.model_selection._brackets import Bracket
from daskml_exec.model_selection._grid import with_params


@dataclass(frozen=True)
class Candidate:
    """One draw.

    Attributes
    ----------
    number : int
        Among all, the place in `cv_results_`.
    bracket : int
        The place of its bracket among all.
    params : dict
    same_as : int
        The first candidate of its bracket with equal parameters, which is trained for both: often
        itself.
    """

    number: int
    bracket: int
    params: dict[str, Any]
    same_as: int


def require_distributions(estimator: Any, distributions: Any) -> None:
    """Raise unless there is something to draw of each parameter, and the estimator has it.

    Raises
    ------
    ValueError
        There is nothing to draw from, or the estimator has no such parameter.
    TypeError
        What to draw from is neither a sequence nor a distribution.
    """
    allowed = "allowed are lists of values, and distributions with a method rvs, as scipy.stats has"
    if not isinstance(distributions, Mapping):
        raise TypeError(
            f"param_distributions is a {type(distributions).__name__}, and no dict from names of "
            f"parameters to what is drawn; {allowed}"
        )
    if not distributions:
        raise ValueError(f"param_distributions is empty: there is nothing to draw; {allowed}")
    for name, values in distributions.items():
        listed = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
        if not (listed or hasattr(values, "rvs")):
            raise TypeError(f"param_distributions has {values!r:.100} for {name!r}; {allowed}")
        if listed and not len(values):
            raise ValueError(f"param_distributions has no value for {name!r}; {allowed}")
    clone(estimator).set_params(**dict.fromkeys(distributions))


def drawn(
    distributions: Mapping[str, Any], brackets: Sequence[Bracket], random: np.random.RandomState
) -> list[Candidate]:
    """Draw the candidates of all brackets, the first of `brackets` first.

    Where all that can be drawn is listed, no two are the same; where that is fewer than a bracket
    has room for, it has all of it.
    """
    wanted = sum(each.sizes[0] for each in brackets)
    if all(not hasattr(values, "rvs") for values in distributions.values()):
        n = len(ParameterGrid(dict(distributions)))
        order = list(ParameterSampler(dict(distributions), min(n, wanted), random_state=random))
    else:
        n, order = wanted, list(ParameterSampler(dict(distributions), wanted, random_state=random))
    candidates: list[Candidate] = []
    first = 0
    for place, each in enumerate(brackets):
        size = min(n, each.sizes[0])
        known: dict[Any, int] = {}
        for at in range(first, first + size):
            params = order[at % len(order)]
            number = len(candidates)
            same_as = known.setdefault(_key(params), number)
            candidates.append(Candidate(number, place, params, same_as))
        first += size
    return candidates


def estimators_of(
    estimator: Any, candidates: Iterable[Candidate], random: np.random.RandomState
) -> list[Any]:
    """Return an estimator for each candidate, or the exception that its parameters raised.

    Where the estimator has a `random_state` that is no number, each gets a number drawn from
    `random`.
    """
    made: list[Any] = []
    for candidate in candidates:
        seed = int(random.randint(np.iinfo(np.int32).max))
        try:
            other = with_params(estimator, candidate.params)
        except Exception as error:
            made.append(error)
            continue
        given = other.get_params(deep=False)
        if "random_state" in given and not isinstance(given["random_state"], int | np.integer):
            other.set_params(random_state=seed)
        made.append(other)
    return made


def random_of(random_state: Any) -> np.random.RandomState:
    """Return the stream of random numbers of a search."""
    return check_random_state(random_state)


def _key(params: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    named = ((name, type(value).__name__, repr(value)) for name, value in params.items())
    return tuple(sorted(named))
