"""Samples of a map-style dataset of torch, made where they are wanted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from distributed import Future

from daskml_exec.executor import Executor, share
from daskml_exec.executor._raised import carried
from daskml_exec.partitions._derived import keep_for, placed_on
from daskml_exec.partitions._gather import Refused
from daskml_exec.partitions._model_nodes import nbytes_of
from daskml_exec.partitions._sample_trees import stacked_samples

_WHERE = "the dataset that make returned"


class DatasetSamples:
    """Samples of a dataset, of which none has been read yet: what `from_dataset` returns.

    In a tree of samples it is a leaf, where a dataclass would be a node.

    Parameters
    ----------
    make : callable
        Returns the dataset.
    n_partitions : int
    """

    def __init__(self, make: Callable[[], Any], n_partitions: int) -> None:
        self.make, self.n_partitions = make, n_partitions

    def __repr__(self) -> str:
        n = self.n_partitions
        make = self.make.func if isinstance(self.make, functools.partial) else self.make
        name = getattr(make, "__name__", type(make).__name__)
        return f"DatasetSamples: of {name}, not read yet, in {n:,} partition{'s' * (n != 1)}"

    def bounds(self, n_samples: int) -> list[int]:
        """Return where each partition begins, and where the last one ends."""
        return [index * n_samples // self.n_partitions for index in range(self.n_partitions + 1)]

    def samples(self, partition: int | None = None) -> tuple[Any, int]:
        """Make the dataset; return samples of a partition, or all, and how many there are.

        There is nothing instead of no samples.
        """
        dataset = _opened(self.make)
        start, stop = 0, len(dataset)
        if partition is not None:
            start, stop = self.bounds(stop)[partition : partition + 2]
        items = list(_items(dataset, start, stop))
        return (stacked_samples(items, "item", _WHERE, start) if items else []), len(items)


def from_dataset(make: Callable[[], Any], n_partitions: int) -> DatasetSamples:
    """Describe the samples of a map-style torch Dataset, for `load_samples`, which reads them.

    Each partition has a contiguous range of the samples; ranges are even, to within one sample.
    Tensors become NumPy arrays, and Python's numbers do. Items that are pairs (tuples of two) are
    (X, y); any other is X alone.

    Parameters
    ----------
    make : callable
        Returns the dataset, of which ``len(dataset)`` and ``dataset[i]`` are used. It is called
        once in each Worker task, and is picklable.
    n_partitions : int
        From 1.

    Returns
    -------
    DatasetSamples
        What estimators and `load_samples` take for X; nothing is read before that.

    Raises
    ------
    TypeError
        `make` is not callable, or `n_partitions` is no integer.
    ValueError
        `n_partitions` is less than one.

    Examples
    --------
    >>> from daskml_exec import Executor
    >>> from daskml_exec.partitions import from_dataset, load_samples
    >>> class Squares:
    ...     def __len__(self):
    ...         return 5
    ...     def __getitem__(self, i):
    ...         return [float(i), float(i)], i**2
    >>> with Executor(processes=False, n_workers=1) as executor:
    ...     with load_samples(from_dataset(Squares, n_partitions=2), executor=executor) as data:
    ...         print(data)
    Data: 5 samples of X float64[2], y int64 in 2 partitions on 1 worker, 120 B
    """
    if not callable(make):
        raise TypeError(
            f"make is of {type(make).__name__}; allowed are functions without arguments that "
            "return a dataset, for example functools.partial(MyDataset, folder)"
        )
    if not isinstance(n_partitions, (int, np.integer)) or isinstance(n_partitions, bool):
        raise TypeError(f"{n_partitions=}; allowed are integers from 1")
    if n_partitions < 1:
        raise ValueError(f"{n_partitions=}; allowed are integers from 1")
    return DatasetSamples(make, int(n_partitions))


def dataset_blocks(executor: Executor, given: DatasetSamples) -> list[Future[Any]]:
    """Return futures of the samples of each partition."""
    try:
        nbytes = nbytes_of(given)
    except Exception as error:  # whatever the user's objects raise
        raise TypeError(f"make cannot be pickled ({error}); allowed is what travels") from error
    client, n = executor.client, given.n_partitions
    # In a task of its own, which the scheduler can run again as long as a result may be wanted.
    shared = share(client, given, nbytes, name="make", in_process=False)
    futures = placed_on(
        executor,
        executor.check_workers(),
        _read,
        [shared] * n,
        range(n),
        keys=[f"dataset-{shared.key}-{index}" for index in range(n)],
    )
    for future in futures:
        keep_for(future, shared)
    return futures


def _read(given: DatasetSamples, partition: int) -> Any:
    try:
        return given.samples(partition)[0]
    except Exception as error:  # of the user's code: carried home once, with its traceback
        return Refused(carried(error))


def _opened(make: Callable[[], Any]) -> Any:
    try:
        dataset = make()
    except Exception as error:
        error.add_note("raised by make() of from_dataset")
        raise
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise TypeError(
            f"make returned a {type(dataset).__name__}, which has no length or no items, as an "
            "IterableDataset; allowed are map-style datasets, of which len(dataset) and dataset[i] "
            "are used"
        )
    return dataset


def _items(dataset: Any, start: int, stop: int) -> Iterator[Any]:
    for number in range(start, stop):
        try:
            item = dataset[number]
        except Exception as error:
            error.add_note(f"raised by sample {number} of {_WHERE}")
            raise
        yield item


def refuse_datasets(X: Any, name: str) -> None:
    """Raise TypeError for datasets and loaders of torch, which are read on Workers."""
    kinds = [each for each in type(X).__mro__ if each.__module__.startswith("torch.utils.data")]
    if kinds:
        raise TypeError(
            f"{name} is a {type(X).__name__}; allowed is from_dataset(make, n_partitions), where "
            "make() returns a torch.utils.data.Dataset on each Worker: batches are made there, by "
            "batch_size and shuffle"
        )
