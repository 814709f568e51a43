"""What is similar to given items, or users: by the angle between their factors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from daskml_exec.kernels.arrays import Array, Rows
from daskml_exec.recommendation._lists import Asked, Lists
from daskml_exec.recommendation._seen import Seen


def similar(codes: Rows, ids: Array, vectors: Array, n: int, name: str) -> pd.DataFrame:
    """Return the rows that are most similar to given ones, by the cosine of their factors.

    Parameters
    ----------
    codes : ndarray
        Which rows.
    ids : ndarray of shape (m,)
        Of all rows.
    vectors : ndarray of shape (m, k)
    n : int
    name : str
        Of the column of ids; the similar ones are in one of this name behind "similar_".
    """
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    directions = (vectors / np.where(norms > 0, norms, 1)[:, None]).astype(vectors.dtype)
    itself = Seen(np.arange(len(codes) + 1), codes.astype(np.int32), np.empty(0))
    lists = Lists(ids, directions, n, None, (name, f"similar_{name}"))
    return lists.in_threads(Asked(ids[codes], directions[codes], itself))
