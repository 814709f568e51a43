"""Candidates of a search: sets of parameters that an estimator has, and those that are equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cloudpickle
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler

Params = dict[str, Any]


def candidates_of(param_grid: Any) -> list[Params]:
    """Return the candidates of a grid, or of several.

    Raises
    ------
    ValueError, TypeError
        As of `sklearn.model_selection.ParameterGrid`; and for no candidate.
    """
    grids = [param_grid] if isinstance(param_grid, Mapping) else param_grid
    if not isinstance(grids, Iterable) or isinstance(grids, str):
        raise TypeError(
            f"param_grid={param_grid!r}; allowed are a dict of lists, and lists of such"
        )
    found = list(ParameterGrid(list(grids)))
    if not any(found):
        raise ValueError(
            f"param_grid={param_grid!r} has no parameter; allowed are a dict of lists of values, "
            "and lists of such"
        )
    return found


def drawn_candidates(distributions: Any, n_iter: int, random_state: Any) -> list[Params]:
    """Return candidates that are drawn, as `sklearn.model_selection.ParameterSampler` draws them.

    Raises
    ------
    ValueError, TypeError
        As that; and for nothing to draw from.
    """
    if not isinstance(n_iter, (int, np.integer)) or isinstance(n_iter, bool) or n_iter < 1:
        raise ValueError(f"n_iter={n_iter!r}; allowed are integers from 1")
    if not distributions or (
        not isinstance(distributions, Mapping) and not all(map(bool, distributions))
    ):
        raise ValueError(
            f"param_distributions={distributions!r} is empty; allowed are a dict of lists and of "
            "distributions with a method rvs, and lists of such"
        )
    return list(ParameterSampler(distributions, int(n_iter), random_state=random_state))


def require_known(estimator: Any, candidates: Sequence[Params]) -> None:
    """Raise ValueError for a name that is no parameter of the estimator.

    A candidate that replaces a part of it, such as a step of a pipeline, is asked after that.
    """
    for name in dict.fromkeys(name for each in candidates for name in each):
        known = estimator.get_params(deep=True)
        holder = name.rpartition("__")[0]
        if name in known or any(holder and holder in each for each in candidates):
            continue
        try:  # such as module__width, which is one only once it is set
            clone(estimator).set_params(**{name: None})
        except (ValueError, TypeError, AttributeError):
            raise ValueError(
                f"{name!r} is no parameter of {type(estimator).__name__}; allowed are "
                f"{', '.join(sorted(known))}"
            ) from None


def with_params(estimator: Any, params: Params) -> Any:
    """Return an estimator like this one, with these parameters, none of which it shares."""
    own = {name: clone(value, safe=False) for name, value in params.items()}
    return clone(estimator).set_params(**own)


def first_equals(candidates: Sequence[Params]) -> list[int]:
    """Return for each candidate the first that is equal to it, which is computed for both.

    Examples
    --------
    >>> first_equals([{"C": 1.0}, {"C": 2.0}, {"C": 1.0}])
    [0, 1, 0]
    """
    known: dict[bytes, int] = {}
    return [known.setdefault(_key(params, at), at) for at, params in enumerate(candidates)]


def _key(params: Params, at: int) -> bytes:
    try:
        found: bytes = cloudpickle.dumps(sorted(params.items(), key=lambda item: item[0]))
    except Exception:  # of what does not pickle, no two are known to be equal
        return str(at).encode()
    return found


def in_words(params: Params) -> str:
    """Return parameters as a line."""
    return ", ".join(f"{name}={value!r:.60}" for name, value in params.items()) or "as given"
