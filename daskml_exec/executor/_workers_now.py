"""Which workers the scheduler has, asked of the scheduler itself."""

from inspect import signature
from typing import Any

from distributed import Client, Scheduler

from daskml_exec.executor._waiting import wait_for

# Older ones tell of all workers always.
_OF_ALL = {"n_workers": -1} if "n_workers" in signature(Scheduler.identity).parameters else {}


def workers_now(client: Client) -> dict[str, dict[str, Any]]:
    """Return what the scheduler tells of each worker, by address.

    `Client.scheduler_info` reads the last answer that any of its questions had. The Client asks for
    another one by itself, every other second and without workers, so that this may come in between
    and a cluster seem to have none.

    Parameters
    ----------
    client : distributed.Client
        Where its scheduler cannot be asked, or does not answer, what it told last.
    """
    scheduler = client.scheduler if client.status in ("running", "connecting") else None
    if scheduler is not None and not client.asynchronous:
        try:
            return dict(wait_for(client, scheduler.identity, **_OF_ALL)["workers"])
        except OSError:
            pass
    return dict(client.scheduler_info(n_workers=-1)["workers"])
