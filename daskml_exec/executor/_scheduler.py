"""A scheduler that is lost, and with it all that was on its cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client
from distributed.core import Status

from daskml_exec.executor._waiting import wait_for

# What a Client says of its futures when the connection breaks, also where it finds another
# scheduler at the address afterwards.
_CONNECTION_LOST = "scheduler-connection-lost"
_ANSWER_SECONDS = 5


class LostSchedulerError(ConnectionError):
    """The scheduler cannot be reached any more, and what was on its cluster is gone.

    Its process has ended, somebody has closed it, or the network to it is cut. The former two are
    noticed at once; a cut after the time that Dask gives a silent connection (dask config
    ``distributed.comm.timeouts.tcp``).

    Parameters
    ----------
    message : str
        What was lost, and how that was noticed.

    Attributes
    ----------
    state : object or None
        What the algorithm knew after the last round that was answered. None before the first, and
        where no fit was running.
    model : estimator or None
        An estimator like the one that was being fitted, with the parameters of that state: a
        linear model's coefficients, a network's weights. It predicts, and with
        ``warm_start=True`` its `fit` goes on from there, on another cluster. Where weights live
        on the workers (``parallel="model"`` and ``"hybrid"`` of networks), they are those of the
        last moment at which they came to the driver, about every ``daskml-exec.commit-interval``
        (dask config).
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.state: Any = None
        self._model: Callable[[], Any] | None = None

    @property
    def model(self) -> Any:
        """An estimator with the parameters of `state`, if there is one."""
        return None if self._model is None else self._model()

    def keep(self, state: Any, model: Callable[[], Any] | None) -> None:
        """Carry a state, and what makes an estimator of it, unless there is one already.

        Parameters
        ----------
        state : object
            What the algorithm knows.
        model : callable or None
            Makes the estimator.
        """
        if self.state is None:
            self.state, self._model = state, model


def require_scheduler(client: Client, work: str) -> None:
    """Raise LostSchedulerError if the connection is known to be broken."""
    if client.status != "running":
        raise _lost(client, work)


@contextmanager
def scheduler_needed(client: Client, work: str) -> Iterator[None]:
    """Raise LostSchedulerError for whatever fails in the block because the scheduler is lost.

    Much fails with it, and in many ways: calls are refused, futures cancelled, loops closed.
    """
    try:
        yield
    except LostSchedulerError:
        raise
    except Exception as error:
        if client.status == "running" and not _breaks(client, error):
            raise
        raise _lost(client, work) from error


def lost_scheduler(client: Client, error: BaseException, work: str) -> LostSchedulerError | None:
    """Return the error to raise for a cancellation, if it came with the scheduler's end."""
    return _lost(client, work) if _CONNECTION_LOST in str(error) else None


def _breaks(client: Client, error: Exception) -> bool:
    """Whether an error says that the connection of a Client that has one again was broken."""
    if _CONNECTION_LOST in str(error):
        return True
    if not isinstance(error, OSError) or isinstance(error, TimeoutError):
        return False  # not of a connection, or of a wait that was to end
    # The call may have met the break before the Client's own stream has.
    try:
        wait_for(client, _asked, client)
    except Exception:
        return True
    return False


async def _asked(client: Client) -> None:
    """Return when the scheduler has answered, if it does within seconds."""
    assert client.scheduler is not None
    await asyncio.wait_for(client.scheduler.identity(), _ANSWER_SECONDS)


def _lost(client: Client, work: str) -> LostSchedulerError:
    cluster = client.cluster
    if cluster is not None and cluster.status in (Status.closing, Status.closed):
        why = f"the cluster {getattr(cluster, 'name', '')!s} was closed"
    elif client.status in ("closing", "closed") and client.scheduler is None:
        why = "the Client was closed, or gave up to reach the scheduler"
    else:
        where = getattr(client.scheduler, "address", "its address")
        why = f"the connection to {where} broke: it has ended, or the network to it is cut"
    return LostSchedulerError(
        f"{work}: the scheduler is lost ({why}), and with it what was on the cluster. Open another "
        "Executor; the error's `model` is where the fit had come to, if it had begun"
    )
