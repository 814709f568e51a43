"""Results on the cluster in this process that nobody has opened: any scheduler computes with them.

Dask finds what a Future stands for by the Client that computes. That of the cluster which is used
where no Executor and no Client is there is nobody's default.
"""

from __future__ import annotations

from typing import Any

import dask
from distributed import Future

from daskml_exec.executor import is_opened_by_nobody


def as_block(future: Future[Any]) -> Any:
    """Return the future, or what computes its result wherever it is computed.

    Parameters
    ----------
    future : Future
        Of a cluster, or of the one in this process.
    """
    if not is_opened_by_nobody(future.client):
        return future
    return dask.delayed(_result, pure=True)(_Held(future))


def _result(held: _Held) -> Any:
    return held.result()


class _Held:
    """Holds a future so that Dask does not see it."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def result(self) -> Any:
        return self._future.result()

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, self._future.key

    def __reduce__(self) -> Any:  # to another process goes what there is
        return _Known, (self.result(),)


class _Known(_Held):
    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value

    def __reduce__(self) -> Any:
        return _Known, (self._value,)
