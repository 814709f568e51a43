"""The cluster side: Executor, Job, Task, fixed-tree reductions and the rounds over partitions."""

from daskml_exec.executor import _cancelled as _cancelled  # lets tasks end where they are cancelled
from daskml_exec.executor._blas import in_threads, single_threaded_blas
from daskml_exec.executor._calibration import (
    Calibration,
    calibrate,
    calibrated,
)
from daskml_exec.executor._dashboard import dashboard_link
from daskml_exec.executor._executor import Executor
from daskml_exec.executor._failures import (
    LostPartitionError,
    WorkerMismatchError,
    explained_losses,
)
from daskml_exec.executor._gather import gather
from daskml_exec.executor._grid_rounds import Band, GridRunner
from daskml_exec.executor._job import Job, Progress, Task
from daskml_exec.executor._round_runner import RoundOutcome, RoundRunner
from daskml_exec.executor._scheduler import LostSchedulerError, scheduler_needed
from daskml_exec.executor._ship import share, ship
from daskml_exec.executor._units import bytes_text
from daskml_exec.executor._values import as_dask_futures
from daskml_exec.executor._worker_times import FEW_ROWS, MANY_ROWS
from daskml_exec.executor._workers import WorkerInfo, WorkerTable
from daskml_exec.kernels.fixed_tree import fold, fold_siblings

__all__ = [
    "FEW_ROWS",
    "MANY_ROWS",
    "Band",
    "Calibration",
    "Executor",
    "GridRunner",
    "Job",
    "LostPartitionError",
    "LostSchedulerError",
    "Progress",
    "RoundOutcome",
    "RoundRunner",
    "Task",
    "WorkerInfo",
    "WorkerMismatchError",
    "WorkerTable",
    "as_dask_futures",
    "bytes_text",
    "calibrate",
    "calibrated",
    "dashboard_link",
    "explained_losses",
    "fold",
    "fold_siblings",
    "gather",
    "in_threads",
    "scheduler_needed",
    "share",
    "ship",
    "single_threaded_blas",
]
