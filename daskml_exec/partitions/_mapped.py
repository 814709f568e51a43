"""Partitions of any kind: given by their futures, made of others by a query, exchanged by a key."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from distributed import Future

from daskml_exec.executor import Executor, share, takes_prepared
from daskml_exec.kernels.array_namespace import host_dtype
from daskml_exec.partitions._assemble import astype, matrix
from daskml_exec.partitions._derived import keep_for, mapped, placed_on
from daskml_exec.partitions._gather import gather, refusing, require_open
from daskml_exec.partitions._model_nodes import nbytes_of
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._row_leaves import bytes_of
from daskml_exec.partitions._row_trees import tree_nbytes, tree_rows, tree_stacked, tree_taken
from daskml_exec.partitions._sample_trees import as_samples, without_rows
from daskml_exec.partitions._sampled import in_form, like_all

Key = Callable[[Any], Any]


def given_partitions(
    executor: Executor, futures: Sequence[Any], rows: Sequence[int], nbytes: Sequence[int]
) -> Partitions:
    """Return what is known of partitions that somebody else has made."""
    require_open("futures", futures)
    for name, counts in (("rows", rows), ("nbytes", nbytes)):
        if len(counts) != len(futures):
            raise ValueError(
                f"{name} has {len(counts)} values for {len(futures)} futures; allowed is one each"
            )
    return _of_any_kind(executor, futures, rows, nbytes, len(executor.events.workers_lost))


@dataclass(frozen=True)
class Asked:
    """What a query has made.

    Attributes
    ----------
    partitions : Partitions
    is_matrix : bool
        Whether that is rows of numbers, which were checked.
    like : Partition or None
        Where that is samples, what a partition is without rows.
    """

    partitions: Partitions
    is_matrix: bool = False
    like: Partition | None = None


def asked_of(parent: Partitions, query: Any, *, samples: bool) -> Asked:
    """Return what a query makes of each partition; of samples it may make samples."""
    executor, lost_before = parent.executor, len(parent.executor.events.workers_lost)
    futures, seen = _asked_and_seen(parent, query, samples=samples)
    for index, (each, rows) in enumerate(zip(seen, parent.rows, strict=True)):
        if each.rows != rows:
            raise ValueError(
                f"{type(query).__name__}.partial returned {each.rows} rows for partition {index}, "
                f"which has {rows}; allowed are as many"
            )
    if not all(each.is_matrix for each in seen):
        sizes = [each.nbytes for each in seen]
        trees = [each.like for each in seen if each.like is not None]
        like = None
        if len(trees) == len(seen):
            like = like_all(trees, [f"partition {index}" for index in range(len(trees))])
            futures = mapped(executor, in_form, futures, like, name="samples")
        made = _of_any_kind(executor, futures, parent.rows, sizes, lost_before)
        # Weights of samples stay, and so does how they were changed.
        return Asked(made if like is None else replace(made, form=parent.form), like=like)
    widths = {each.n_features: index for index, each in enumerate(seen)}
    if len(widths) > 1:
        told = ", ".join(f"{width} in partition {index}" for width, index in widths.items())
        raise ValueError(
            f"{type(query).__name__}.partial returned X with different numbers of columns: {told}"
        )
    filled = [each for each in seen if each.rows] or seen
    dtype = np.result_type(*(each.dtype for each in filled))
    if any(each.dtype != dtype for each in seen):
        futures = mapped(executor, _in_dtype, futures, dtype, name="dtype")
    nonzeros = [each.nonzeros for each in filled if each.nonzeros is not None]
    partitions = replace(
        parent,
        futures=tuple(futures),
        n_features=seen[0].n_features,
        nonzeros=sum(nonzeros) if len(nonzeros) == len(filled) else None,
        dtype=dtype,
        feature_names=None,
        workers_lost_before=lost_before,
        sizes=None,
    )
    return Asked(partitions, is_matrix=True)


def made_of(parent: Partitions, query: Any) -> Partitions:
    """Return what a query makes of each partition, of any kind and with any number of rows.

    What it makes has one leading axis, whose length is asked for.
    """
    executor, lost_before = parent.executor, len(parent.executor.events.workers_lost)
    futures, seen = _asked_and_seen(parent, query, samples=False)
    rows, sizes = [each.rows for each in seen], [each.nbytes for each in seen]
    return _of_any_kind(executor, futures, rows, sizes, lost_before)


def exchanged(parent: Partitions, key: Key, n_partitions: int) -> Partitions:
    """Return partitions whose rows were dealt by a key."""
    executor, client = parent.executor, parent.executor.client
    workers, lost_before = executor.check_workers(), len(executor.events.workers_lost)
    name = uuid.uuid4().hex
    hands = mapped(executor, _hand, parent.futures, key, n_partitions, name=f"hand-{name}")
    counts = np.array(gather(client, client.map(_sizes, hands, pure=False, key="hand-sizes"), {}))
    rows = counts.sum(axis=0).tolist()
    pieces = [
        client.map(
            _piece,
            hands,
            [target] * len(hands),
            key=[(f"piece-{name}-{target}", source) for source in range(len(hands))],
            pure=False,
        )
        for target in range(n_partitions)
    ]
    futures = placed_on(
        executor,
        workers,
        _merged,
        range(n_partitions),
        [0, *itertools.accumulate(rows[:-1])],
        pieces,
        keys=[f"exchanged-{name}-{target}" for target in range(n_partitions)],
    )
    for future in futures:
        keep_for(future, parent.futures)
    per_row = sum(parent.nbytes_each) / max(1, sum(rows))
    return replace(
        parent,
        futures=tuple(futures),
        rows=tuple(rows),
        workers_lost_before=lost_before,
        sizes=None if parent.sizes is None else tuple(int(per_row * n) for n in rows),
    )


def _asked_and_seen(
    parent: Partitions, query: Any, *, samples: bool
) -> tuple[list[Future[Any]], list[_Seen]]:
    """Return what a query makes of each partition, and what the driver needs to know of it."""
    executor, client = parent.executor, parent.executor.client
    # In a task of its own, which the scheduler can run again as long as a result may be wanted.
    shared = share(client, query, nbytes_of(query), name="query", in_process=False)
    futures = mapped(
        executor, _asked, parent.futures, shared, samples, name=f"map-{uuid.uuid4().hex}"
    )
    seen = client.map(_see, futures, [samples] * len(futures), pure=False, key="seen")
    return futures, gather(client, seen, {})


def _of_any_kind(
    executor: Executor,
    futures: Sequence[Any],
    rows: Sequence[int],
    nbytes: Sequence[int],
    workers_lost_before: int,
) -> Partitions:
    return Partitions(
        executor=executor,
        futures=tuple(futures),
        rows=tuple(map(int, rows)),
        n_features=0,
        nonzeros=None,
        dtype=np.dtype(object),
        feature_names=None,
        workers_lost_before=workers_lost_before,
        sizes=tuple(map(int, nbytes)),
    )


@refusing
def _asked(partition: Any, query: Any, samples: bool) -> Any:
    prepared = (query.prepare(),) if takes_prepared(type(query)) else ()
    made = query.partial(partition, *prepared)
    if samples:
        if isinstance(made, Partition):
            weight = partition.sample_weight
            _require_same(weight, made.sample_weight, "sample_weight", query, made)
            y = None if made.y is None else as_samples(made.y, "y")
            made = replace(made, X=as_samples(made.X, "X"), y=y)
        return made
    if isinstance(made, Partition) and _is_numbers(made.X):
        if tree_rows(made.X) == tree_rows(partition):  # which the driver asks for
            for name in ("y", "sample_weight"):
                before = getattr(partition, name, None)
                _require_same(before, getattr(made, name), name, query, made)
        return replace(made, X=matrix(made.X, where=f"partition {made.index}"))
    return made


def _require_same(before: Any, after: Any, name: str, query: Any, made: Partition) -> None:
    """Refuse another column: loading has checked this one, and estimators rely on that."""
    if after is before:
        return
    if before is None or after is None or not np.array_equal(before, after, equal_nan=False):
        raise ValueError(
            f"{type(query).__name__}.partial returned another {name} for partition {made.index}; "
            f"allowed is a partition with the {name} that was loaded, as replace(partition, X=...) "
            "makes it"
        )


def _is_numbers(X: Any) -> bool:
    dtype = getattr(X, "dtype", None)
    return len(getattr(X, "shape", ())) == 2 and getattr(dtype, "kind", "f") in "biuf"


@dataclass(frozen=True)
class _Seen:
    """What the driver needs to know of what a query made."""

    rows: int
    nbytes: int
    is_matrix: bool
    n_features: int = 0
    nonzeros: int | None = None
    dtype: Any = object
    like: tuple[Any, Any] | None = None


@refusing
def _see(made: Any, samples: bool) -> _Seen:
    rows = tree_rows(made)
    if samples and isinstance(made, Partition):
        X, y = made.X, made.y
        like = without_rows(X), None if y is None else without_rows(y)
        return _Seen(rows, made.nbytes, False, like=like)
    if isinstance(made, Partition) and _is_numbers(made.X):
        X = made.X
        nonzeros = X.nnz if sp.issparse(X) else None
        return _Seen(rows, bytes_of(X), True, X.shape[1], nonzeros, host_dtype(X))
    return _Seen(rows, tree_nbytes(made), False)


def _in_dtype(partition: Partition, dtype: np.dtype[Any]) -> Partition:
    return replace(partition, X=astype(partition.X, dtype))


Hand = list[tuple[Any, Any]]
"""For each new partition its rows, in the order of their keys, and these."""


@refusing
def _hand(partition: Any, key: Key, n_partitions: int) -> Hand:
    keys, rows = np.asarray(key(partition)), tree_rows(partition)
    if keys.shape != (rows,) or keys.dtype.kind not in "biu":
        raise ValueError(
            f"key returned {keys.dtype} values of shape {keys.shape} for {rows} rows; allowed is "
            "one integer for each"
        )
    order = np.argsort(keys, kind="stable")
    targets = (keys % n_partitions)[order]
    hand = []
    for target in range(n_partitions):
        mine = order[targets == target]
        hand.append((keys[mine], tree_taken(partition, mine)))
    return hand


@refusing
def _sizes(hand: Hand) -> list[int]:
    return [len(keys) for keys, _ in hand]


def _piece(hand: Hand, target: int) -> tuple[Any, Any]:
    return hand[target]


def _merged(index: int, start: int, pieces: list[tuple[Any, Any]]) -> Any:
    keys = np.concatenate([keys for keys, _ in pieces])
    made = tree_stacked([piece for _, piece in pieces])
    if (keys[1:] < keys[:-1]).any():
        made = tree_taken(made, np.argsort(keys, kind="stable"))
    return replace(made, index=index, start=start) if isinstance(made, Partition) else made
