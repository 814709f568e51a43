"""What `scoring` stands for: one or several scores of a model on held-out rows."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from daskml_exec.metrics import get_scorer
from daskml_exec.metrics._scorers import Scoring, scoring_of

_WEIGHT = "sample_weight"
Score = str | Callable[..., Any] | None
_ALLOWED = (
    "a name of daskml_exec.metrics.get_scorer; a callable (estimator, X, y) that returns a number "
    "or a dict of them; several in a list, or a dict from names of your own; None for the "
    "estimator's score"
)


@dataclass(frozen=True)
class Scorings:
    """Scores by their names in the results.

    Attributes
    ----------
    named : dict of str to str, callable or None
        None is the estimator's own `score`.
    several : bool
        Whether names are the user's.
    """

    named: dict[str, Score]
    several: bool

    @property
    def has_functions(self) -> bool:
        """Whether some want X and y, and are not asked of partitions."""
        return any(callable(each) for each in self.named.values())

    def records(self, own: Scoring) -> list[Scoring]:
        """Return what partitions are asked, where no score is a function of the user's."""
        return [own if each is None else scoring_of(str(each)) for each in self.named.values()]

    def of_model(self, model: Any, X: Any, y: Any, weight: Any = None) -> dict[str, float]:
        """Return the scores of a model on rows that are in memory, or on a cluster.

        Weights count in those that take some.
        """
        found: dict[str, float] = {}
        for name, each in self.named.items():
            scorer = get_scorer(each) if isinstance(each, str) else each
            given = () if scorer is None else (model,)
            score = model.score if scorer is None else scorer
            weights = {} if weight is None or not _takes_weights(score) else {_WEIGHT: weight}
            value = score(*given, X, y, **weights)
            if isinstance(value, Mapping) and not self.several:
                return {str(key): _number(score, str(key)) for key, score in value.items()}
            found[name] = _number(value, name)
        return found

    def functions(self) -> Any:
        """Return what is shown as `scorer_`: functions of an estimator, X and y."""
        made = {
            name: _own_score if each is None else each if callable(each) else get_scorer(each)
            for name, each in self.named.items()
        }
        return made if self.several else next(iter(made.values()))


def scorings_of(scoring: Any) -> Scorings:
    """Return what `scoring` stands for.

    Raises
    ------
    ValueError
        It is empty, or there is no score of a name; the message lists those that there are.
    TypeError
        It is of another kind.
    """
    if scoring is None or isinstance(scoring, str) or callable(scoring):
        return Scorings({"score": _checked(scoring)}, several=False)
    if isinstance(scoring, Mapping):
        named = {str(name): _checked(each) for name, each in scoring.items()}
    elif isinstance(scoring, Iterable):
        listed = list(scoring)
        if not all(isinstance(each, str) for each in listed):
            raise ValueError(f"scoring={scoring!r} lists what is no name; allowed are {_ALLOWED}")
        if len(set(listed)) < len(listed):
            raise ValueError(f"scoring={scoring!r} has a name twice; allowed are {_ALLOWED}")
        named = {each: _checked(each) for each in listed}
    else:
        raise TypeError(f"scoring={scoring!r}; allowed are {_ALLOWED}")
    if not named:
        raise ValueError(f"scoring={scoring!r} is empty; allowed are {_ALLOWED}")
    return Scorings(named, several=True)


def _checked(each: Any) -> Score:
    if isinstance(each, str):
        scoring_of(each)
    elif each is not None and not callable(each):
        raise TypeError(f"scoring has {each!r}; allowed are {_ALLOWED}")
    found: Score = each
    return found


def _takes_weights(function: Any) -> bool:
    return _WEIGHT in signature(function).parameters


def _own_score(estimator: Any, X: Any, y: Any) -> float:
    return float(estimator.score(X, y))


def _number(value: Any, name: str) -> float:
    if not isinstance(value, numbers.Number) and getattr(value, "shape", None) != ():
        raise ValueError(f"scoring {name!r} returned {value!r:.200}; allowed is a number")
    return float(value)
