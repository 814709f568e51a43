"""Windows of one long sequence of token ids, as samples of language models have them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from distributed import Client, Future

from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions._blocks import Blocks, cut_at, row_blocks
from daskml_exec.partitions._gather import refusing
from daskml_exec.partitions._kinds import ARRAY, kind_of
from daskml_exec.partitions._sample_trees import as_numbers


class TokenWindows:
    """Overlapping windows of token ids, of which none has been cut yet: what `tokens` returns.

    In a tree of samples it is a leaf, where a dataclass would be a node.

    Parameters
    ----------
    array : ndarray or dask.array.Array of shape (n_tokens,)
    window : int
        Tokens of a sample.
    stride : int
        Tokens from the start of a sample to that of the next.
    """

    def __init__(self, array: Any, window: int, stride: int) -> None:
        self.array, self.window, self.stride = array, window, stride

    def __repr__(self) -> str:
        (n_tokens,) = self.array.shape
        unknown = math.isnan(n_tokens)
        return (
            f"TokenWindows: {'unknown' if unknown else f'{self.count(n_tokens):,}'} x "
            f"{self.window:,} of {'unknown' if unknown else f'{n_tokens:,}'} tokens, "
            f"{self.array.dtype}, stride {self.stride:,}"
        )

    @property
    def on_cluster(self) -> bool:
        """Whether the array is one of Dask."""
        return kind_of(self.array) is not None

    def count(self, n_tokens: int) -> int:
        """Return how many windows fit into so many tokens.

        Raises
        ------
        ValueError
            None does.
        """
        if n_tokens < self.window:
            raise ValueError(
                f"window={self.window} with an array of {n_tokens} tokens; allowed are windows of "
                "at most as many"
            )
        return (n_tokens - self.window) // self.stride + 1

    def in_memory(self) -> Array:
        """Return all windows of a NumPy array, as a view of shape (n_windows, window)."""
        self.count(len(self.array))
        return _windows(self.array, self.window, self.stride)


def tokens(array: Any, window: int, stride: int | None = None) -> TokenWindows:
    """Describe windows of a sequence of token ids, for `load_samples`, which cuts them.

    Sample k is ``array[k * stride : k * stride + window]``, for all k that fit. It belongs to the
    chunk of a Dask array in which it starts, and may end in a later one.

    Parameters
    ----------
    array : ndarray or dask.array.Array of shape (n_tokens,)
        Integers of any dtype, which stays.
    window : int
        Tokens of a sample, from 2: to learn the next token, one more than the context.
    stride : int, optional
        From the start of a window to that of the next, from 1. By default ``window - 1``, with
        which each token but the first is the next one of exactly one other.

    Returns
    -------
    TokenWindows
        What estimators and `load_samples` take for X; nothing is cut before that.

    Raises
    ------
    TypeError
        The array is none, or not of integers; window or stride are not integers.
    ValueError
        The array has other than one dimension or is shorter than a window; window or stride are
        too small.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.partitions import load_samples, tokens
    >>> windows = tokens(np.arange(10, dtype=np.uint16), window=4)
    >>> windows.in_memory()
    array([[0, 1, 2, 3],
           [3, 4, 5, 6],
           [6, 7, 8, 9]], dtype=uint16)
    >>> with Executor(processes=False, n_workers=1) as executor:
    ...     with load_samples(windows, executor=executor) as data:
    ...         print(data)
    Data: 3 samples of X uint16[4] in 1 partition on 1 worker, 24 B
    """
    window = _checked("window", window, 2)
    stride = window - 1 if stride is None else _checked("stride", stride, 1)
    if not isinstance(array, np.ndarray) and kind_of(array) != ARRAY:
        raise TypeError(
            f"array is of {type(array).__name__}; allowed are NumPy and Dask arrays of token ids"
        )
    if array.ndim != 1:
        raise ValueError(f"array has {array.ndim} dimensions; allowed is one, of token ids")
    if array.dtype.kind not in "iu":
        raise TypeError(f"array has dtype {array.dtype}; allowed are integers, of token ids")
    made = TokenWindows(array, window, stride)
    if not math.isnan(array.shape[0]):
        made.count(array.shape[0])
    return made


def token_blocks(client: Client, given: TokenWindows, name: str) -> Blocks:
    """Return futures of the windows that start in each chunk of a Dask array."""
    column = row_blocks(client, {name: given.array})[name]
    window, stride = given.window, given.stride
    n = given.count(column.n_rows)
    ends = [0, *itertools.accumulate(column.rows)]
    # The number of the first window that starts in or after each chunk.
    firsts = [min(n, -(-end // stride)) for end in ends]
    spans = cut_at(
        [
            (first * stride, (stop - 1) * stride + window) if stop > first else (0, 0)
            for first, stop in itertools.pairwise(firsts)
        ],
        column,
    )
    futures = client.map(
        _windows_of,
        [_cut_elsewhere(client, *each) for each in zip(spans, column.grid, strict=True)],
        [(name, window, stride)] * len(spans),
        pure=False,
        key="windows",
    )
    return Blocks(name, [[future] for future in futures], np.diff(firsts).tolist())


def _cut_elsewhere(client: Client, spans: list[Any], own: list[Future[Any]]) -> list[Any]:
    """Have what a partition needs of later chunks cut where they are: whole ones travel slowly."""
    return [
        span
        if span[0] is own[0]
        else (client.submit(_between, *span, pure=False), 0, span[2] - span[1])
        for span in spans
    ]


def _between(block: Any, start: int, stop: int) -> Any:
    return block[start:stop]


@refusing
def _windows_of(spans: list[Any], about: tuple[str, int, int]) -> Array:
    name, window, stride = about
    pieces = [as_numbers(block, name)[start:stop] for block, start, stop in spans]
    if not pieces:
        return np.empty((0, window), dtype=np.uint8)
    joined = np.concatenate(pieces)
    if joined.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {joined.dtype}; allowed are integers, of token ids")
    return np.ascontiguousarray(_windows(joined, window, stride))


def _windows(array: Array, window: int, stride: int) -> Array:
    return np.lib.stride_tricks.sliding_window_view(array, window)[::stride]


def _checked(name: str, value: Any, least: int) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r}; allowed are integers from {least}")
    if value < least:
        raise ValueError(f"{name}={value}; allowed are integers from {least}")
    return int(value)
