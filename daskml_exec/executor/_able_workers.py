"""Which workers may have work now: those that are like the driver, and are not paused."""

import logging
import threading
import weakref
from collections.abc import Collection, Mapping
from typing import Any

from distributed import Client

from daskml_exec.executor._handshake import unfit_newcomers

logger = logging.getLogger(__name__)


def able_workers(
    client: Client, workers: Mapping[str, Mapping[str, Any]], needed: Collection[str] = ()
) -> list[str]:
    """Return the addresses of the workers that work may be given to, sorted.

    One that is paused, because its memory is nearly full, is passed over, which the log says once;
    where there is no other, or it has what is needed, it is waited for. One that joined and is not
    like the driver is left out, with a warning.

    Parameters
    ----------
    client : Client
    workers : mapping of str to mapping
        What the scheduler says of each, by address.
    needed : collection of str
        Addresses of workers that have what the work is done on.
    """
    fit = sorted(workers.keys() - unfit_newcomers(client, workers))
    paused = {address for address in fit if workers[address].get("status") == "paused"}
    able = [address for address in fit if address not in paused or address in needed]
    passed_over = paused.difference(able) if able else set()
    _say(client, passed_over)
    return able or fit


def _say(client: Client, passed_over: set[str]) -> None:
    with _saying:
        said = _said.setdefault(client, set())
        new = passed_over - said
        said.clear()
        said.update(passed_over)
    for address in sorted(new):
        logger.warning(
            "the worker %s is passed over while it is paused, because its memory is nearly full",
            address,
        )


_said: "weakref.WeakKeyDictionary[Client, set[str]]" = weakref.WeakKeyDictionary()
_saying = threading.Lock()
