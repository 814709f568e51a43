"""The values of an Executor's own futures, as tasks that data may be made of."""

from __future__ import annotations

from typing import Any

from distributed import Future

from daskml_exec.executor._arguments import OnCluster
from daskml_exec.executor._job import Job
from daskml_exec.executor._outcome import Outcome


def as_dask_futures(data: Any) -> Any:
    """Return Dask's futures in place of a Job, or of a list in which there are our own futures.

    Anything else is returned as it is.
    """
    if isinstance(data, Job):
        data = data.tasks
    if not isinstance(data, (list, tuple)) or not data:
        return data
    if not all(isinstance(each, (Future, OnCluster)) for each in data):
        return data
    return [_value_future(each) if isinstance(each, OnCluster) else each for each in data]


def _value_future(future: OnCluster) -> Future[Any]:
    return future._client.submit(_value, future._future, pure=False)


def _value(outcome: Outcome[Any]) -> Any:
    return outcome.value
