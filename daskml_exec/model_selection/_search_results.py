"""What comes of a search by halving: the table of candidates, and what there is to warn of."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import FitFailedWarning

from daskml_exec.model_selection._brackets import Bracket
from daskml_exec.model_selection._candidates import Candidate
from daskml_exec.model_selection._outcomes import ranks
from daskml_exec.model_selection._rungs import RungRecord
from daskml_exec.model_selection._tournament import Tournament
from daskml_exec.training import Failed, FitWarning


def table_of(
    records: Sequence[RungRecord], candidates: Sequence[Candidate], brackets: Sequence[Bracket]
) -> dict[str, Any]:
    """Return `cv_results_`: a column for each key, with a row for each candidate.

    Those that were not told of have a score of NaN, and -1 as rung.
    """
    of: dict[int, list[RungRecord]] = {}
    for record in records:
        of.setdefault(record.candidate, []).append(record)
    rows = [of.get(candidate.same_as, []) for candidate in candidates]
    scores = np.array([found[-1].score if found else np.nan for found in rows])
    table: dict[str, Any] = {"params": [candidate.params for candidate in candidates]}
    for name in dict.fromkeys(name for each in candidates for name in each.params):
        column = np.ma.masked_all(len(candidates), dtype=object)
        for at, candidate in enumerate(candidates):
            if name in candidate.params:
                column[at] = candidate.params[name]
        table[f"param_{name}"] = column
    return table | {
        "mean_fit_time": np.array([sum(r.fit_seconds for r in found) for found in rows]),
        "mean_score_time": np.array([sum(r.score_seconds for r in found) for found in rows]),
        "split0_test_score": scores.copy(),
        "mean_test_score": scores,
        "rank_test_score": ranks(scores),
        "bracket": np.array([brackets[candidate.bracket].number for candidate in candidates]),
        "rung": np.array([found[-1].rung if found else -1 for found in rows]),
        "epochs": np.array([found[-1].epochs if found else 0 for found in rows]),
    }


def all_failed(failures: Mapping[int, Failed], candidates: Sequence[Candidate]) -> ValueError:
    """Return the error of a search of which nothing came."""
    if not failures:
        return ValueError("the search was stopped before a candidate had a score")
    number = min(failures)
    error = ValueError(
        f"all {len(failures):,} candidates failed; the first, {candidates[number].params}, with "
        f"{failures[number].kind}: {failures[number].message}"
    )
    error.__cause__ = failures[number].error
    return error


def said_of(
    tournament: Tournament,
    candidates: Sequence[Candidate],
    brackets: Sequence[Bracket],
    error_score: Any,
) -> list[FitWarning]:
    """Return what there is to warn of after a search."""
    found: list[FitWarning] = []
    for number, failed in sorted(tournament.failures.items()):
        found.append(
            FitWarning(
                f"failed {number}",
                f"candidate {number}, {candidates[number].params}, failed, and its score is "
                f"{error_score}: {failed.kind}: {failed.message}",
                FitFailedWarning,
            )
        )
    wanted = sum(bracket.sizes[0] for bracket in brackets)
    if len(candidates) < wanted:
        found.append(
            FitWarning(
                "few",
                f"param_distributions has fewer combinations than a bracket has room for: "
                f"{len(candidates):,} candidates were trained, of {wanted:,}",
            )
        )
    by_message: dict[str, tuple[FitWarning, list[int]]] = {}
    for number, warning in tournament.warnings:
        by_message.setdefault(warning.message, (warning, []))[1].append(number)
    for warning, numbers in by_message.values():
        of = ", ".join(map(str, sorted(set(numbers))[:10])) + ", ..." * (len(set(numbers)) > 10)
        found.append(
            FitWarning(warning.about, f"candidates {of}: {warning.message}", warning.category)
        )
    return found
