"""The rows of a search by halving: what is trained on, what is held out, and how both are used."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier

from daskml_exec.executor import (
    Capacity,
    Executor,
    as_dask_futures,
    bytes_text,
    cluster_is_meant,
    configured_nbytes,
    workers_now,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.model_selection._places import InThreads, InTurn, OnWorkers, Place
from daskml_exec.model_selection._rungs import ScoreInMemory
from daskml_exec.model_selection._train_test import train_test_split
from daskml_exec.partitions import Data, Partition, in_one_piece, is_collection, leaves_of

LIMIT = "search-copied-bytes"
"""The dask config value below which rows travel to each Worker."""

Given = tuple[Any, Any, Any]
"""X, y and weights."""


@dataclass(frozen=True)
class SearchRows:
    """Rows that were loaded for a search.

    Attributes
    ----------
    train, held_out : Data
    executor : Executor or None
        None where there is no cluster.
    limit : int
        Bytes of both up to which candidates are trained side by side.
    """

    train: Data
    held_out: Data
    executor: Executor | None
    limit: int

    @property
    def nbytes(self) -> int:
        """Bytes of both."""
        return self.train.nbytes + self.held_out.nbytes

    @property
    def side_by_side(self) -> bool:
        """Whether each candidate is trained by one Worker or thread: the size alone says so."""
        return self.nbytes <= self.limit

    def place(self, scorer: Any, n_candidates: int) -> Place:
        """Return where candidates are trained and scored."""
        if self.side_by_side:
            if self.executor is not None:
                require_room(self.executor, self.nbytes)
            held_out = in_one_piece(self.held_out, "a search")
            rows, score = in_one_piece(self.train, "a search"), ScoreInMemory.of(scorer, held_out)
            for data in (self.train, self.held_out):
                data.release()  # Workers are to have one copy, unless the user has another there
            if self.executor is None:
                return InThreads(rows, score, n_candidates)
            return OnWorkers(self.executor, rows, score)
        if self.executor is None:
            held_out = in_one_piece(self.held_out, "a search")
            return InTurn(self.train, ScoreInMemory.of(scorer, held_out))
        return InTurn(self.train, ScoreOnCluster(scorer, self.held_out))


def require_room(executor: Executor, nbytes: int) -> None:
    """Raise ValueError unless the smallest Worker has room for so many bytes."""
    capacity = Capacity.of_workers(workers_now(executor.client).values())
    if not capacity.holds_blocks(nbytes):
        raise ValueError(
            f"the rows take {bytes_text(nbytes)}, of which each Worker is to have a copy, and one "
            f"may use {capacity} in all; allowed are larger Workers, and a dask config value "
            f"'daskml-exec.{LIMIT}' below the rows' size, with which all Workers train each "
            "candidate"
        )


@dataclass(frozen=True)
class ScoreOnCluster:
    """Scores a model on rows that Workers hold.

    Attributes
    ----------
    scorer : callable or None
        ``scorer(model, X, y)``, with ``sample_weight=`` where there are weights; None for the
        model's own `score`.
    data : Data
    """

    scorer: Any
    data: Data

    def __call__(self, model: Any) -> float:
        if self.scorer is None:
            return float(model.score(self.data))
        weighted = self.data.weighted
        like = np.zeros(0) if self.data.classes is None else self.data.classes[:0]
        y = self.data.map_partitions(_Column(self.data.settled.columns, 0), like)
        weights = {}
        if weighted:
            columns = _Column(self.data.settled.columns, 1)
            weights = {"sample_weight": self.data.map_partitions(columns, np.zeros(0))}
        return float(self.scorer(model, self.data, y, **weights))


@dataclass(frozen=True)
class _Column:
    """The targets or the weights of a partition, as they were given."""

    columns: Any
    place: int

    __name__ = "given"

    def __call__(self, partition: Partition) -> Array:
        column: Array = self.columns.given(partition)[self.place]
        return column


@contextmanager
def search_rows(
    estimator: Any, given: Given, validation: Any, test_size: Any, seed: int
) -> Iterator[SearchRows]:
    """Load the rows of a search once, for all candidates.

    Parameters
    ----------
    estimator : TrainsInEpochs
    given : tuple
    validation : tuple of (X, y) or (X, y, sample_weight), Data or None
    test_size : float, int or None
    seed : int
        For which rows are held out.
    """
    train, held_out = _parts(estimator, given, validation, test_size, seed)
    executor = None
    if cluster_is_meant() or any(map(_elsewhere, (*train, *held_out))):
        executor = Executor.current()
    scored = clone(estimator)
    if "class_weight" in scored.get_params(deep=False):
        scored.set_params(class_weight=None)  # scores know nothing of it
    here = [None if not any(map(_elsewhere, rows)) else executor for rows in (train, held_out)]
    limit = configured_nbytes(LIMIT)
    data = _loaded(estimator, train, here[0])
    try:
        others = _loaded(scored, held_out, here[1])
        try:
            rows = SearchRows(data, others, executor, limit)
            if executor is not None and not rows.side_by_side:
                # Until its size was known, what is in memory has stayed there.
                data = data if here[0] else _loaded(estimator, train, executor)
                others = others if here[1] else _loaded(scored, held_out, executor)
                rows = SearchRows(data, others, executor, limit)
            yield rows
        finally:
            others.release()
    finally:
        data.release()


def _loaded(estimator: Any, rows: Given, executor: Executor | None) -> Data:
    data: Data = clone(estimator)._rows_for_epochs(*rows, executor)
    return data


def _parts(
    estimator: Any, given: Given, validation: Any, test_size: Any, seed: int
) -> tuple[Given, Given]:
    """Return what is trained on, and what is held out."""
    X, y, sample_weight = given
    if validation is not None:
        if test_size is not None:
            raise ValueError(
                f"{test_size=} beside validation=..., which is what is held out; allowed is one"
            )
        return given, _validation(validation)
    if isinstance(X, Data | Mapping | tuple):
        raise ValueError(
            f"X is a {type(X).__name__}, of which no rows can be held out; allowed are "
            "validation=(X, y) with other samples, or a Data of them, and arrays, frames and Dask "
            "collections as X"
        )
    whole = [each for each in given if each is not None]
    parts = train_test_split(
        *whole,
        test_size=0.2 if test_size is None else test_size,
        stratify=y if is_classifier(estimator) else None,
        random_state=seed,
    )
    weights = (None, None) if sample_weight is None else parts[-2:]
    train, held_out = (parts[0], parts[2], weights[0]), (parts[1], parts[3], weights[1])
    return train, held_out


def _validation(validation: Any) -> Given:
    if isinstance(validation, Data):
        return validation, None, None
    if not (isinstance(validation, tuple) and len(validation) in (2, 3)):
        raise ValueError(
            f"validation is a {type(validation).__name__}; allowed are (X, y), (X, y, "
            "sample_weight), a Data, and None with test_size"
        )
    X, y, *weights = validation
    return X, y, weights[0] if weights else None


def _elsewhere(given: Any) -> bool:
    """Whether some of it is on a cluster, or lazy."""
    if isinstance(given, Data):
        return not given.in_memory
    given = as_dask_futures(given)
    return is_collection(given) or any(
        is_collection(as_dask_futures(leaf)) for _, leaf in leaves_of(given, "X")
    )
