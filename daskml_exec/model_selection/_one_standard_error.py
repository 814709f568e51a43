"""The simplest candidate that is as good as the best, within one standard error."""

from __future__ import annotations

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.standard_error import within_one_error


def first_within_one_error(scores: Array) -> int:
    """Return the first candidate whose mean score is within one standard error of the best.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_splits)
        Of candidates from the simplest on.

    Raises
    ------
    ValueError
        There are fewer than two splits, or no candidate has scores in all.

    Examples
    --------
    >>> first_within_one_error(np.array([[0.80, 0.84], [0.84, 0.88], [0.85, 0.89]]))
    1
    """
    if scores.shape[1] < 2:
        raise ValueError(
            f"refit='1se' with {scores.shape[1]} split, whose score has no standard error; allowed "
            "are from 2 splits on"
        )
    if np.isnan(scores.mean(axis=1)).all():
        raise ValueError("all mean scores are NaN, so that refit='1se' has no best one")
    return int(np.flatnonzero(within_one_error(scores.T))[0])
