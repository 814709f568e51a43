"""The table of Workers that a user sees."""

import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

from distributed import Client

from daskml_exec.executor._connection import scheduler_address
from daskml_exec.executor._dashboard import dashboard_link
from daskml_exec.executor._tables import Readable, Table, frame_of
from daskml_exec.executor._workers_now import workers_now

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class WorkerInfo:
    """One Worker: where it is and what it has."""

    address: str
    threads: int
    memory_gb: float
    """Memory limit in GB, of 10**9 bytes; 0 when the worker has none."""
    gpu: str
    """Name of the GPU that the worker reports; empty when it has none."""
    pid: int
    """Process id, on the worker's own host."""


class WorkerTable(Readable, tuple[WorkerInfo, ...]):
    """All Workers of a cluster, printed as a table."""

    __slots__ = ()

    def _parts(self) -> Iterator[Table]:
        header = [field.name for field in fields(WorkerInfo)]
        rows = [[str(value) for value in astuple(worker)] for worker in self]
        yield Table(header, rows, words=("address", "gpu"))

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas DataFrame with one row per Worker.

        Returns
        -------
        pandas.DataFrame
            Indexed by address; the columns are the fields of `WorkerInfo`.
        """
        return frame_of(self, WorkerInfo).set_index("address")


def worker_table(client: Client) -> WorkerTable:
    """Ask the scheduler for its workers; the workers for their process ids."""
    workers = workers_now(client)
    pids = client.run(os.getpid, on_error="ignore") if workers else {}
    return WorkerTable(
        WorkerInfo(
            address=address,
            threads=info["nthreads"],
            memory_gb=round((info.get("memory_limit") or 0) / 1e9, 2),
            gpu=_gpu_name(info.get("gpu")),
            pid=pids.get(address, 0),
        )
        for address, info in sorted(workers.items())
    )


def summary(client: Client) -> str:
    """Return how many workers and threads a cluster has, and where."""
    threads = client.nthreads()
    address = scheduler_address(client)
    where = "in this process" if address.startswith("inproc://") else address
    return f"{len(threads)} workers, {sum(threads.values())} threads, {where}"


def html_of_cluster(client: Client) -> str:
    """Return a link to the dashboard, where there is one, and the table of workers."""
    link = dashboard_link(client)
    dashboard = f'<br><a href="{escape(link)}">{escape(link)}</a>' if link else ""
    return f"{dashboard}{worker_table(client)._repr_html_()}"


def _gpu_name(gpu: Any) -> str:
    return str(gpu.get("name", "")) if isinstance(gpu, dict) else ""
