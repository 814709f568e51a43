"""Train scikit-learn-style estimators on a Dask cluster.

The Dask scheduler, with the driver process that talks to it, is the Master; Dask workers are
the Workers; training is a `Job` made of `Task` objects. See `Executor` for the cluster side and
`daskml_exec.linear_model` for the estimators.
"""

from importlib.metadata import version as _version

from daskml_exec.executor import Executor, Job, Task

__all__ = ["Executor", "Job", "Task", "__version__"]

__version__ = _version("daskml-exec")
