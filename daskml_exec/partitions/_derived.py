"""Partitions that are made of others, where they are."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import singledispatch
from typing import Any

import dask
from distributed import Future

from daskml_exec.executor import Executor
from daskml_exec.partitions._grid import Grid
from daskml_exec.partitions._partition import Partition, Partitions, Pieces
from daskml_exec.partitions._recipes import derived
from daskml_exec.partitions._relative import target_level
from daskml_exec.partitions._target import Settled


@contextmanager
def levelled(partitions: Any, settled: Settled) -> Iterator[Any]:
    """Yield partitions, or a grid, whose targets are near zero, and release them in the end.

    They are the given ones, unless targets are so far from zero that they lose digits beside it:
    what is taken from each is the level of the ``form`` then.

    Parameters
    ----------
    partitions : Partitions, Pieces or Grid
    settled : Settled
        Of numbers, one for each row.
    """
    level = 0.0 if settled.moments is None else target_level(settled.moments)
    if not level:
        yield partitions
        return
    made = derived(partitions, lambda parent: _less(parent, level))
    try:
        yield made
    finally:
        made.release()


@singledispatch
def _less(data: Any, level: float) -> Any:
    """Return the same partitions, with this taken from each target."""
    raise NotImplementedError


@_less.register
def _(data: Partitions, level: float) -> Partitions:
    futures = mapped(data.executor, _partition_less, data.futures, level, name="level")
    return replace(data, futures=tuple(futures), form=replace(data.form, level=level))


@_less.register
def _(data: Pieces, level: float) -> Pieces:
    pieces = tuple(_partition_less(piece, level) for piece in data.partitions)
    return replace(data, partitions=pieces, form=replace(data.form, level=level))


@_less.register
def _(data: Grid, level: float) -> Grid:
    bands = [band.future for band in data.bands]
    futures = mapped(data.executor, _band_less, bands, level, name="level")
    # Futures of their own, of the same objects: the others go with their owner.
    cells = [tuple(mapped(data.executor, _itself, row, name="cell")) for row in data.cells]
    return replace(
        data,
        cells=tuple(cells),
        bands=tuple(replace(b, future=f) for b, f in zip(data.bands, futures, strict=True)),
        form=replace(data.form, level=level),
    )


def mapped(
    executor: Executor,
    function: Callable[..., Any],
    futures: Sequence[Future[Any]],
    *common: Any,
    name: str | list[Any],
) -> list[Future[Any]]:
    """Return futures of ``function(what each holds, *common)``, by one name or the key of each."""
    n = len(futures)
    made: list[Future[Any]] = executor.client.map(
        function, futures, *([each] * n for each in common), pure=False, key=name
    )
    for future, origin in zip(made, futures, strict=True):
        keep_for(future, origin)
    return made


def placed_on(
    executor: Executor,
    workers: Sequence[str],
    function: Callable[..., Any],
    *arguments: Sequence[Any],
    keys: list[str],
) -> list[Future[Any]]:
    """Return futures of a function, in contiguous ranges over the workers."""
    n = len(keys)
    place = {key: workers[index * len(workers) // n] for index, key in enumerate(keys)}
    with dask.annotate(workers=place.get, allow_other_workers=True):
        futures: list[Future[Any]] = executor.client.map(function, *arguments, key=keys, pure=False)
    for key, future in zip(keys, futures, strict=True):
        executor.events.place(executor.client, key, place[key], owner=future)
    return futures


def keep_for(future: Future[Any], origin: Any) -> None:
    """Keep what a future is made of for as long as its object lives.

    In one process, what a lost partition is made of again goes with its future's object, whether
    that is released or not.
    """
    weakref.finalize(future, _let_go, origin)


def _partition_less(partition: Partition, level: float) -> Partition:
    return replace(partition, y=partition.y - level)


def _band_less(band: dict[int, Partition], level: float) -> dict[int, Partition]:
    return {row: _partition_less(partition, level) for row, partition in band.items()}


def _itself(cell: Any) -> Any:
    return cell


def _let_go(_: Any) -> None:
    """Do nothing: the argument has lived for long enough."""
