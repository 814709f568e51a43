"""What comes of fits to some rows and scores on others: outcomes, and the table of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.exceptions import FitFailedWarning

from daskml_exec.executor import LostPartitionError, LostSchedulerError, WorkerMismatchError
from daskml_exec.kernels.arrays import Array
from daskml_exec.model_selection._grid import Params, in_words

LOSSES = (LostPartitionError, LostSchedulerError, WorkerMismatchError)
"""What is no candidate's fault."""


@dataclass
class Outcome:
    """Of one candidate and one split.

    Attributes
    ----------
    scores, train_scores : dict of str to float
        By name; of what failed there is none.
    fit_seconds, score_seconds : float
    fit_error, score_error : Exception or None
    """

    scores: dict[str, float] = field(default_factory=dict)
    train_scores: dict[str, float] = field(default_factory=dict)
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    fit_error: Exception | None = None
    score_error: Exception | None = None


@dataclass(frozen=True)
class Outcomes:
    """Of all candidates and splits.

    Attributes
    ----------
    each : list of list of Outcome
        By candidate, and then by split.
    batch : list of int
        With the same number, candidates have shared passes.
    batches : dict of int to BatchResult
        Of those that have.
    """

    each: list[list[Outcome]]
    batch: list[int]
    batches: dict[int, Any] = field(default_factory=dict)

    def repeated(self, firsts: Sequence[int]) -> Outcomes:
        """Return those of candidates of which some are equal: `firsts` are places of computed."""
        places = {first: place for place, first in enumerate(dict.fromkeys(firsts))}
        at = [places[first] for first in firsts]
        each, batch = [self.each[i] for i in at], [self.batch[i] for i in at]
        return Outcomes(each, batch, self.batches)


def results_of(
    candidates: Sequence[Params], outcomes: Outcomes, error_score: float, *, train: bool
) -> dict[str, Any]:
    """Return `cv_results_` as scikit-learn names it, and which candidates have shared passes."""
    results: dict[str, Any] = {}
    for name in ("fit", "score"):
        seconds = _matrix(outcomes, lambda each, name=name: getattr(each, f"{name}_seconds"))
        results[f"mean_{name}_time"] = seconds.mean(axis=1)
        results[f"std_{name}_time"] = seconds.std(axis=1)
    for name in dict.fromkeys(name for each in candidates for name in each):
        results[f"param_{name}"] = _column_of(candidates, name)
    results["params"] = list(candidates)
    for name in names_of(outcomes):
        found = _matrix(outcomes, lambda each, name=name: each.scores.get(name, error_score))
        _put(results, found, f"test_{name}")
        results[f"rank_test_{name}"] = ranks(results[f"mean_test_{name}"])
        if train:
            found = _matrix(
                outcomes, lambda each, name=name: each.train_scores.get(name, error_score)
            )
            _put(results, found, f"train_{name}")
    results["batch"] = np.array(outcomes.batch)
    return results


def names_of(outcomes: Outcomes) -> list[str]:
    """Return the names of scores."""
    found = (name for row in outcomes.each for each in row for name in each.scores)
    return list(dict.fromkeys(found)) or ["score"]


def report_failures(
    candidates: Sequence[Params], outcomes: Outcomes, error_score: Any, *, stacklevel: int
) -> None:
    """Raise or warn of fits and scores that failed.

    Raises
    ------
    Exception
        The first, where `error_score` is "raise".
    ValueError
        All fits have failed.
    """
    failed = [
        (at, split, each)
        for at, row in enumerate(outcomes.each)
        for split, each in enumerate(row)
        if each.fit_error is not None or each.score_error is not None
    ]
    if not failed:
        return
    if isinstance(error_score, str):
        first = failed[0][2]
        raise first.fit_error or first.score_error  # type: ignore[misc]
    fits = [each for each in failed if each[2].fit_error is not None]
    n = sum(map(len, outcomes.each))
    if len(fits) == n:
        at, split, outcome = fits[0]
        error = outcome.fit_error
        raise ValueError(
            f"All the {n} fits failed; the first, candidate {at} ({in_words(candidates[at])}) in "
            f"split {split}, with {type(error).__name__}: {error}"
        ) from error
    for what, some, category in (
        ("fit", fits, FitFailedWarning),
        ("score", [each for each in failed if each[2].score_error is not None], UserWarning),
    ):
        by_message: dict[str, list[str]] = {}
        for at, split, outcome in some:
            error = outcome.fit_error or outcome.score_error
            message = f"{type(error).__name__}: {error}"
            who = f"candidate {at} ({in_words(candidates[at])}) in split {split}"
            by_message.setdefault(message, []).append(who)
        for message, whose in by_message.items():
            more = f" and {len(whose) - 5:,} more" if len(whose) > 5 else ""
            warnings.warn(
                f"the {what} of {', '.join(whose[:5])}{more} failed, and the score is "
                f"{error_score}: {message}",
                category,
                stacklevel=stacklevel,
            )


def _matrix(outcomes: Outcomes, of: Any) -> Array:
    return np.array([[of(each) for each in row] for row in outcomes.each], np.float64)


def _put(results: dict[str, Any], found: Array, name: str) -> None:
    for split in range(found.shape[1]):
        results[f"split{split}_{name}"] = found[:, split]
    results[f"mean_{name}"] = found.mean(axis=1)
    results[f"std_{name}"] = found.std(axis=1)


def ranks(means: Array) -> Array:
    """Return the ranks of mean scores, from 1 for the best; NaN is behind all."""
    known = np.where(np.isnan(means), -np.inf, means)
    if np.isnan(means).all():
        return np.ones(len(means), np.int32)
    return np.asarray(rankdata(-known, method="min"), np.int32)


def _column_of(candidates: Sequence[Mapping[str, Any]], name: str) -> Any:
    values = [each[name] for each in candidates if name in each]
    dtype: Any = object
    try:
        known = np.array(values)
    except ValueError:  # of lists of several lengths
        pass
    else:
        dtype = known.dtype if known.ndim == 1 and known.dtype.kind in "biuf" else object
    column = np.ma.masked_all(len(candidates), dtype)
    for at, each in enumerate(candidates):
        if name in each:
            column[at] = each[name]
    return column
