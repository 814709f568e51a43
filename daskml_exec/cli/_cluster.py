"""The Executor that the options ask for."""

from daskml_exec.cli import _logs
from daskml_exec.cli._interrupts import interrupts_deferred
from daskml_exec.cli._options import TrainOptions
from daskml_exec.executor import Executor


def open_executor(options: TrainOptions) -> Executor:
    """Attach to the scheduler that was named, or start worker processes."""
    if options.scheduler is not None:
        return Executor(options.scheduler)
    with interrupts_deferred() as interrupts:
        executor = Executor(n_workers=options.workers, preload=_logs.__name__)
    if interrupts:
        executor.shutdown()
        raise KeyboardInterrupt
    return executor
