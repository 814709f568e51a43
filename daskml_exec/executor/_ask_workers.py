"""Ask workers for something that has nothing to do with tasks."""

from collections.abc import Callable, Iterable
from typing import Any

from distributed import Client


def ask_workers(
    client: Client, workers: Iterable[str], function: Callable[..., Any], *given: Any
) -> dict[str, Any]:
    """Return what a function returns on each worker, by address, or the exception that it raised.

    Workers that go away meanwhile are left out.
    """
    found = client.run(function, *given, workers=list(workers), on_error="return")
    return {who: what for who, what in found.items() if not isinstance(what, OSError)}
