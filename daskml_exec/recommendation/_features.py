"""Features of items, as users hold them: read, checked, and put in the order of ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.user_models.features import canonical
from daskml_exec.partitions import is_collection
from daskml_exec.recommendation._ids import codes_of, ids_of, index_of, some

_ALLOWED = "a NumPy array, a SciPy sparse matrix, or a pandas dataframe with item ids as its index"


@dataclass(frozen=True)
class ItemFeatures:
    """One row of features for each item.

    Attributes
    ----------
    ids : ndarray of shape (n_items,)
        Sorted.
    matrix : ndarray or CSR array of shape (n_items, d)
        In float64 or float32, and finite.
    names : ndarray of str objects of shape (d,), or None
        Of the columns of a dataframe, where they are all strings.
    """

    ids: Array
    matrix: Any
    names: Array | None

    def at(self, places: Array) -> ItemFeatures:
        """Return those of some items, whose places are in order."""
        return ItemFeatures(self.ids[places], self.matrix[places], self.names)

    def of(self, ids: Array) -> Any:
        """Return the rows of the items of interactions.

        Raises
        ------
        ValueError
            Some have no features.
        """
        places = self.places(ids)
        missing = ids[places < 0]
        if len(missing):
            raise ValueError(
                f"{len(missing):,} items of interactions have no features: {some(missing)}; "
                "allowed are items with a row in item_features, whose index has their ids"
            )
        return self.matrix[places]

    def candidates(self, ids: Array) -> ItemFeatures:
        """Return those of given items.

        Raises
        ------
        ValueError
            Some have no features.
        """
        places = self.places(ids)
        if (places < 0).any():
            raise ValueError(
                f"candidates has {some(ids[places < 0])}, which have no features; allowed are "
                "items of the model, or of item_features where these are given"
            )
        return self.at(np.unique(places))

    def without(self, ids: Array) -> ItemFeatures:
        """Return those of all items but these."""
        places, kept = self.places(ids), np.ones(len(self.ids), bool)
        kept[places[places >= 0]] = False
        return self.at(np.flatnonzero(kept))

    def require_columns(self, d: int, names: Array | None) -> None:
        """Raise ValueError unless they have so many columns, of these names."""
        if self.matrix.shape[1] != d:
            raise ValueError(
                f"item_features has {self.matrix.shape[1]:,} columns, and the model was fitted "
                f"with {d:,}; allowed are as many"
            )
        if self.names is not None and names is not None and any(self.names != names):
            odd = [name for name in self.names if name not in set(names)]
            raise ValueError(
                f"item_features has other columns than in the fit, or in another order"
                f"{': ' + some(odd) if odd else ''}; allowed are {some(names)}, in order"
            )

    def places(self, ids: Array) -> Array:
        """Return the rows of some ids; -1 where there is none."""
        return codes_of(index_of(self.ids), ids)


def item_features_of(given: Any, ids: Array, of_rows: str) -> ItemFeatures:
    """Return features in the order of ids: those of the index of a dataframe, or given ones.

    Parameters
    ----------
    given : dataframe, array or sparse matrix
    ids : ndarray of shape (n_items,)
        Of the rows of what has no index.
    of_rows : str
        What these are, for messages.

    Raises
    ------
    TypeError
        It is none of these, or has what is no number.
    ValueError
        It has another number of rows, an id twice, no columns, or values that are not finite.
    """
    if isinstance(given, pd.DataFrame):
        if isinstance(given.index, pd.MultiIndex):
            raise TypeError("item_features has an index of several levels; allowed are item ids")
        ids = ids_of(given.index.to_series(), "index of item_features", "")
        names = np.asarray(given.columns, dtype=object)
        texts = all(isinstance(name, str) for name in names)
        made = ItemFeatures(ids, _numbers(given), names if texts else None)
        return _in_order(made)
    made = ItemFeatures(ids, _numbers(given), None)
    n = made.matrix.shape[0]
    if n != len(ids):
        raise ValueError(
            f"item_features is a features matrix with another number of items: it has {n:,} rows, "
            f"and there are {len(ids):,} {of_rows}; allowed is a row for each, in their order, or "
            "a pandas dataframe with item ids as its index"
        )
    return _in_order(made)


def _in_order(features: ItemFeatures) -> ItemFeatures:
    try:
        order = np.argsort(features.ids, kind="stable")
    except TypeError:
        raise TypeError("item ids are of several types; allowed are ids of one type") from None
    ids, matrix = features.ids[order], features.matrix[order]
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        raise ValueError(
            f"item_features has several rows for {some(twice)}; allowed is one row for each item"
        )
    _require_finite(matrix, ids)
    return ItemFeatures(ids, matrix, features.names)


def _numbers(given: Any) -> Any:
    if is_collection(given):
        raise TypeError(
            f"item_features is a {type(given).__name__} on a cluster; allowed is {_ALLOWED}, in "
            "memory: item_features.compute()"
        )
    if given is None or isinstance(given, (str, bytes, dict)):
        raise TypeError(f"item_features is of {type(given).__name__}; allowed is {_ALLOWED}")
    try:
        given = _without_frame(given)
        matrix: Any = sp.csr_array(given) if sp.issparse(given) else np.asarray(given)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"item_features has what is no number ({error}); allowed is {_ALLOWED}"
        ) from error
    if matrix.dtype.kind not in "biuf":
        raise TypeError(f"item_features is of {matrix.dtype}; allowed are real numbers")
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise ValueError(
            f"item_features has the shape {matrix.shape}; allowed is a row for each item, of one "
            "number or more"
        )
    matrix = matrix.astype(np.promote_types(matrix.dtype, np.float32), copy=False)
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float64)
    return canonical(matrix) if sp.issparse(matrix) else matrix


def _without_frame(given: Any) -> Any:
    """Return the values of a dataframe; a sparse matrix of sparse columns."""
    if not isinstance(given, pd.DataFrame):
        return given
    if len(given.columns) and all(
        isinstance(dtype, pd.SparseDtype) and dtype.fill_value == 0 for dtype in given.dtypes
    ):
        sparse: Any = given.sparse
        return sparse.to_coo()
    return given.to_numpy(dtype=np.float64, na_value=np.nan)


def _require_finite(matrix: Any, ids: Array) -> None:
    values = matrix.data if sp.issparse(matrix) else matrix
    if np.isfinite(values).all():
        return
    if sp.issparse(matrix):
        entries = matrix.tocoo()
        first = int(np.flatnonzero(~np.isfinite(entries.data))[0])
        row, column = int(entries.row[first]), int(entries.col[first])
    else:
        row, column = (int(axis[0]) for axis in np.nonzero(~np.isfinite(matrix)))
    raise ValueError(
        f"item_features has {matrix[row, column]} in column {column} of item "
        f"{some(ids[row : row + 1])}; allowed are finite numbers"
    )
