"""Which of several penalties is chosen by its scores on folds that models have not seen."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.standard_error import within_one_error


def choice_of(refit: bool | Literal["1se"], strengths: Sequence[float]) -> Any:
    """Return what chooses a penalty to be fitted again, of scores (S, F, J).

    Parameters
    ----------
    refit : {True, False, "1se"}
        The best mean score; nothing; or the strongest penalty whose mean score is within one
        standard error of the best.
    strengths : sequence of float
        Of the penalties.
    """
    if refit is False:
        return _none
    return partial(one_standard_error, strengths) if refit == "1se" else best_of


def best_of(scores: Array) -> int:
    """Return the first of the best mean scores by the first scoring.

    Raises
    ------
    ValueError
        All scores are NaN.
    """
    means = scores[0].mean(axis=0)
    if np.isnan(means).all():
        raise ValueError("all scores are NaN, so that there is no best one")
    return int(np.nanargmax(means))


def one_standard_error(strengths: Sequence[float], scores: Array) -> int:
    """Return the strongest penalty whose mean score is within one standard error of the best.

    Examples
    --------
    >>> scores = np.array([[[0.80, 0.84, 0.85], [0.84, 0.88, 0.89]]])
    >>> one_standard_error([100.0, 10.0, 1.0], scores)
    1
    """
    best_of(scores)  # which raises where there is none
    within = np.flatnonzero(within_one_error(scores[0]))
    return int(max(within.tolist(), key=lambda j: (strengths[j], -j)))


def _none(scores: Array) -> None:
    return None
