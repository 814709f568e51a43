"""Train scikit-learn-style estimators on a Dask cluster.

The Dask scheduler, with the driver process that talks to it, is the Master; Dask workers are
the Workers; training is a `Job` made of `Task` objects. See `Executor` for the cluster side and
`daskml_exec.linear_model` for the estimators.
"""

from importlib import metadata as _metadata

from daskml_exec.executor import Executor, Job, Task

__all__ = ["Executor", "Job", "Task", "__version__"]

try:
    __version__ = _metadata.version("daskml-exec")
except _metadata.PackageNotFoundError:  # a source tree on the path
    __version__ = "unknown"
