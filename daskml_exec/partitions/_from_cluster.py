"""Partitions of a collection: described where they are, then brought into their last form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from distributed import Future
from sklearn.utils.validation import _get_feature_names

from daskml_exec.executor import Executor
from daskml_exec.kernels.array_namespace import host_dtype
from daskml_exec.partitions._aligned import aligned_partitions
from daskml_exec.partitions._assemble import astype
from daskml_exec.partitions._gather import gather, refusing
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._refusals import column_labels
from daskml_exec.partitions._relative import TargetForm

Columns = Callable[[Partition], tuple[Any, Any]]
"""Picklable; returns the last form of a partition's y and weights."""


@dataclass(frozen=True)
class Described:
    """Aligned partitions whose columns of X agree, and what is known of them.

    Attributes
    ----------
    futures : list of Future
    rows : list of int
    targets : list
        What ``describe`` returned, per partition.
    n_features, nonzeros, dtype, feature_names, executor, workers_lost_before
        As of `Partitions`.
    """

    executor: Executor
    futures: list[Future[Any]]
    rows: list[int]
    targets: list[Any]
    n_features: int
    nonzeros: int | None
    dtype: np.dtype[Any]
    feature_names: tuple[str, ...] | None
    workers_lost_before: int

    def finished(self, columns: Columns, form: TargetForm) -> Partitions:
        """Return partitions with y and weights as `columns` returns them, and X in one dtype."""
        n = len(self.futures)
        futures = self.executor.client.map(
            _finish, self.futures, [columns] * n, [self.dtype] * n, pure=False, key="partition"
        )
        return Partitions(
            executor=self.executor,
            futures=tuple(futures),
            rows=tuple(self.rows),
            n_features=self.n_features,
            nonzeros=self.nonzeros,
            dtype=self.dtype,
            feature_names=self.feature_names,
            workers_lost_before=self.workers_lost_before,
            form=form,
        )


@contextmanager
def described(
    executor: Executor, X: Any, y: Any, sample_weight: Any, describe: Callable[[Partition], Any]
) -> Iterator[Described]:
    """Align the collections, and describe each partition's y by a picklable function.

    What the function raises of ValueError and TypeError is raised here, that of the first
    partition only.
    """
    workers_lost_before = len(executor.events.workers_lost)
    executor.check_workers()
    client = executor.client
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    aligned = aligned_partitions(executor, X, y, sample_weight)
    n = len(aligned.futures)
    try:
        tasks = client.map(
            _summarise,
            aligned.futures,
            aligned.first_blocks,
            [describe] * n,
            pure=False,
            key="summarise",
        )
        summaries: list[_Summary] = gather(client, tasks, arguments)
        _check_columns(summaries)
        filled = [summary for summary in summaries if summary.rows] or summaries
        yield Described(
            executor=executor,
            futures=aligned.futures,
            rows=[summary.rows for summary in summaries],
            targets=[summary.target for summary in summaries],
            n_features=summaries[0].n_features,
            nonzeros=_total([summary.nonzeros for summary in filled]),
            dtype=np.result_type(*(summary.dtype for summary in filled)),
            feature_names=_names(summaries[0].columns),
            workers_lost_before=workers_lost_before,
        )
    except BaseException:
        # A traceback that somebody keeps would keep what was made of the data. The blocks that it
        # was made from may be the user's own.
        for future in aligned.futures:
            future.release()
        raise


def require_weight(rows: int, weight: float, *, needed: str) -> None:
    """Raise ValueError unless the weight of all rows together is positive."""
    if not weight > 0:
        raise ValueError(
            f"all sample weights are zero: {needed} with a positive weight"
            if rows
            else f"X has 0 rows: {needed}"
        )


@dataclass(frozen=True)
class _Summary:
    """What the driver needs to know of one partition; `columns` are those of a dataframe."""

    rows: int
    n_features: int
    nonzeros: int | None
    dtype: np.dtype[Any]
    columns: list[Any] | None
    target: Any


@refusing
def _summarise(
    partition: Partition, first_block: Any, describe: Callable[[Partition], Any]
) -> _Summary:
    return _Summary(
        rows=partition.X.shape[0],
        n_features=partition.X.shape[1],
        nonzeros=partition.X.nnz if sp.issparse(partition.X) else None,
        dtype=host_dtype(partition.X),
        columns=column_labels(first_block),
        target=describe(partition),
    )


def _finish(partition: Partition, columns: Columns, dtype: np.dtype[Any]) -> Partition:
    y, weight = columns(partition)
    return replace(partition, X=astype(partition.X, dtype), y=y, sample_weight=weight)


def _total(nonzeros: list[int | None]) -> int | None:
    """Return the stored values of all partitions, or None where one is dense."""
    known = [count for count in nonzeros if count is not None]
    return sum(known) if len(known) == len(nonzeros) else None


def _check_columns(summaries: list[_Summary]) -> None:
    first = summaries[0]
    for index, summary in enumerate(summaries):
        if summary.n_features != first.n_features:
            raise ValueError(
                f"partition {index} of X has {summary.n_features} columns, partition 0 has "
                f"{first.n_features}; all must have the same"
            )
        if summary.columns != first.columns:
            raise ValueError(
                f"partition {index} of X has the columns {summary.columns}, partition 0 has "
                f"{first.columns}; all must have the same, in the same order"
            )


def _names(columns: list[Any] | None) -> tuple[str, ...] | None:
    """Return the columns if they are names to scikit-learn, which takes strings alone."""
    if columns is None:
        return None
    names = _get_feature_names(pd.DataFrame(columns=columns))
    return None if names is None else tuple(names)
