"""End running tasks that were cancelled.

Dask drops the result of a task that is cancelled while it runs, and lets it run to its end: the
next work waits for a thread until then. The worker knows of the cancellation as soon as the
scheduler does, however it came about: an interrupted fit, a cancelled future, a Client that has
gone. So a task need only look, which kernels do at their stop points.
"""

from distributed import Reschedule, get_worker

from daskml_exec.executor._driver_threads import end_if_abandoned
from daskml_exec.kernels.stop_points import look_with


class NotWanted(Reschedule):
    """Nobody waits for this task any more: it is to end, so whoever catches errors lets this by."""


def end_if_cancelled() -> None:
    """In a task or thread that nobody waits for any more, raise; otherwise do nothing."""
    end_if_abandoned()
    try:
        worker = get_worker()
        task = worker.state.tasks.get(worker.get_current_task())
    except (ValueError, KeyError):
        return  # this thread does not run a task
    if task is not None and task.state == "cancelled":
        # Nobody hears of it, and no log does. Should the task be wanted again at this very moment,
        # it begins again.
        raise NotWanted


look_with(end_if_cancelled)
