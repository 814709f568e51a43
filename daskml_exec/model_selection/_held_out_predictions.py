"""Predictions of each row by the model that has not seen it, where rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np

from daskml_exec.executor import Query
from daskml_exec.kernels.array_namespace import is_on_device, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.folds import NOWHERE
from daskml_exec.model_selection._held_out_scores import travelling
from daskml_exec.partitions import Data, Partition, tree_rows
from daskml_exec.partitions._row_leaves import taken_rows
from daskml_exec.training import reduce

NO_PARTITION = (
    "cross_val_predict predicts each row by the one model that has not seen it; allowed are splits "
    "in which each row is tested once, such as those of KFold"
)


@dataclass(frozen=True)
class _RowsNowhere(Query[int]):
    """Counts the rows that no split tests."""

    def partial(self, partition: Partition) -> int:
        return int((partition.fold == NOWHERE).sum())


@dataclass(frozen=True, eq=False)
class PredictHeldOut:
    """Predictions for the rows of a partition, each by the model of its fold."""

    models: bytes
    """Estimators by fold, pickled."""
    method: str
    nothing: Array
    """What there is for no rows."""

    @property
    def __name__(self) -> str:
        return f"held-out-{self.method}"

    def __call__(self, partition: Partition) -> Array:
        models = cloudpickle.loads(self.models)
        found = np.zeros((tree_rows(partition.X), *self.nothing.shape[1:]), self.nothing.dtype)
        X = to_host(partition.X) if is_on_device(partition.X) else partition.X
        for fold in np.unique(partition.fold).tolist():
            rows = np.flatnonzero(partition.fold == fold)
            found[rows] = getattr(models[fold], self.method)(taken_rows(X, rows))
        return found


def held_out_predictions(
    models: Sequence[Any],
    method: str,
    data: Data,
    nothing: Array,
    *,
    named: bool,
    lazy: bool,
) -> Any:
    """Return the predictions for all rows.

    Parameters
    ----------
    models : sequence of estimators
        By fold.
    method : str
    data : Data
        With folds.
    nothing : ndarray
        What there is for no rows: of that dtype, and with as many columns.
    named : bool
        Whether blocks have the names of columns that models know.
    lazy : bool
        Whether to return a Dask array, with chunks like the partitions, with which the Workers
        begin at once; else an array.

    Raises
    ------
    ValueError
        Some rows are in no fold.
    """
    if reduce(_RowsNowhere(), data.partitions, name="folds"):
        raise ValueError(NO_PARTITION)
    pickled = cloudpickle.dumps([travelling(model, named=named) for model in models])
    predict = PredictHeldOut(pickled, method, nothing)
    if data.in_memory:
        return np.concatenate([predict(each) for each in data.partitions.partitions])
    made = data.map_partitions(predict, nothing)
    return made if lazy else np.asarray(made.compute(scheduler=data.executor.client))
