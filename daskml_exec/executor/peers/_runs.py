"""The names that peers, the scheduler and the driver give to one another's work."""

from dataclasses import dataclass

PLUGIN = "daskml-exec-peers"
"""Of the plugins, on the scheduler and on every worker, and of the events for drivers."""
DELIVER = "daskml_exec_deliver"
"""Handler of a worker: files what a peer has sent."""
NEWS = "daskml-exec-news"
"""Stream handler of a worker: the scheduler says which generations have ended."""
# Handlers of the scheduler.
ADMIT = "daskml_exec_admit"
LEAVE = "daskml_exec_leave"
OPEN = "daskml_exec_open_generation"
INTERRUPT = "daskml_exec_interrupt"
CLOSE = "daskml_exec_close_run"
CLOSED = 2**62
"""The generation that a closed run never reaches."""


@dataclass(frozen=True)
class Run:
    """One fit's stay on the workers, from one loss of a worker to the next.

    Attributes
    ----------
    id : str
        Of the fit.
    generation : int
        Raised whenever the set of workers changes; what older ones still send is refused.
    """

    id: str
    generation: int
