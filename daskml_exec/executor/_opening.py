"""What `Executor(...)` opens, by its arguments."""

from typing import Any

from daskml_exec.executor import _current
from daskml_exec.executor._checks import check_integer
from daskml_exec.executor._connection import Connection, attach, open_local


def open_or_attach(
    cluster: Any,
    *,
    n_workers: int | None,
    threads_per_worker: int,
    processes: bool,
    security: Any,
    options: dict[str, Any],
) -> Connection:
    """Attach to what is named, else to the active Client, else start an embedded cluster."""
    check_integer("n_workers", n_workers)
    check_integer("threads_per_worker", threads_per_worker)
    embedded = {
        name: value
        for name, value, default in (
            ("n_workers", n_workers, None),
            ("threads_per_worker", threads_per_worker, 1),
            ("processes", processes, True),
        )
        if value != default
    } | options
    if cluster is None and not embedded and security is None:
        cluster = _current.active_client()
    if cluster is None:
        return open_local(
            n_workers=n_workers,
            threads_per_worker=threads_per_worker,
            processes=processes,
            options=options,
            set_as_default=True,
            security=security,
        )
    if embedded:
        raise ValueError(
            f"{', '.join(sorted(embedded))} given together with cluster={cluster!r}: these options "
            "belong to the embedded cluster, which is started when cluster is None"
        )
    return attach(cluster, security)
