"""The names that peers, the scheduler and the driver give to one another's work."""

import re
from dataclasses import dataclass

PLUGIN = "daskml-exec-peers"
"""Of the plugins, on the scheduler and on every worker, and of the events for drivers."""
# Handlers of a worker.
DELIVER = "daskml_exec_deliver"
"""Files what a peer has sent."""
ANNOUNCE = "daskml_exec_announce"
"""The scheduler names the members of a generation, and the token that their messages have."""
ENDED = "daskml-exec-ended"
"""Stream handler of a worker: the scheduler says which generations have ended."""
# Handlers of the scheduler.
REGISTER = "daskml_exec_register"
STANDING = "daskml_exec_standing"
STATES = "daskml_exec_states"
"""What the members do, asked of the scheduler by the driver; of a worker by the scheduler."""
ADMIT = "daskml_exec_admit"
LEAVE = "daskml_exec_leave"
OPEN = "daskml_exec_open_generation"
INTERRUPT = "daskml_exec_interrupt"
CLOSE = "daskml_exec_close_run"
CLOSED = 2**62
"""The generation that a closed run never reaches."""


_ID = re.compile("[0-9a-f]{32}")


def checked_id(run_id: str) -> str:
    """Return a run's id if it can be one: it comes from the wire, and must not name anything else.

    Raises
    ------
    ValueError
        It is not 32 hexadecimal digits.
    """
    if not isinstance(run_id, str) or not _ID.fullmatch(run_id):
        raise ValueError(f"run_id={run_id!r} is not the id of a run: 32 hexadecimal digits")
    return run_id


@dataclass(frozen=True)
class Run:
    """One fit's stay on the workers, from one loss of a worker to the next.

    Attributes
    ----------
    id : str
        Of the fit: 32 hexadecimal digits.
    generation : int
        Raised whenever the set of workers changes; what older ones still send is refused.
    """

    id: str
    generation: int
