"""Threads of this process that compute where there is no cluster, and can be stopped."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from daskml_exec.executor._current import threads_of_this_process

T = TypeVar("T")
U = TypeVar("U")

_here = threading.local()


class AbandonedError(BaseException):
    """Nobody waits for this thread's work any more."""


class DriverThreads:
    """Computes in threads of this process: in the calling one, where one is enough.

    Parameters
    ----------
    n_items : int
        How many things there are to do at once.
    """

    def __init__(self, n_items: int) -> None:
        self.n_threads = min(n_items, threads_of_this_process())
        self._abandoned = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        if self.n_threads > 1:
            self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="daskml-exec")

    def map(self, function: Callable[[T], U], items: Sequence[T]) -> list[U]:
        """Return what the function gives for each item, in order."""
        if self._pool is None:
            return [function(item) for item in items]
        futures = [self._pool.submit(self._call, function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            self._abandoned.set()
            raise

    def submit(self, work: Callable[[], U]) -> Future[U]:
        """Return a future of what the work returns, which is done already if one thread is enough.

        Parameters
        ----------
        work : callable
        """
        if self._pool is not None:
            return self._pool.submit(self._call, lambda _: work(), None)
        done: Future[U] = Future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Let the threads go; what they still do ends at its next stop point."""
        self._abandoned.set()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _call(self, function: Callable[[Any], Any], item: Any) -> Any:
        _here.abandoned = self._abandoned
        return function(item)


def end_if_abandoned() -> None:
    """Raise in a thread whose work nobody waits for; otherwise, and elsewhere, do nothing."""
    abandoned = getattr(_here, "abandoned", None)
    if abandoned is not None and abandoned.is_set():
        raise AbandonedError
