"""What to clean before training: a look at each column of a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor import (
    Executor,
    Part,
    Readable,
    Table,
    as_dask_futures,
    cluster_is_meant,
    frame_of,
)
from daskml_exec.executor import Facts as Lines
from daskml_exec.partitions import FUTURES, NO_TARGET, Data, is_collection, kind_of, load_checked
from daskml_exec.preprocessing._column_facts import MOST_VALUES, ColumnFacts, Look
from daskml_exec.training import reduce

_QUANTILES = (1.0, 25.0, 50.0, 75.0, 99.0)
# Tukey's fences (1977, Exploratory Data Analysis): interquartile ranges beyond the quartiles.
_FENCE = 1.5
# What the remarks call many: the share of outliers, and the number of categories.
_MANY_OUTLIERS, _MANY_CATEGORIES = 0.05, 100


@dataclass(frozen=True)
class ColumnProfile:
    """What there is to know of a column before training.

    Attributes
    ----------
    name : str
    dtype : str
        Several, where partitions differ.
    rows, missing, infinite, zeros : int
        Infinite and zeros are 0 for what is no number.
    distinct : int or None
        How many different values there are; None for more than 1,000.
    commonest : str
        The value that occurs most often, empty where there are many or none.
    mean, std, least, q01, q25, median, q75, q99, largest : float
        Of finite numbers; NaN for what is no number. Ranks of quantiles are wrong by less than one
        in 200 rows, and right up to 16,000.
    outliers : int
        About how many numbers are more than 1.5 interquartile ranges beyond the quartiles.
    """

    name: str
    dtype: str
    rows: int
    missing: int
    infinite: int
    zeros: int
    distinct: int | None
    commonest: str
    mean: float
    std: float
    least: float
    q01: float
    q25: float
    median: float
    q75: float
    q99: float
    largest: float
    outliers: int


@dataclass(frozen=True, repr=False)
class Profile(Readable):
    """What `profile` has found: a table when printed, and in notebooks.

    Attributes
    ----------
    columns : tuple of ColumnProfile
    duplicates : tuple of tuple of str
        Names of columns that are alike in all rows.
    """

    columns: tuple[ColumnProfile, ...]
    duplicates: tuple[tuple[str, ...], ...]

    def to_frame(self) -> Any:
        """Return all of it as a table.

        Returns
        -------
        pandas.DataFrame
            With a row for each column.
        """
        return frame_of(self.columns, ColumnProfile)

    @property
    def remarks(self) -> dict[str, str]:
        """What to look at before training, in words: kinds of faults with the columns."""
        found = {
            "no value": [c.name for c in self.columns if c.missing == c.rows],
            "one value": [c.name for c in self.columns if c.distinct == 1],
            "missing": [
                f"{c.name} {_share(c.missing, c.rows)}"
                for c in self.columns
                if 0 < c.missing < c.rows
            ],
            "infinite": [f"{c.name} {c.infinite:,}" for c in self.columns if c.infinite],
            "alike": [" = ".join(names) for names in self.duplicates],
            "many values": [
                f"{c.name} {_distinct(c)}"
                for c in self.columns
                if np.isnan(c.mean)
                and c.missing < c.rows
                and (c.distinct is None or c.distinct > _MANY_CATEGORIES)
            ],
            "outliers": [
                f"{c.name} {_share(c.outliers, c.rows)}"
                for c in self.columns
                if c.outliers > _MANY_OUTLIERS * c.rows
            ],
            "several dtypes": [f"{c.name} {c.dtype}" for c in self.columns if " or " in c.dtype],
        }
        return {what: ", ".join(names) for what, names in found.items() if names}

    def _parts(self) -> Iterator[Part]:
        yield Table(
            ("column", "dtype", "missing", "distinct", "mean", "std", "least", "25 %", "median",
             "75 %", "largest", "outliers", "commonest"),
            [tuple(_cells(each)) for each in self.columns],
            words=("column", "dtype", "commonest"),
        )  # fmt: skip
        if self.remarks:
            yield Lines(list(self.remarks.items()), 16)


def profile(X: Any) -> Profile:
    """Look once at all rows of a table, and say what to clean before training.

    Parameters
    ----------
    X : dataframe, array-like, sparse matrix, Dask dataframe or array, list of futures or Data
        Columns may hold anything: numbers, texts, categories, dates, gaps.

    Returns
    -------
    Profile
        It prints as a table, with remarks below it; `to_frame()` has all of it.

    Raises
    ------
    ValueError
        X has no rows, or its partitions have other columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from daskml_exec.preprocessing import profile
    >>> table = pd.DataFrame(
    ...     {"age": [20, 30, 40], "again": [20.0, 30.0, 40.0], "city": ["Bonn", None, "Bonn"]}
    ... )
    >>> found = profile(table)
    >>> found.remarks
    {'one value': 'city', 'missing': 'city 33.3%', 'alike': 'age = again'}
    >>> found.columns[0].mean, found.columns[2].commonest
    (30.0, 'Bonn')
    """
    X = as_dask_futures(X)
    if isinstance(X, Data):
        return _profile(X.partitions if X.in_memory else X.whole_rows("profile"))
    if kind_of(X) != FUTURES and getattr(X, "ndim", 2) != 2:
        raise ValueError(f"X has {X.ndim} dimensions; allowed are rows and columns")
    executor = Executor.current() if is_collection(X) or cluster_is_meant() else None
    in_memory = None if is_collection(X) else _rows(X)
    with load_checked(
        executor,
        X if in_memory is None else in_memory,
        None,
        None,
        target=NO_TARGET,
        feature_names=_names_of(in_memory),
        raw=True,
    ) as data:
        return _profile(data.partitions)


def _rows(X: Any) -> Any:
    if hasattr(X, "to_pandas"):
        return X.to_pandas()
    X = X.tocsr() if hasattr(X, "tocsr") else X if hasattr(X, "shape") else np.asarray(X)
    if len(X.shape) != 2:
        raise ValueError(f"X has {len(X.shape)} dimensions; allowed are rows and columns")
    return X


def _names_of(X: Any) -> tuple[str, ...] | None:
    return tuple(map(str, X.columns)) if hasattr(X, "columns") else None


def _profile(partitions: Any) -> Profile:
    if not sum(partitions.rows):
        raise ValueError("X has 0 rows: there is nothing to look at")
    facts = reduce(Look(), partitions, name="profile").columns
    names = partitions.feature_names or [f"x{index}" for index in range(len(facts))]
    alike: dict[int, list[str]] = {}
    for name, each in zip(names, facts, strict=True):
        alike.setdefault(each.fingerprint, []).append(name)
    return Profile(
        tuple(_column(name, each) for name, each in zip(names, facts, strict=True)),
        tuple(tuple(some) for some in alike.values() if len(some) > 1),
    )


def _column(name: str, facts: ColumnFacts) -> ColumnProfile:
    values, numbers = facts.values, facts.numbers
    commonest = max(values, key=lambda value: values[value]) if values else ""
    shared = (name, facts.kind, facts.rows, facts.missing)
    distinct = None if values is None else len(values)
    if numbers is None:
        nothing = (np.nan,) * 9
        return ColumnProfile(*shared, 0, 0, distinct, str(commonest), *nothing, 0)
    ordered = numbers.order.sorted()
    q01, q25, q50, q75, q99 = map(float, ordered.percentiles(_QUANTILES))
    fence = _FENCE * (q75 - q25)
    moments = numbers.moments
    there = bool(moments.weight[0])
    return ColumnProfile(
        *shared,
        int(numbers.counts.infinite[0]),
        int(numbers.counts.zeros[0]),
        distinct,
        f"{commonest:g}" if values else "",
        float(moments.mean[0]) if there else np.nan,
        float(np.sqrt(moments.variance[0])) if there else np.nan,
        float(numbers.extremes.least[0]),
        q01,
        q25,
        q50,
        q75,
        q99,
        float(numbers.extremes.largest[0]),
        ordered.beyond(q25 - fence, q75 + fence),
    )


def _cells(column: ColumnProfile) -> Iterator[str]:
    yield column.name
    yield column.dtype
    yield f"{column.missing:,}" if column.missing else ""
    yield _distinct(column)
    numbers = (column.mean, column.std, column.least, column.q25, column.median, column.q75)
    for number in (*numbers, column.largest):
        yield "" if np.isnan(number) else f"{number:.4g}"
    yield f"{column.outliers:,}" if column.outliers else ""
    yield column.commonest[:20]


def _distinct(column: ColumnProfile) -> str:
    return f"> {MOST_VALUES:,}" if column.distinct is None else f"{column.distinct:,}"


def _share(n: int, rows: int) -> str:
    return f"{n / rows:.1%}" if n > 0.001 * rows else f"{n:,} of {rows:,}"
