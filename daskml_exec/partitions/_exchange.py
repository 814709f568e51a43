"""The rows of data dealt anew by a key."""

from collections.abc import Callable
from typing import Any

import numpy as np

from daskml_exec.partitions._data import Data


def exchange(data: Data, key: Callable[[Any], Any], n_partitions: int) -> Data:
    """Return the same rows dealt by a key, so that rows with the same key are together.

    Parameters
    ----------
    data : Data
        With whole rows, of any kind.
    key : callable
        ``key(partition)`` returns an integer for each row. Picklable.
    n_partitions : int
        Rows of key k go to partition ``k % n_partitions``.

    Returns
    -------
    Data
        Rows of a partition are in the order of their keys, those of the same key in the order that
        they had. It has futures of its own, to be released by its own ``with``.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.training import exchange, load
    >>> with Executor(processes=False, n_workers=1), load(np.arange(10.0).reshape(5, 2)) as data:
    ...     with exchange(data, lambda partition: np.array([3, 1, 0, 1, 3]), 2) as by_key:
    ...         print(by_key.rows)
    (1, 4)
    """
    if not isinstance(n_partitions, (int, np.integer)) or n_partitions < 1:
        raise ValueError(f"{n_partitions=}; allowed are integers from 1")
    return data.exchanged(key, int(n_partitions))
