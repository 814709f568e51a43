"""The entries of a block of rows."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ratings:
    """The entries of a block of rows, as in a CSR matrix; all arrays are of one place.

    Parameters
    ----------
    indptr : array of shape (n + 1,), int64
        Where rows begin and end in the other two.
    indices : array of shape (nnz,), int32
        The rows of the other side, sorted and unique in each row of this one.
    values : array of shape (nnz,), in the dtype of the factors
    """

    indptr: Any
    indices: Any
    values: Any
