"""How well a model predicts interactions that it was not fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.recommendation._given_rows import triples_in_memory
from daskml_exec.recommendation._pairs import Scores
from daskml_exec.recommendation._ranking_scores import ranking_scores
from daskml_exec.recommendation._seen import Seen
from daskml_exec.recommendation._triples import Columns


def negative_rmse(scores: Scores, interactions: Any, columns: Columns) -> float:
    """Return the negative root mean squared error of the pairs that are known.

    Raises
    ------
    ValueError
        None is known.
    """
    found, ratings = _known(scores, interactions, columns)
    return -float(np.sqrt(np.mean((found.astype(np.float64) - ratings) ** 2)))


def accuracy(scores: Scores, interactions: Any, columns: Columns) -> float:
    """Return the share of the pairs that are known whose class is the more probable one.

    Raises
    ------
    ValueError
        None is known.
    """
    found, ratings = _known(scores, interactions, columns)
    return float(np.mean((found >= 0.5) == (ratings > 0)))


def _known(scores: Scores, interactions: Any, columns: Columns) -> tuple[Array, Array]:
    """Return scores and ratings of the pairs that are known."""
    triples, _ = triples_in_memory(interactions, columns)
    found, n_users, n_items = scores.of((triples.user, triples.item))
    known = ~np.isnan(found)
    if not known.any():
        raise ValueError(
            f"interactions has {len(triples):,} rows, of which {n_users:,} are of unknown users "
            f"and {n_items:,} of unknown items; allowed is at least one of a known pair"
        )
    return found[known], triples.rating[known]


def ndcg(model: Any, seen: Seen, interactions: Any) -> float:
    """Return NDCG@10 of lists of users without what they have seen."""
    rows = np.repeat(np.arange(seen.n_rows), seen.counts)
    kept = model.users_[rows], model.items_[seen.columns], seen.values
    return ranking_scores(model, kept, interactions, k=10).ndcg
