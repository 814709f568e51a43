"""What stays in a worker's memory from one segment of a run to the next."""

import threading
from collections.abc import Mapping
from typing import Any

from daskml_exec.executor.peers._errors import PeersInterrupted
from daskml_exec.executor.peers._runs import Run


class Residents:
    """Per run, the units that live here, and how many segments they have been through."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Run, int, Mapping[int, Any]]] = {}

    def put(self, run: Run, position: int, units: Mapping[int, Any]) -> None:
        """Keep units; they replace those of earlier segments and generations."""
        with self._lock:
            self._held[run.id] = (run, position, units)

    def take(self, run: Run, position: int) -> Mapping[int, Any]:
        """Return the units, which are no longer held: what fails meanwhile leaves nothing behind.

        Raises
        ------
        PeersInterrupted
            They are not here, or not as they are after `position` segments.
        """
        with self._lock:
            held = self._held.pop(run.id, None)
        if held is None or held[:2] != (run, position):
            found = "none" if held is None else f"those of {held[0]} after {held[1]} segments"
            raise PeersInterrupted(
                f"blocks of {run} after {position} segments were expected here; there are {found}"
            )
        return held[2]

    def drop_before(self, run_id: str, generation: int) -> None:
        """Forget what generations below this one have left."""
        with self._lock:
            held = self._held.get(run_id)
            if held is not None and held[0].generation < generation:
                del self._held[run_id]

    def __len__(self) -> int:
        """Return the number of runs that have something here."""
        with self._lock:
            return len(self._held)
