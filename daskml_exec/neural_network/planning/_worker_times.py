"""What a worker measures of itself and of the way to its peers."""

import functools
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs

from daskml_exec.executor.peers import Peer
from daskml_exec.kernels.networks.optimisers import Adam, init

FEW_ROWS, MANY_ROWS = 16, 256
"""Rows of the batches whose products are timed."""
PRODUCT_UNITS = 1024
FEW_PARAMETERS, MANY_PARAMETERS = 2**15, 2**22
MEMORY_FLOATS = 2**24
_CALLS = 1000
_EXCHANGE_BYTES, _SMALL_EXCHANGES, _LARGE_EXCHANGES = 4_000_000, 20, 1
# Of the work between two exchanges: a product, and calls from Python. About a millisecond, as in a
# step: with less of it workers that share their cores with others would seldom wait for each other.
_WORK_ROWS, _WORK_UNITS, _WORK_CALLS = 64, 512, 100
REPETITIONS = 5
LEAST_SECONDS = 1e-4
"""That a rate is computed from."""


@dataclass(frozen=True)
class WorkerTimes:
    """What one worker has measured: seconds."""

    small_exchange: float | None
    large_exchange: float | None
    products: dict[tuple[str, int], float]
    memory: float
    adam: float
    adam_cached: float
    call: float


def measure_here(peer: Peer) -> WorkerTimes:
    """Measure while all other members do the same."""
    small, large = None, None
    if peer.others:
        small = _exchange_seconds(peer, "small", 1_000, _SMALL_EXCHANGES)
        large = _exchange_seconds(peer, "large", bytes_to_each(len(peer.members)), _LARGE_EXCHANGES)
    peer.meet(("compute",), timeout=peer.timeout)
    return WorkerTimes(
        small_exchange=small,
        large_exchange=large,
        products={
            (dtype, rows): _product_seconds(np.dtype(dtype), rows)
            for dtype in ("float32", "float64")
            for rows in (FEW_ROWS, MANY_ROWS)
        },
        memory=_memory_seconds(),
        adam=_adam_seconds(MANY_PARAMETERS),
        adam_cached=_adam_seconds(FEW_PARAMETERS),
        call=_call_seconds(),
    )


def bytes_to_each(n_workers: int) -> int:
    """Return the bytes that a worker sends to each other one in a large exchange."""
    return _EXCHANGE_BYTES // max(1, n_workers - 1)


def _exchange_seconds(peer: Peer, name: str, n_bytes: int, times: int) -> float:
    """Time an exchange between two pieces of work, as there are in a step.

    Without work between them exchanges are two to three times as quick: nobody waits for whoever
    is last, and the thread that receives has the interpreter to itself.
    """
    array = np.zeros(n_bytes, np.uint8)
    numbers = itertools.count()
    X, coef = np.ones((_WORK_ROWS, _WORK_UNITS)), np.ones((_WORK_UNITS, _WORK_UNITS))
    out = np.empty_like(X)

    def work() -> None:
        np.matmul(X, coef, out=out)
        for _ in range(_WORK_CALLS):
            np.add(X[0], X[1], out=out[0])

    def exchange() -> None:
        tag = (name, next(numbers))
        for other in peer.others:
            peer.send(other, tag, [array])
        for other in peer.others:
            peer.take(other, tag)

    def series(exchanging: bool) -> None:
        for _ in range(times):
            work()
            if exchanging:
                exchange()

    # The mean of a series, not the median exchange: a step waits for the late ones, too.
    both, alone = (
        median_seconds(functools.partial(series, exchanging), REPETITIONS)
        for exchanging in (True, False)
    )
    return max(both - alone, times * LEAST_SECONDS / 2) / times


def _product_seconds(dtype: np.dtype[Any], rows: int) -> float:
    """Time a layer's product forth, and that which gives the gradient of its weights."""
    X, delta = np.ones((rows, PRODUCT_UNITS), dtype), np.ones((rows, PRODUCT_UNITS), dtype)
    coef = np.ones((PRODUCT_UNITS, PRODUCT_UNITS), dtype)
    gradient = np.empty_like(coef)

    def products() -> None:
        np.matmul(X, coef, out=delta)
        np.matmul(X.T, delta, out=gradient)

    return median_seconds(products, REPETITIONS)


def _memory_seconds() -> float:
    array = np.ones(MEMORY_FLOATS, np.float32)
    dot = get_blas_funcs("dot", (array,))
    return median_seconds(lambda: dot(array, array), REPETITIONS)


def _adam_seconds(n: int) -> float:
    adam = Adam(0.9, 0.999, 1e-8)
    parameters, gradient, scratch = (np.full(n, 0.1, np.float32) for _ in range(3))
    state = init(adam, n, parameters.dtype)
    times = max(1, MANY_PARAMETERS // n // 8)

    def update() -> None:
        for _ in range(times):
            adam.update(parameters, gradient, state, 1e-3, scratch)

    return median_seconds(update, REPETITIONS) / times


def _call_seconds() -> float:
    array = np.zeros(8, np.float32)

    def calls() -> None:
        for _ in range(_CALLS):
            np.add(array, array, out=array)

    return median_seconds(calls, REPETITIONS) / _CALLS


def median_seconds(call: Callable[[], Any], times: int) -> float:
    """Return the median of the seconds of calls, after one that warms up."""
    call()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
