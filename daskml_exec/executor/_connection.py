"""Open or attach the cluster behind an Executor, and close only what was opened."""

import atexit
import logging
import multiprocessing
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import Any

import dask
from distributed import Client, LocalCluster, Nanny, Worker

from daskml_exec.executor import _config, _worker_process
from daskml_exec.executor._address import (
    address_in_file,
    is_scheduler_file,
    require_certificates,
    security_of,
)
from daskml_exec.executor._calm_cluster import calm_settings
from daskml_exec.executor._embedded import EmbeddedCluster, started
from daskml_exec.executor._prompt_messages import send_soon
from daskml_exec.executor._silence import closing_is_no_news, silence_interrupts

_MAIN_GUARD = (
    "an Executor with worker processes was opened without a main guard: every worker process "
    "imports the script anew and would open a cluster of its own. Put the code that opens it "
    'under\n\n    if __name__ == "__main__":\n\nor use threads: Executor(processes=False)'
)

_NOT_RUNNING = (
    "its scheduler is gone or cannot be reached, or it was closed. Open another Client, or give "
    "the scheduler's address: Executor('tcp://...')"
)


@dataclass(frozen=True, eq=False)
class Connection:
    """A Client, and which of it and its cluster are ours to close."""

    client: Client
    owned: tuple[Any, ...]
    """What `close` closes, in this order."""

    @property
    def in_process(self) -> bool:
        """Whether the workers share this process's memory."""
        return scheduler_address(self.client).startswith("inproc://")

    def close(self) -> None:
        """Close what is ours; a second time does nothing."""
        ours = self in _embedded
        _embedded.discard(self)
        with closing_is_no_news() if ours else nullcontext():
            for resource in self.owned:
                reconnecting = isinstance(resource, Client) and resource.status == "connecting"
                # Dask logs that it is interrupted in its search for a lost scheduler, as an error.
                with _silent("distributed.client") if reconnecting else nullcontext():
                    resource.close()
        if self.owned:
            _restore_scheduler_setting()


@contextmanager
def _silent(logger_name: str) -> Iterator[None]:
    logger = logging.getLogger(logger_name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


_embedded: weakref.WeakSet[Connection] = weakref.WeakSet()
_opened_by = os.getpid()


def is_embedded(client: Client) -> bool:
    """Whether its cluster was started here, with this process's own packages."""
    return any(connection.client is client for connection in list(_embedded))


@atexit.register
def _close_embedded() -> None:
    """Close what nobody closed, Clients first.

    Left to Dask, a cluster's workers may go while the Client still waits for their results, and
    the scheduler warns of each.
    """
    if os.getpid() == _opened_by:  # the clusters of a parent are not a forked child's to close
        for connection in list(_embedded):
            connection.close()


def open_local(
    *,
    n_workers: int | None,
    threads_per_worker: int,
    processes: bool,
    options: dict[str, Any],
    set_as_default: bool,
    security: Any = None,
) -> Connection:
    """Start an embedded cluster that listens on the loopback interface only."""
    silence_interrupts()
    _check_options(options)
    if processes and getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(_MAIN_GUARD)
    # Workers in this process have no host; their web servers would listen on all interfaces.
    defaults: dict[str, Any] = {"dashboard_address": "127.0.0.1:0"}
    calm = calm_settings()
    if processes:
        defaults["host"] = "127.0.0.1"
        # Each Nanny hands these to its worker; those that start later as well.
        options = options | {"config": calm | (options.get("config") or {})}
        given = options.get("preload") or []
        options = options | {
            "preload": [_worker_process.__name__, *([given] if isinstance(given, str) else given)]
        }
    else:
        defaults["worker_dashboard_address"] = "127.0.0.1:0"
        # A limit is held against the memory of the whole process, the user's own data included:
        # every worker would pause, for ever.
        defaults["memory_limit"] = 0
    if (given_security := security_of(security, embedded=True)) is not None:
        defaults["security"] = given_security
    try:
        with dask.config.set(calm):
            cluster = started(
                lambda: EmbeddedCluster(
                    n_workers=n_workers,
                    threads_per_worker=threads_per_worker,
                    processes=processes,
                    **{**defaults, **options},
                )
            )
    except RuntimeError as error:
        if processes:
            raise RuntimeError(
                f"the embedded cluster did not start ({error}). If this is a script, the usual "
                f"cause is: {_MAIN_GUARD}"
            ) from error
        raise
    try:
        client = _connect(cluster, set_as_default=set_as_default)
    except BaseException:
        cluster.close()
        raise
    connection = Connection(client, owned=(client, cluster))
    _embedded.add(connection)
    return connection


def _check_options(options: dict[str, Any]) -> None:
    """Refuse options that nothing takes, before worker processes fail on them one by one."""
    known = {name for cls in (LocalCluster, Worker, Nanny) for name in signature(cls).parameters}
    for name in options:
        if name not in known:
            raise TypeError(
                f"{name!r} is not an option of an embedded cluster; allowed are n_workers, "
                "threads_per_worker, processes, and those of distributed's LocalCluster and Worker"
            )


def attach(cluster: Any, security: Any = None) -> Connection:
    """Attach to a Client, a scheduler's address or file, or any Dask cluster object."""
    silence_interrupts()
    if isinstance(cluster, Client):
        if security is not None:
            raise ValueError("security given together with a Client, which is connected already")
        _require_synchronous(cluster)
        if cluster.status != "running":
            raise RuntimeError(f"cluster is a Client that is {cluster.status}: {_NOT_RUNNING}")
        return Connection(cluster, owned=())
    timeout = _config.seconds("connect-timeout")
    security = security_of(security, embedded=False)
    if is_scheduler_file(cluster):
        cluster = address_in_file(cluster, timeout)
    if not isinstance(cluster, str) and not hasattr(cluster, "scheduler_address"):
        raise TypeError(
            f"cluster={cluster!r} is a {type(cluster).__name__}; allowed are None (an embedded "
            "cluster), a scheduler's address such as 'tcp://127.0.0.1:8786' or its file such as "
            "'scheduler.json', a Dask cluster object, or a distributed.Client"
        )
    if getattr(cluster, "asynchronous", False):
        raise TypeError(_asynchronous("cluster"))
    where = cluster if isinstance(cluster, str) else cluster.scheduler_address
    if isinstance(cluster, str):
        require_certificates(cluster, security)
    try:
        client = _connect(cluster, timeout=timeout, security=security)
    except (OSError, TimeoutError, AssertionError) as error:
        certificates = " has the certificates of security= and" if "tls://" in where else ""
        raise TimeoutError(
            f"no scheduler answered at {where!r} within {timeout:g} s; check the address and that "
            f"the scheduler{certificates} runs (the limit is dask config "
            "'daskml-exec.connect-timeout')"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"cluster={where!r} is not a scheduler's address ({error}); allowed is a form such as "
            "'tcp://127.0.0.1:8786' or 'tls://host:8786', or a scheduler's file"
        ) from error
    return Connection(client, owned=(client,))


def _connect(cluster: Any, **options: Any) -> Client:
    """Return a connected Client, or close what there is of it and raise."""
    # A Client that does not reach its scheduler raises in its constructor, and stays the process's
    # default Client until it is closed: hold it before it is constructed.
    client = Client.__new__(Client)
    _remember_scheduler_setting()
    try:
        client.__init__(cluster, **options)  # type: ignore[misc]
    except BaseException:
        client.close()
        _restore_scheduler_setting()
        raise
    send_soon(client)
    return client


_DEFAULT_CLIENT = "dask.distributed"
_setting_without_clients: Any = None
"""What Dask's configuration had for ``scheduler`` while no Client was the process's default."""


def _has_default_client() -> bool:
    try:
        Client.current()
    except ValueError:
        return False
    return True


def _remember_scheduler_setting() -> None:
    global _setting_without_clients
    if not _has_default_client():
        setting = dask.config.get("scheduler", None)
        _setting_without_clients = None if setting == _DEFAULT_CLIENT else setting


def _restore_scheduler_setting() -> None:
    """Let Dask compute without a Client once the last one is closed.

    Each default Client notes what the setting was before it, and the last one to close restores
    what it noted. Unless that is the one that was opened first, the setting goes on to ask for a
    Client where there is none, and whatever is computed later raises.
    """
    setting = dask.config.get("scheduler", None)
    if setting == _DEFAULT_CLIENT and not _has_default_client():
        dask.config.set(scheduler=_setting_without_clients)


def scheduler_address(client: Client) -> str:
    """Return the address that the client is connected to."""
    return str(client.scheduler.address)  # type: ignore[union-attr]


def _require_synchronous(client: Client) -> None:
    if client.asynchronous:
        raise TypeError(_asynchronous("Client"))


def _asynchronous(what: str) -> str:
    return (
        f"the {what} is asynchronous, and an Executor blocks. Give the address instead: "
        "Executor(client.scheduler.address) opens a synchronous Client of its own, and "
        "loop.run_in_executor keeps the event loop free meanwhile"
    )
