"""From what users hold to a `Data`: asked once what X is, checked, aligned, and placed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array

from daskml_exec.executor import Executor, as_dask_futures, cluster_is_meant
from daskml_exec.partitions._classification import Labels
from daskml_exec.partitions._data import Data
from daskml_exec.partitions._from_cluster import rows_on_cluster
from daskml_exec.partitions._given import Given
from daskml_exec.partitions._grid_data import grid_of
from daskml_exec.partitions._kinds import ARRAY, is_collection, kind_of, names_of
from daskml_exec.partitions._memory import rows_in_memory
from daskml_exec.partitions._recipes import Owner, loaded_safely
from daskml_exec.partitions._refusals import column_labels, naming_columns, refuse_unreadable
from daskml_exec.partitions._regression import Numbers
from daskml_exec.partitions._target import NO_TARGET, Settled, Target
from daskml_exec.partitions._to_memory import to_memory


class Cut(Protocol):
    """How X is cut: a frozen record."""

    kind: ClassVar[str]

    def placed(self, given: Given) -> tuple[Any, Settled]:
        """Bring the data to the cluster, or take it where it lives."""

    def require_of(self, partitions: Any, who: str) -> None:
        """Raise ValueError unless data that was loaded with another such record will do."""


@dataclass(frozen=True)
class Rows:
    """Whole rows, in partitions."""

    kind: ClassVar[str] = "rows"

    def placed(self, given: Given) -> tuple[Any, Settled]:
        """Return `Partitions`, and what is known of their targets."""
        if not is_collection(given.X):
            return rows_in_memory(given)
        return rows_on_cluster(
            given.executor, given.X, given.y, given.sample_weight, given.target, raw=given.raw
        )

    def require_of(self, partitions: Any, who: str) -> None:
        """Accept any rows."""


@dataclass(frozen=True)
class Cells:
    """Rows and columns, in a grid of cells, for ``parallel="model"`` of linear models.

    Parameters
    ----------
    n_blocks : int or "auto", default="auto"
        Ranges of columns. "auto" keeps the column chunks of a Dask array that has several; else it
        is a number that depends on the number of columns alone.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.partitions import Cells, load
    >>> with Executor(processes=False, n_workers=1):
    ...     with load(np.eye(6), np.arange(6), target="numbers", cut=Cells(n_blocks=2)) as data:
    ...         print(data.n_blocks)
    2
    """

    n_blocks: int | Literal["auto"] = "auto"

    kind: ClassVar[str] = "cells"

    def placed(self, given: Given) -> tuple[Any, Settled]:
        """Return a `Grid`, and what is known of its targets."""
        if given.raw:
            raise ValueError("raw=True with cut='cells'; allowed is cut='rows'")
        return grid_of(given, self.n_blocks)

    def require_of(self, partitions: Any, who: str) -> None:
        """Raise ValueError for another number of column blocks, where one is asked for."""
        if self.n_blocks not in ("auto", partitions.n_blocks):
            raise ValueError(
                f"{who} has n_blocks={self.n_blocks!r}, and X is a Data with {partitions.n_blocks} "
                f"column blocks; allowed are n_blocks='auto', and load(X, y, cut=Cells("
                f"n_blocks={self.n_blocks!r}))"
            )


ROWS = Rows()
_TARGETS: dict[Any, Target] = {"labels": Labels(), "numbers": Numbers(), None: NO_TARGET}
_CUTS: dict[Any, Cut] = {"rows": ROWS, "cells": Cells()}


def load(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    target: Literal["labels", "numbers"] | Labels | Numbers | None = None,
    cut: Literal["rows", "cells"] | Cells = "rows",
    raw: bool = False,
) -> Data:
    """Bring data to the cluster once, checked and aligned, to train on it many times.

    Parameters
    ----------
    X : array-like, sparse matrix, dataframe, Dask collection or list of futures
        Rows of numbers. Data in memory is cut by its size alone (dask config
        ``daskml-exec.partition-bytes``); collections keep their row chunks.
    y : the same kinds, optional
        A value per row, or with ``target="numbers"`` several; it is aligned to the rows of X.
    sample_weight : the same kinds, optional
        Weights from 0; None means ones.
    target : {"labels", "numbers"}, Labels or None, default=None
        What y is: labels of classes, for classifiers; numbers, for regressors; nothing, where
        there is no y. `Labels` has class weights.
    cut : {"rows", "cells"} or Cells, default="rows"
        Whether Workers hold whole rows, or cells of rows and columns: what linear models with
        ``parallel="model"`` train on. `Cells` has the number of ranges of columns.
    raw : bool, default=False
        Whether blocks of X are left as they are, whatever they hold: frames, lists, arrays of
        objects, missing values. Estimators train on numbers alone; this is for
        `daskml_exec.training.reduce` and `Data.map`.

    Returns
    -------
    Data
        On the cluster of ``Executor.current()``. Release it at the end, best by a ``with``.

    Raises
    ------
    ValueError
        An argument is not as described; the message names it, what came and what is allowed.
    TypeError
        X has no rows, dates are where numbers are needed, or labels have no order.
    daskml_exec.executor.LostPartitionError
        What was persisted, or the futures, are gone or on another cluster.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from daskml_exec import Executor
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> from daskml_exec.training import load
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> with Executor(processes=False, n_workers=2), load(X, y, target="labels") as data:
    ...     print(data)
    ...     models = [LogisticRegression(C=C).fit(data) for C in (0.01, 1.0)]
    Data: 569 rows x 30 columns in 1 partition on 2 workers, 137 kB
    >>> [round(model.score(X, y), 2) for model in models]
    [0.95, 0.96]
    """
    executor = Executor.current
    return _load(executor, X, y, sample_weight, target=target, cut=cut, raw=raw)


def load_where_it_is(X: Any, y: Any = None, sample_weight: Any = None, *, target: Any) -> Data:
    """Do as `load` with ``cut="rows"``; what is in memory stays there if nothing names a cluster.

    Parameters
    ----------
    X, y, sample_weight, target : as in `load`
    """
    elsewhere = any(is_collection(as_dask_futures(each)) for each in (X, y, sample_weight))
    wanted = elsewhere or cluster_is_meant()
    executor = Executor.current if wanted else _nobody
    return _load(executor, X, y, sample_weight, target=target, cut="rows", raw=False)


def _nobody() -> None:
    return None


def _load(
    current: Callable[[], Executor | None],
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    target: Any,
    cut: Any,
    raw: bool,
) -> Data:
    wanted = _chosen("target", target, _TARGETS, (Labels, Numbers))
    if (y is None) != (wanted.kind is None):
        found = "y is given, and target is None" if y is not None else f"y is None, {target=}"
        raise ValueError(f"{found}; allowed are y with target='labels' or 'numbers', or neither")
    X, y, sample_weight = (as_dask_futures(each) for each in (X, y, sample_weight))
    names = None
    if not raw:
        refuse_unreadable(X, "X")
    refuse_unreadable(y, "y", dates=wanted.kind == "numbers")
    refuse_unreadable(sample_weight, "sample_weight")
    _require_rows(X)
    executor = current()
    if not is_collection(X):
        y = to_memory(y, executor, "y")
        sample_weight = to_memory(sample_weight, executor, "sample_weight")
        X, names = _in_memory(X, raw=raw)
    return load_checked(
        executor,
        X,
        y,
        sample_weight,
        target=wanted,
        cut=_chosen("cut", cut, _CUTS, (Cells,)),
        feature_names=names,
        raw=raw,
    )


def load_checked(
    executor: Executor | None,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    target: Target,
    cut: Cut = ROWS,
    feature_names: tuple[str, ...] | None = None,
    raw: bool = False,
) -> Data:
    """Load data on which nothing in memory is left to check.

    Parameters
    ----------
    executor, X, y, sample_weight, target, feature_names, raw
        As of `Given`.
    cut : Cut
    """
    if target.several and kind_of(y) == ARRAY and y.ndim == 2 and y.numblocks[1] > 1:
        y = y.rechunk({1: -1})

    given = Given(executor, X, y, sample_weight, target, feature_names, raw)

    def again() -> tuple[Any, Settled]:
        found: tuple[Any, Settled] = loaded_safely(executor, lambda: cut.placed(given))
        return found

    partitions, settled = again()
    return Data(Owner(partitions, lambda: again()[0]), target, cut, settled, raw=raw)


def _require_rows(X: Any) -> None:
    """Raise TypeError for what has no rows; readers of each kind say what is wrong with theirs."""
    readable = is_collection(X) or hasattr(X, "shape") or hasattr(X, "__len__")
    if not readable or isinstance(X, (str, bytes, Mapping, Set)):
        raise TypeError(
            f"X is {'None' if X is None else f'of {type(X).__name__}'}; allowed are arrays, lists, "
            "sparse matrices, dataframes, Dask arrays and dataframes, and lists of futures, of rows"
        )


def _chosen(name: str, value: Any, strings: dict[Any, Any], records: tuple[type, ...]) -> Any:
    if isinstance(value, records):
        return value
    if (value is None or isinstance(value, str)) and value in strings:
        return strings[value]
    allowed = [*map(repr, strings), *(record.__name__ + "(...)" for record in records)]
    raise ValueError(f"{name}={value!r}; allowed are {', '.join(allowed)}")


def _in_memory(X: Any, *, raw: bool) -> tuple[Any, tuple[str, ...] | None]:
    """Return data in memory as what is cut, and the names of its columns."""
    labels = column_labels(X)
    if raw:
        texts = labels is not None and all(isinstance(label, str) for label in labels)
        X = X.tocsr() if sp.issparse(X) else X if hasattr(X, "shape") else list(X)
        return X, tuple(labels or ()) if texts else None
    names = None if labels is None else names_of(X)
    with naming_columns(X, "X"):
        checked = check_array(
            X,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            ensure_min_samples=0,
            input_name="X",
        )
    return checked, names
