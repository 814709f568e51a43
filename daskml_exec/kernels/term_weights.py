"""Which terms are kept, and what they weigh: inverse document frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from daskml_exec.kernels.term_counts import Terms


def chosen(
    terms: Terms, *, least: float, most: float, limit: int | None
) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the terms that are kept, sorted, and how many documents have each.

    Parameters
    ----------
    terms : Terms
        With totals, where there is a limit.
    least, most : float
        Documents that a term must have, and may have.
    limit : int or None
        Of so many of these terms, those with the largest totals are kept. Which of several with the
        same total, is as scikit-learn has it: as NumPy happens to sort them.

    Examples
    --------
    >>> import pickle
    >>> terms = Terms((3,), np.array([3, 1, 2]), pickle.dumps(["is", "odd", "even"]))
    >>> chosen(terms, least=2, most=3, limit=None)
    (['even', 'is'], array([2, 3]))
    """
    names = terms.names
    order = sorted(range(len(names)), key=names.__getitem__)
    documents = terms.documents[order]
    keep = (documents <= most) & (documents >= least)
    if limit is not None and terms.totals is not None and keep.sum() > limit:
        totals = terms.totals[order]
        largest = (-totals[keep]).argsort()[:limit]
        places = np.flatnonzero(keep)[largest]
        keep = np.zeros(len(names), dtype=bool)
        keep[places] = True
    kept = np.flatnonzero(keep)
    return [names[order[place]] for place in kept.tolist()], documents[kept]


def inverse_document_frequencies(
    documents: NDArray[Any], n_documents: int, *, smooth: bool, dtype: DTypeLike
) -> NDArray[Any]:
    """Return the weight of each term, log((n + s) / (d + s)) + 1, as scikit-learn computes it.

    Parameters
    ----------
    documents : ndarray of shape (n_terms,)
        d, how many documents have each term.
    n_documents : int
        n.
    smooth : bool
        Whether s is 1, as if one more document had each term; else 0.
    dtype : dtype
        To compute in.

    Examples
    --------
    >>> inverse_document_frequencies(np.array([1, 3]), 3, smooth=True, dtype=np.float64)
    array([1.69314718, 1.        ])
    """
    frequencies = documents.astype(dtype) + np.asarray(float(smooth), dtype=dtype)
    weights = np.full_like(frequencies, fill_value=n_documents + int(smooth), dtype=dtype)
    weights /= frequencies
    np.log(weights, out=weights)
    weights += 1.0
    return weights
