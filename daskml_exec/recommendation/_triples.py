"""Interactions as users hold them, read as three columns: user, item, rating."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import column_labels, refuse_unreadable
from daskml_exec.recommendation._ids import ids_of, some

ALLOWED = (
    "a pandas, Polars or Dask dataframe, a tuple of the arrays (user, item) or (user, item, "
    "rating), a SciPy sparse matrix, a Dask array of CSR chunks, or a list of futures of such"
)


@dataclass(frozen=True)
class Columns:
    """What the columns of a dataframe are called.

    Attributes
    ----------
    user, item : str
    rating : str or None
        None where there is none: each row is a one.
    """

    user: str
    item: str
    rating: str | None

    def __post_init__(self) -> None:
        names = self.names()
        if len(set(names)) < len(names) or "score" in (self.user, self.item):
            raise ValueError(
                f"user={self.user!r}, item={self.item!r}, rating={self.rating!r}; allowed are "
                "different names, and for users and items others than 'score', which lists have"
            )

    def names(self) -> list[str]:
        """Return those that a dataframe must have."""
        return [self.user, self.item, *([] if self.rating is None else [self.rating])]

    def require_in(self, labels: list[Any], where: str) -> None:
        """Raise ValueError unless a dataframe has them."""
        missing = [name for name in self.names() if name not in labels]
        if missing:
            more = "; rating=None takes each row as a one" if missing == [self.rating] else ""
            raise ValueError(
                f"interactions{where} have the columns {labels}, and no {missing}; user=, item= "
                f"and rating= of the estimator name them{more}"
            )


@dataclass(frozen=True)
class Triples:
    """Rows of interactions.

    Attributes
    ----------
    user, item : ndarray of shape (n,)
        Ids: int64, or objects that are texts; of a matrix int32 where that is enough.
    rating : ndarray of float32 or float64 of shape (n,)
    """

    user: Array
    item: Array
    rating: Array

    def __len__(self) -> int:
        return len(self.user)

    def frame(self) -> pd.DataFrame:
        """Return them as a frame, which is cut as any other is."""
        return pd.DataFrame({"user": self.user, "item": self.item, "rating": self.rating})


OF_TRIPLES = Columns("user", "item", "rating")


def triples_of(block: Any, columns: Columns, start: int | None = 0, where: str = "") -> Triples:
    """Return a block of interactions as three checked columns.

    Parameters
    ----------
    block : dataframe, tuple of arrays, or sparse matrix
        Of a matrix, rows are users and columns items; what it stores are ratings.
    columns : Columns
    start : int or None
        Of a matrix, the rows before this block; None where that is not known.
    where : str
        Such as " in partition 3", for messages.

    Raises
    ------
    TypeError
        It is nothing of these, or has dates as ids, or no numbers as ratings.
    ValueError
        Columns are missing, of different lengths, or have missing values.
    """
    labels = column_labels(block)
    if labels is not None:
        columns.require_in(labels, where)
        user, item = block[columns.user], block[columns.item]
        rating = None if columns.rating is None else block[columns.rating]
    elif sp.issparse(block):
        if start is None:
            raise ValueError(
                "interactions are a Dask array with chunks of unknown sizes, so that rows have no "
                "numbers; allowed are known ones: interactions.compute_chunk_sizes()"
            )
        user, item, rating = _entries(block)
        user = user + start if start else user
    elif isinstance(block, tuple) and len(block) in (2, 3):
        user, item, rating = (*block, None)[:3]
    else:
        has = f" of {type(block[0]).__name__}" if isinstance(block, (list, tuple)) and block else ""
        raise TypeError(
            f"interactions{where} are of {type(block).__name__}{has}; allowed are {ALLOWED}"
        )
    if not sp.issparse(block):
        user, item = ids_of(user, columns.user, where), ids_of(item, columns.item, where)
    name = "rating" if columns.rating is None else columns.rating
    numbers = np.ones(len(user)) if rating is None else _numbers(rating, name, where)
    made = Triples(user, item, numbers)
    lengths = {len(each) for each in (made.user, made.item, made.rating)}
    if len(lengths) > 1:
        raise ValueError(
            f"interactions{where} have {len(made.user)} users, {len(made.item)} items and "
            f"{len(made.rating)} ratings; allowed are as many of each"
        )
    _require_finite(made, columns, where)
    return made


def _entries(matrix: Any) -> tuple[Array, Array, Array]:
    """Return rows, columns and values of all entries; pairs that come twice stay two."""
    if matrix.format == "coo":
        return *matrix.coords, matrix.data
    rows = matrix.tocsr()
    # SciPy's own conversion wants indices and indptr of one dtype.
    dtype = np.int32 if rows.shape[0] <= np.iinfo(np.int32).max else np.int64
    numbers = np.repeat(np.arange(rows.shape[0], dtype=dtype), np.diff(rows.indptr))
    return numbers, rows.indices, rows.data


def _numbers(rating: Any, name: str, where: str) -> Array:
    refuse_unreadable(rating, f"column {name!r}")
    kind = getattr(getattr(rating, "dtype", None), "kind", "f")
    texts = kind in "SU" or (kind == "O" and pd.api.types.infer_dtype(rating) == "string")
    if texts or kind == "c":
        found = "texts" if texts else "complex numbers"
        raise TypeError(
            f"column {name!r} of ratings{where} has {found}; allowed are finite numbers"
        )
    try:
        if isinstance(rating, pd.Series):
            dtype = np.float32 if rating.dtype == np.float32 else np.float64
            values = rating.to_numpy(dtype=dtype, na_value=np.nan)
        elif type(rating).__module__.partition(".")[0] == "polars":
            values = rating.cast(float).to_numpy()
        else:
            values = np.asarray(rating)
            if values.dtype != np.float32:
                values = values.astype(np.float64)
    except Exception as error:
        raise TypeError(
            f"column {name!r} of ratings{where} has what is no number ({error}); allowed are "
            "finite numbers"
        ) from error
    if values.ndim != 1:
        raise ValueError(
            f"column {name!r} of ratings{where} has {values.ndim} dimensions; allowed is one "
            "number per row"
        )
    return values


def _require_finite(triples: Triples, columns: Columns, where: str) -> None:
    odd = ~np.isfinite(triples.rating)
    if odd.any():
        rows = np.flatnonzero(odd)
        row = int(rows[0])
        user, item = (some(ids[row : row + 1]) for ids in (triples.user, triples.item))
        raise ValueError(
            f"column {columns.rating or 'rating'!r} of ratings{where} has {len(rows):,} values "
            f"that are missing or not finite, the first {triples.rating[row]} in row {row}, of "
            f"user {user} and item {item}; allowed are finite numbers: leave these rows out"
        )
