"""What splitters share: seeds, labels of rows as loaded data, and the folds made of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from daskml_exec.executor import Executor
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.folds import ends_by_label
from daskml_exec.partitions import FoldRows, Partition, load, row_lengths
from daskml_exec.training.folds._label_folds import Labels

_SEEDS = 2**63


def seed_of(random_state: Any) -> int:
    if isinstance(random_state, (int, np.integer)) and random_state >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(_SEEDS, dtype=np.int64))


def require_rows(n_splits: int, n: int) -> None:
    if n_splits > n:
        raise ValueError(
            f"Cannot have number of splits n_splits={n_splits} greater than the number of samples: "
            f"n_samples={n}"
        )


@contextmanager
def loaded_labels(labels: Any, name: str, X: Any, executor: Executor) -> Iterator[Any]:
    """Yield labels as loaded rows, of which there are as many as of X."""
    if labels is None:
        raise ValueError(f"{name} is None; allowed is one for each row")
    with load(labels, raw=True) as data:
        if X is not None and X is not labels:
            n, rows = sum(row_lengths(executor, X)), sum(data.rows)
            if n != rows:
                raise ValueError(
                    "Found input variables with inconsistent numbers of samples: X has "
                    f"{n} rows, {name} has {rows}; they must be the same"
                )
        yield data


def target_of(partition: Partition) -> Array:
    return np.asarray(partition.y)


def made_folds(data: Any, query: Any) -> FoldRows:
    made = data.map(query)
    return FoldRows(data.executor, tuple(made.partitions.futures), tuple(made.rows))


def ends_by_class(labels: Labels, n_splits: int) -> Array:
    """Return how many rows of each class are in each fold and those before it, as scikit-learn."""
    totals = labels.totals
    if (totals < n_splits).all():
        raise ValueError(
            f"n_splits={n_splits} cannot be greater than the number of members in each class."
        )
    if totals.min() < n_splits:
        rare = labels.values.tolist()[int(totals.argmin())]
        warnings.warn(
            f"The least populated class in y has only {totals.min()} members, which is less than "
            f"n_splits={n_splits}: {rare!r}",
            UserWarning,
            stacklevel=2,
        )
    return ends_by_label(totals, labels.first, n_splits)
