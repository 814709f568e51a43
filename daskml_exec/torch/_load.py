"""Samples, loaded once for many fits."""

from typing import Any

from daskml_exec import partitions
from daskml_exec.partitions import Data
from daskml_exec.torch._given import executor_for


def load_samples(X: Any, y: Any = None, sample_weight: Any = None) -> Data:
    """Bring samples to the cluster once, to train on them many times.

    Parameters
    ----------
    X : tree of arrays, TokenWindows, DatasetSamples, Dask bag or list of futures
        A tree is an array of shape (n_samples, ...), or a dict or tuple of trees: NumPy and Dask
        arrays, lists, frames, series, and tensors on the CPU, each of its own dtype.
    y : the same kinds, optional
        What samples are to be; labels may be texts.
    sample_weight : array-like of shape (n_samples,), optional
        Weights from 0; None means ones.

    Returns
    -------
    Data
        Estimators take it in the place of X. It is released at the end of its ``with``. What is in
        memory stays there, unless an Executor or a Client is active.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described; the message has the path of what is wrong, such as
        ``X['image']``.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.torch import load_samples
    >>> load_samples({"image": np.zeros((5, 28, 28), np.uint8)}, np.arange(5))
    Data: 5 samples of X['image'] uint8[28, 28], y int64 in 1 partition in memory, 3.96 kB
    """
    executor = executor_for(X, y, sample_weight)
    return partitions.load_samples(X, y, sample_weight, executor=executor)
