"""Train scikit-learn-style estimators on a Dask cluster.

The Dask scheduler, with the driver process that talks to it, is the Master; Dask workers are
the Workers; training is a `Job` made of `Task` objects. See `Executor` for the cluster side and
`daskml_exec.linear_model` for the estimators.
"""

from importlib import metadata as _metadata
from typing import TYPE_CHECKING
from typing import Any as _Any

from daskml_exec.executor import Executor, Job, Task

if TYPE_CHECKING:
    from daskml_exec.training import open_model, save

__all__ = ["Executor", "Job", "Task", "__version__", "open_model", "save"]

try:
    __version__ = _metadata.version("daskml-exec")
except _metadata.PackageNotFoundError:  # a source tree on the path
    __version__ = "unknown"


def __getattr__(name: str) -> _Any:
    if name not in ("open_model", "save"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Estimators can be saved and opened once their packages are imported, which takes a while.
    from daskml_exec import (  # noqa: F401
        linear_model,
        neural_network,
        preprocessing,
        recommendation,
        training,
    )
    from daskml_exec.feature_extraction import text  # noqa: F401

    return getattr(training, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
