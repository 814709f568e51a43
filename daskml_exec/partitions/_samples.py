"""From samples of any kind to a `Data`."""

from __future__ import annotations

from typing import Any

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.partitions._data import Data
from daskml_exec.partitions._from_dataset import DatasetSamples, refuse_datasets
from daskml_exec.partitions._recipes import Owner, loaded_safely
from daskml_exec.partitions._sampled import Sampled
from daskml_exec.partitions._samples_in_memory import samples_in_memory
from daskml_exec.partitions._samples_on_cluster import is_on_cluster, samples_on_cluster
from daskml_exec.partitions._target import NO_TARGET
from daskml_exec.partitions._trees import leaves_of, map_leaves


def load_samples(
    X: Any, y: Any = None, sample_weight: Any = None, *, executor: Executor | None = None
) -> Data:
    """Bring samples of any number of dimensions together, to train on them many times.

    Parameters
    ----------
    X : tree of arrays, DatasetSamples, Dask bag or list of futures
        A tree is an array of shape (n_samples, ...), or a dict or tuple of trees. Arrays are of
        NumPy or Dask, lists of numbers, frames and series of pandas or Dask, tensors on the CPU,
        and windows of `tokens`; they keep their dtypes, of integers, real numbers or booleans.
        A bag has a tree per sample; each future is of the tree of a block of samples;
        `from_dataset` reads a Dataset of torch.
    y : the same kinds, optional
        What samples are to be; it may be a tree, too. Here leaves may be texts, as labels are.
    sample_weight : array, Dask collection, list of futures or number, optional
        Weights from 0, one per sample; None means ones.
    executor : Executor, optional
        Whose cluster is to hold the samples. Without it, all that is in memory stays in this
        process, and no cluster is needed.

    Returns
    -------
    Data
        What is in memory is cut by its size alone (dask config ``daskml-exec.partition-bytes``).
        The chunks of the first Dask collection are partitions, and so are bag partitions, futures
        and the ranges of `from_dataset`; all else is cut to these.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described; the message has the path of what is wrong, such as
        ``X['image']``, what came and what is allowed.
    daskml_exec.executor.LostPartitionError
        What was persisted, or the futures, are gone or on another cluster.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.partitions import load_samples
    >>> images = da.zeros((6, 28, 28), chunks=(3, 28, 28), dtype=np.uint8)
    >>> X = {"image": images, "age": np.arange(6.0)}
    >>> with Executor(processes=False, n_workers=1) as executor:
    ...     with load_samples(X, np.arange(6), executor=executor) as data:
    ...         print(data)
    Data: 6 samples of X['image'] uint8[28, 28], X['age'] float64, y int64 in 2 partitions on 1 \
worker, 4.8 kB
    >>> load_samples({"word": [[1, 2], [3, 4]]})
    Data: 2 samples of X['word'] int64[2] in 1 partition in memory, 32 B
    """
    X, y = _read(X, "X"), None if y is None else _read(y, "y")
    sample_weight = as_dask_futures(sample_weight)
    given = leaves_of(X, "X") + ([] if y is None else leaves_of(y, "y"))
    _require_dataset_alone(X, given)
    given.append(("sample_weight", sample_weight))
    elsewhere = [leaf for _, leaf in given if is_on_cluster(leaf)]
    if executor is None:
        _require_here(given)

    def load() -> Sampled:
        if executor is None or not elsewhere:
            return samples_in_memory(executor, X, y, sample_weight)
        return samples_on_cluster(executor, X, y, sample_weight)

    def again() -> Sampled:
        found: Sampled = loaded_safely(executor, load)
        return found

    found = again()
    owner = Owner(found.partitions, lambda: again().partitions)
    return Data(owner, NO_TARGET, None, found.settled, like=found.like)


def _read(tree: Any, name: str) -> Any:
    """Return the tree with Dask's futures in place of those of this package."""
    tree = as_dask_futures(tree)
    refuse_datasets(tree, name)
    return map_leaves(as_dask_futures, tree)


def _require_dataset_alone(X: Any, leaves: list[tuple[str, Any]]) -> None:
    for name, leaf in leaves:
        if isinstance(leaf, DatasetSamples) and leaf is not X:
            raise TypeError(
                f"{name} is of from_dataset; allowed is that as X, and not a part of it"
            )


def _require_here(leaves: list[tuple[str, Any]]) -> None:
    for name, leaf in leaves:
        if is_on_cluster(leaf) and not isinstance(leaf, DatasetSamples):
            raise ValueError(
                f"{name} is of a collection for a cluster, and executor=None; allowed are data in "
                "memory, and an Executor"
            )
