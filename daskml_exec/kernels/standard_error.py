"""Which scores are as good as the best, as far as their spread tells."""

import numpy as np

from daskml_exec.kernels.arrays import Array


def within_one_error(scores: Array) -> Array:
    """Return whether each mean score is within one standard error of the best.

    Source: Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees, 3.4.3;
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, 7.10.

    Parameters
    ----------
    scores : array of shape (n_splits, n_candidates)
        Of two splits or more; a candidate that has NaN is not, and not all have it.

    Examples
    --------
    >>> within_one_error(np.array([[0.80, 0.84, 0.85], [0.84, 0.88, 0.89]])).tolist()
    [False, True, True]
    """
    means = scores.mean(axis=0)
    best = int(np.nanargmax(means))
    error = scores[:, best].std(ddof=1) / np.sqrt(len(scores))
    within: Array = means >= means[best] - error
    return within
