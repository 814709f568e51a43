"""Measure what a cluster's workers and the ways between them can do, in a second or two."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from daskml_exec.executor import (
    Executor,
    Facts,
    Part,
    Query,
    Readable,
    RoundRunner,
    ship,
    single_threaded_blas,
    travels_in_tasks,
)
from daskml_exec.executor.peers import Peer, PeerGroup, PeersInterrupted
from daskml_exec.kernels.arrays import Array
from daskml_exec.neural_network._workload import calibrated, remember_calibration
from daskml_exec.neural_network.planning._worker_times import (
    FEW_PARAMETERS,
    FEW_ROWS,
    LEAST_SECONDS,
    MANY_PARAMETERS,
    MANY_ROWS,
    MEMORY_FLOATS,
    PRODUCT_UNITS,
    REPETITIONS,
    WorkerTimes,
    bytes_to_each,
    measure_here,
    median_seconds,
)

_MESSAGE_BYTES, _SHARED_BYTES = 4_000_000, 16_000_000
# To so many workers at once: it is the driver whose rate is wanted, and that of large messages.
_MOST_ECHOES = 4
# How often it is tried again when a worker is lost meanwhile.
_ATTEMPTS = 3


@dataclass(frozen=True, repr=False)
class Calibration(Readable):
    """What a cluster was measured to do: medians; of several workers, the slowest's.

    All workers compute at the same time, each on one thread, as they do in a fit.

    Attributes
    ----------
    n_workers : int
    round_seconds : float
        A round over all workers that computes nothing, there and back.
    segment_seconds : float
        A task on each worker that waits for the others' and computes nothing, there and back.
    exchange_seconds : float or None
        A small array from each worker to each other one, between pieces of work; None for one
        worker.
    exchange_bytes_per_second : float or None
        What a worker sends while it receives as much.
    driver_bytes_per_second : float
        Of a message that travels inside the tasks of a round, to each worker and back.
    shared_bytes_per_second : float
        Of a message too large for that.
    float32_flops_per_second, float64_flops_per_second : float
        Of products of a batch of 256 rows with 1024 x 1024 weights, forth and back.
    float32_small_batch_flops_per_second, float64_small_batch_flops_per_second : float
        The same with 16 rows: reading and writing the weights then takes most of the time.
    memory_bytes_per_second : float
        Read from memory.
    adam_parameters_per_second : float
        Updates by Adam in float32, of more parameters than caches hold.
    adam_cached_parameters_per_second : float
        The same of parameters that stay in a cache.
    call_seconds : float
        A call of NumPy on next to nothing: what Python costs.

    Examples
    --------
    >>> from daskml_exec import Executor
    >>> from daskml_exec.neural_network.planning import calibrate
    >>> with Executor(processes=False, n_workers=2) as executor:
    ...     calibration = calibrate(executor)
    ...     again = calibrate(executor)
    >>> calibration.n_workers, calibration.exchange_seconds > 0, again is calibration
    (2, True, True)
    """

    n_workers: int
    round_seconds: float
    segment_seconds: float
    exchange_seconds: float | None
    exchange_bytes_per_second: float | None
    driver_bytes_per_second: float
    shared_bytes_per_second: float
    float32_flops_per_second: float
    float64_flops_per_second: float
    float32_small_batch_flops_per_second: float
    float64_small_batch_flops_per_second: float
    memory_bytes_per_second: float
    adam_parameters_per_second: float
    adam_cached_parameters_per_second: float
    call_seconds: float

    def message_seconds(self, out: float, back: float, *, n_workers: int) -> float:
        """Return the seconds of a round that sends a message to workers and gets one from each.

        Parameters
        ----------
        out, back : float
            Bytes, of one worker.
        n_workers : int
        """
        in_tasks = travels_in_tasks(out, n_workers)
        rate = self.driver_bytes_per_second if in_tasks else self.shared_bytes_per_second
        return self.round_seconds + n_workers * (out + back) / rate

    def _parts(self) -> Iterator[Part]:
        measured = [
            (_label(field.name), _amount(field.name, getattr(self, field.name)))
            for field in fields(self)[1:]
        ]
        yield Facts(measured, 38, f"Calibration of {self.n_workers} workers")


def calibrate(executor: Executor) -> Calibration:
    """Measure the cluster of an Executor, once for each set of workers.

    Raises
    ------
    TimeoutError
        The cluster had no worker for as long as the dask config value
        ``daskml-exec.workers-timeout``.
    RuntimeError
        Workers were lost, again and again.
    """
    with _lock:  # two measurements at once would measure each other
        for attempt in range(_ATTEMPTS):
            known = calibrated(executor)
            if known is not None:
                return known
            try:
                workers, found = _measure(executor)
            except PeersInterrupted as error:
                if attempt == _ATTEMPTS - 1:
                    raise RuntimeError(
                        f"workers were lost in {_ATTEMPTS} calibrations in a row, the last time "
                        f"because {error}"
                    ) from error
                continue
            remember_calibration(executor, workers, found)
            return found
    raise AssertionError("the last attempt returns or raises")


_lock = threading.RLock()


def _measure(executor: Executor) -> tuple[frozenset[str], Calibration]:
    group = PeerGroup(executor, "calibration")
    with closing(group), single_threaded_blas():
        group.admit()
        try:
            while not group.open(group.workers()):
                pass
            members = group.members
            found = [a.value for a in group.run(measure_here, [()] * len(members))]
            futures = [
                ship(
                    executor.client,
                    np.zeros(1),
                    name="calibration-rows",
                    worker=worker,
                    in_process=executor.in_process,
                )
                for worker in members
            ]
            segment = median_seconds(lambda: _no_segment(group, futures), REPETITIONS)
        finally:
            group.leave()
        no_round = _round_seconds(executor, futures, 8)
        few = futures[:_MOST_ECHOES]
        base, literal, shared = (
            _round_seconds(executor, few, n) for n in (8, _MESSAGE_BYTES, _SHARED_BYTES)
        )

    def slowest(of: Callable[[WorkerTimes], float]) -> float:
        return max(map(of, found))

    def flops(dtype: str, rows: int) -> float:
        return 4 * rows * PRODUCT_UNITS**2 / slowest(lambda one: one.products[dtype, rows])

    small, large = None, None
    if len(members) > 1:
        small = slowest(lambda one: one.small_exchange or 0.0)
        large = slowest(lambda one: one.large_exchange or 0.0)
    n_bytes = bytes_to_each(len(members)) * (len(members) - 1)
    return frozenset(members), Calibration(
        n_workers=len(members),
        round_seconds=no_round,
        segment_seconds=segment,
        exchange_seconds=small,
        exchange_bytes_per_second=(
            None if small is None or large is None else _rate(n_bytes, large - small)
        ),
        driver_bytes_per_second=_rate(2 * _MESSAGE_BYTES * len(few), literal - base),
        shared_bytes_per_second=_rate(2 * _SHARED_BYTES * len(few), shared - base),
        float32_flops_per_second=flops("float32", MANY_ROWS),
        float64_flops_per_second=flops("float64", MANY_ROWS),
        float32_small_batch_flops_per_second=flops("float32", FEW_ROWS),
        float64_small_batch_flops_per_second=flops("float64", FEW_ROWS),
        memory_bytes_per_second=_rate(4 * MEMORY_FLOATS, slowest(lambda one: one.memory)),
        adam_parameters_per_second=MANY_PARAMETERS / slowest(lambda one: one.adam),
        adam_cached_parameters_per_second=FEW_PARAMETERS / slowest(lambda one: one.adam_cached),
        call_seconds=slowest(lambda one: one.call),
    )


# On the driver


def _no_segment(group: PeerGroup, futures: Sequence[Any]) -> None:
    group.leave()
    group.admit()
    group.sources(futures)
    group.run(_nothing, [()] * len(group.members))


def _nothing(peer: Peer) -> None:
    return None


def _round_seconds(executor: Executor, futures: Sequence[Any], n_bytes: int) -> float:
    """Return the seconds of a round that sends a message to all partitions, and back."""
    lost = len(executor.events.workers_lost)
    echo = _Echo(np.zeros(n_bytes, np.uint8))
    with closing(RoundRunner(executor, futures, _nbytes, lost)) as runner:
        return median_seconds(
            lambda: runner.run(echo, name="calibration"),
            REPETITIONS if n_bytes <= _MESSAGE_BYTES else 3,
        )


@dataclass(frozen=True)
class _Echo(Query[Array]):
    """Comes back from every partition as it is."""

    message: Array

    @property
    def nbytes(self) -> int:
        return self.message.nbytes

    def partial(self, partition: Any) -> Array:
        return self.message

    def combine(self, left: Array, right: Array) -> Array:
        return left


def _nbytes(payload: Any) -> int:
    size: int = payload.nbytes
    return size


def _rate(amount: float, seconds: float) -> float:
    return amount / max(seconds, LEAST_SECONDS)


def _label(name: str) -> str:
    return name.removesuffix("_per_second").removesuffix("_seconds").replace("_", " ")


def _amount(name: str, value: float | None) -> str:
    if value is None:
        return "none: one worker"
    if not name.endswith("_per_second"):
        return f"{value * 1e3:.3g} ms" if value >= 1e-4 else f"{value * 1e6:.3g} µs"
    unit = "GFLOP/s" if "flops" in name else "GB/s" if "bytes" in name else "G/s"
    return f"{value / 1e9:.3g} {unit}"
