"""The cluster side: Executor, Job, Task, fixed-tree reductions and the rounds over partitions."""

from daskml_exec.executor._blas import in_threads, single_threaded_blas
from daskml_exec.executor._cancelled import NotWanted  # also lets tasks end that are cancelled
from daskml_exec.executor._capacity import IDLE_BYTES, SHARE_OF_DATA, Capacity, travels_in_tasks
from daskml_exec.executor._config import nbytes as configured_nbytes
from daskml_exec.executor._config import number as configured_number
from daskml_exec.executor._current import cluster_is_meant, is_opened_by_nobody
from daskml_exec.executor._dashboard import dashboard_link
from daskml_exec.executor._driver_threads import DriverThreads
from daskml_exec.executor._executor import Executor
from daskml_exec.executor._failures import (
    LostPartitionError,
    WorkerMismatchError,
    explained_losses,
)
from daskml_exec.executor._gather import gather
from daskml_exec.executor._grid_rounds import Band, GridOutcome, GridRunner
from daskml_exec.executor._grid_tasks import Exchange, Pass
from daskml_exec.executor._group_task import fold_group, takes_prepared
from daskml_exec.executor._heap import heap_kept
from daskml_exec.executor._job import Job, Progress, Task
from daskml_exec.executor._query import Carrying, Query, answer_and_carry, gathers, require_query
from daskml_exec.executor._round_runner import RoundOutcome, RoundRunner
from daskml_exec.executor._same_code import require_same_code
from daskml_exec.executor._scheduler import LostSchedulerError, scheduler_needed
from daskml_exec.executor._ship import share, ship
from daskml_exec.executor._sizes import is_registered, object_nbytes
from daskml_exec.executor._tables import Facts, Part, Readable, Table, frame_of
from daskml_exec.executor._tuning import Tuning, tuned, tuning
from daskml_exec.executor._units import bytes_text
from daskml_exec.executor._values import as_dask_futures
from daskml_exec.executor._workers import WorkerInfo, WorkerTable
from daskml_exec.executor._workers_now import workers_now
from daskml_exec.kernels.fixed_tree import fold, fold_siblings

__all__ = [
    "IDLE_BYTES",
    "SHARE_OF_DATA",
    "Band",
    "Capacity",
    "Carrying",
    "DriverThreads",
    "Exchange",
    "Executor",
    "Facts",
    "GridOutcome",
    "GridRunner",
    "Job",
    "LostPartitionError",
    "LostSchedulerError",
    "NotWanted",
    "Part",
    "Pass",
    "Progress",
    "Query",
    "Readable",
    "RoundOutcome",
    "RoundRunner",
    "Table",
    "Task",
    "Tuning",
    "WorkerInfo",
    "WorkerMismatchError",
    "WorkerTable",
    "answer_and_carry",
    "as_dask_futures",
    "bytes_text",
    "cluster_is_meant",
    "configured_nbytes",
    "configured_number",
    "dashboard_link",
    "explained_losses",
    "fold",
    "fold_group",
    "fold_siblings",
    "frame_of",
    "gather",
    "gathers",
    "heap_kept",
    "in_threads",
    "is_opened_by_nobody",
    "is_registered",
    "object_nbytes",
    "require_query",
    "require_same_code",
    "scheduler_needed",
    "share",
    "ship",
    "single_threaded_blas",
    "takes_prepared",
    "travels_in_tasks",
    "tuned",
    "tuning",
    "workers_now",
]
