"""Partitions of a collection: described where they are, then brought into their last form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from distributed import Future

from daskml_exec.executor import Executor
from daskml_exec.kernels.array_namespace import host_dtype
from daskml_exec.partitions._aligned import aligned_partitions
from daskml_exec.partitions._assemble import astype
from daskml_exec.partitions._gather import gather, refusing
from daskml_exec.partitions._kinds import Reading, names_of
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._refusals import column_labels
from daskml_exec.partitions._row_leaves import bytes_of, row_count
from daskml_exec.partitions._target import UNCHANGED, Columns, Settled, Target


@dataclass(frozen=True)
class Described:
    """Aligned partitions whose columns of X agree, and what is known of them.

    Attributes
    ----------
    futures : list of Future
    rows : list of int
    targets : list
        What the target's ``describe`` returned, per partition.
    mixed : bool
        Whether partitions have several dtypes, which become one.
    n_features, nonzeros, dtype, feature_names, executor, workers_lost_before, sizes
        As of `Partitions`.
    """

    executor: Executor
    futures: list[Future[Any]]
    rows: list[int]
    targets: list[Any]
    mixed: bool
    n_features: int
    nonzeros: int | None
    dtype: np.dtype[Any]
    feature_names: tuple[str, ...] | None
    workers_lost_before: int
    sizes: tuple[int, ...] | None

    def finished(self, settled: Settled) -> Partitions:
        """Return partitions with y and weights in their last form, and X in one dtype."""
        n, futures = len(self.futures), self.futures
        dtype = self.dtype if self.mixed else None
        if dtype is not None or settled.columns != UNCHANGED:
            futures = self.executor.client.map(
                _finish,
                self.futures,
                [settled.columns] * n,
                [dtype] * n,
                pure=False,
                key="partition",
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
            form=settled.form,
            sizes=self.sizes,
        )


def rows_on_cluster(
    executor: Executor, X: Any, y: Any, sample_weight: Any, target: Target, *, raw: bool = False
) -> tuple[Partitions, Settled]:
    """Take collections where they live, in the row blocks of X."""
    found = described(executor, X, y, sample_weight, target, raw=raw)
    settled = target.settle(found.targets, sum(found.rows), weighted=sample_weight is not None)
    return found.finished(settled), settled


def described(
    executor: Executor, X: Any, y: Any, sample_weight: Any, target: Target, *, raw: bool
) -> Described:
    """Align the collections, and describe each partition's y as the target does.

    What that raises of ValueError and TypeError is raised here, that of the first
    partition only.
    """
    workers_lost_before = len(executor.events.workers_lost)
    executor.check_workers()
    client = executor.client
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    aligned = aligned_partitions(
        executor, X, y, sample_weight, Reading(raw=raw, several=target.several)
    )
    n = len(aligned.futures)
    tasks = client.map(
        _summarise,
        aligned.futures,
        aligned.first_blocks,
        [target] * n,
        [raw] * n,
        pure=False,
        key="summarise",
    )
    summaries: list[_Summary] = gather(client, tasks, arguments)
    _check_columns(summaries)
    filled = [summary for summary in summaries if summary.rows] or summaries
    dtype = np.result_type(*(summary.dtype for summary in filled))
    return Described(
        executor=executor,
        futures=aligned.futures,
        rows=[summary.rows for summary in summaries],
        targets=[summary.target for summary in summaries],
        mixed=len({summary.dtype for summary in summaries}) > 1,
        n_features=summaries[0].n_features,
        nonzeros=_total([summary.nonzeros for summary in filled]),
        dtype=np.dtype(object) if raw else dtype,
        feature_names=_names(summaries[0].columns, raw=raw),
        workers_lost_before=workers_lost_before,
        sizes=tuple(summary.nbytes for summary in summaries) if raw else None,
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
    nbytes: int


@refusing
def _summarise(partition: Partition, first_block: Any, target: Target, raw: bool) -> _Summary:
    X = partition.X
    return _Summary(
        rows=row_count(X),
        n_features=width_of(X),
        nonzeros=X.nnz if sp.issparse(X) and not raw else None,
        dtype=np.dtype(object) if raw else host_dtype(X),
        columns=column_labels(first_block),
        target=target.describe(partition, f"partition {partition.index}"),
        nbytes=bytes_of(X) if raw else 0,
    )


def width_of(block: Any) -> int:
    """Return the columns of a block: one, of what has no second axis."""
    shape: tuple[int, ...] = getattr(block, "shape", ())
    return int(shape[1]) if len(shape) > 1 else 1


def _finish(partition: Partition, columns: Columns, dtype: np.dtype[Any] | None) -> Partition:
    y, weight = columns(partition)
    X = partition.X if dtype is None else astype(partition.X, dtype)
    return replace(partition, X=X, y=y, sample_weight=weight)


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


def _names(columns: list[Any] | None, *, raw: bool) -> tuple[str, ...] | None:
    """Return the columns if they are names to scikit-learn, which takes strings alone."""
    if columns is None or (raw and not all(isinstance(name, str) for name in columns)):
        return None
    return names_of(pd.DataFrame(columns=columns))
