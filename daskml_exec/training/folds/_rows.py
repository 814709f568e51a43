"""What a split yields for collections: some rows, to be had of whatever has as many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import FoldRows
from daskml_exec.partitions._row_pieces import Chosen


@dataclass(frozen=True)
class OneOf:
    """The rows of one fold, or all but those.

    Attributes
    ----------
    fold : int
    others : bool
        Whether the other folds are wanted.
    """

    fold: int
    others: bool = False

    def rows(self, folds: Array) -> Array:
        """Return whether each row is wanted."""
        wanted: Array = (folds != self.fold) if self.others else (folds == self.fold)
        return wanted


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a collection: call it with each collection that has as many rows in all.

    What comes of one call is aligned with what comes of another: X, y and weights may have other
    chunks. Rows keep their order and stay where they are; nothing is computed but their numbers.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec import Executor
    >>> from daskml_exec.model_selection import KFold
    >>> with Executor(processes=False, n_workers=1):
    ...     X = da.arange(6, chunks=4).reshape(6, 1)
    ...     train, test = next(KFold(3).split(X))
    ...     train(X).compute().ravel(), test(X).chunks
    (array([2, 3, 4, 5]), ((2, 0), (1,)))
    """

    _folds: FoldRows
    _chosen: Chosen

    def __call__(self, data: Any) -> Any:
        """Return these rows of some data.

        Parameters
        ----------
        data : Dask array, dataframe, series or bag of arrays, list of futures, or in memory
            With as many rows as what was split.

        Returns
        -------
        Of the kind of `data`
            Lazily for collections, with chunks of known sizes for arrays; at once in memory.
        """
        return self._folds.picked(data, self._chosen, "data")

    def __repr__(self) -> str:
        lengths = self._folds.rows
        return f"<Rows among {sum(lengths):,} in {len(lengths):,} partitions>"

    def __array__(self, *arguments: Any, **options: Any) -> Array:
        # scikit-learn's searches ask for this, and would take what NumPy makes of it for a name.
        raise TypeError(
            "rows of a split of Dask data are no array of row numbers, which scikit-learn's "
            "cross_val_score and searches want: with Dask arrays of known chunks use a splitter of "
            "scikit-learn as cv, compute other data first, or loop over splits and fit on "
            "train(X), train(y), as docs/splits.md shows; mask() brings a bool for each row"
        )

    def mask(self) -> Array:
        """Return whether each row is one of these, on the driver.

        Returns
        -------
        ndarray of bool
            For all rows, in order.
        """
        client = self._folds.executor.client
        return np.concatenate(
            [self._chosen.rows(each) for each in client.gather(list(self._folds.futures))]
        )
