"""The table of Workers that a user sees."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from html import escape
from typing import Any

from distributed import Client

from daskml_exec.executor._connection import scheduler_address
from daskml_exec.executor._dashboard import dashboard_link


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


class WorkerTable(tuple[WorkerInfo, ...]):
    """All Workers of a cluster, printed as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        rows = [[field.name for field in fields(WorkerInfo)], *_cells(self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def _repr_html_(self) -> str:
        header = "".join(f"<th>{field.name}</th>" for field in fields(WorkerInfo))
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in _cells(self)
        )
        return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def worker_table(client: Client) -> WorkerTable:
    """Ask the scheduler for its workers; the workers for their process ids."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
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


def _cells(table: Iterable[WorkerInfo]) -> Iterator[list[str]]:
    return ([str(value) for value in astuple(worker)] for worker in table)
