"""Features of items, made ready for the models of many users."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class ReadyFeatures:
    """Features in double precision; dense ones are centred where models have an intercept.

    Users' own centres are taken off again in their models: that of all items keeps digits which
    features far from zero would lose in the products of items.

    Attributes
    ----------
    matrix : ndarray or CSR array of shape (n_items, d)
    offsets : ndarray of shape (n_items,)
        The product of each row with the centre that was taken off.
    """

    matrix: Any
    offsets: Array


def ready_features(features: Any, *, fit_intercept: bool) -> ReadyFeatures:
    """Return features as models of users take them.

    Parameters
    ----------
    features : ndarray or CSR matrix of shape (n_items, d)
    fit_intercept : bool
        Whether models have an intercept.

    Examples
    --------
    >>> ready_features(np.array([[1.0], [3.0]]), fit_intercept=True)
    ReadyFeatures(matrix=array([[-1.],
           [ 1.]]), offsets=array([-2.,  2.]))
    """
    if sp.issparse(features):
        matrix = canonical(sp.csr_array(features, dtype=np.float64))
        return ReadyFeatures(matrix, np.zeros(matrix.shape[0]))
    rows = np.ascontiguousarray(features, dtype=np.float64)
    if not fit_intercept or not len(rows):
        return ReadyFeatures(rows, np.zeros(len(rows)))
    center = rows.mean(axis=0)
    rows = rows - center
    return ReadyFeatures(rows, rows @ center)


def canonical(matrix: Any) -> Any:
    """Return a CSR matrix whose columns are sorted and come once in a row: itself, or a copy."""
    if matrix.has_canonical_format:
        return matrix
    made = matrix.copy()
    made.sum_duplicates()
    return made
