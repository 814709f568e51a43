"""The link to Dask's dashboard, where there is something behind it."""

import importlib.util
import weakref

from distributed import Client

from daskml_exec.executor._connection import is_embedded, scheduler_address

_HAS_BOKEH = '__import__("importlib.util", fromlist=["util"]).find_spec("bokeh") is not None'
_known: "weakref.WeakKeyDictionary[Client, bool]" = weakref.WeakKeyDictionary()


def dashboard_link(client: Client) -> str | None:
    """Return the address of the scheduler's dashboard; None where it has no bokeh to draw it."""
    if client not in _known:
        here = is_embedded(client) or scheduler_address(client).startswith("inproc://")
        _known[client] = (
            importlib.util.find_spec("bokeh") is not None
            if here
            else bool(client.run_on_scheduler(eval, _HAS_BOKEH))
        )
    return (client.dashboard_link or None) if _known[client] else None
