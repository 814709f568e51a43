import io
import sys

from daskml_exec.training import Reached, RoundEvent, RoundRecord

# Not the installed script: it need not be on the path of whoever runs the tests.
COMMAND = [sys.executable, "-m", "daskml_exec.cli"]

ROWS = "1 1:0.5 3:2\n0 2:1\n1 1:4 2:0.5\n0 2:3 3:1\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def error_line(out: str, err: str) -> str:
    """Return the message of a failure that says one line and nothing else of itself."""
    assert out == ""
    assert "Traceback" not in err
    [line] = [line for line in err.splitlines() if line.startswith("daskml-exec: ")]
    assert err.endswith(line + "\n")
    assert line.startswith("daskml-exec: error: ")
    return line.removeprefix("daskml-exec: error: ")


def record(
    number: int, loss: float | None = 0.5, lost: int = 0, gradient: float | None = 0.1
) -> RoundRecord:
    """`gradient` is in units of the loss."""
    return RoundRecord(
        round=number,
        step="moments" if loss is None else "gradient",
        loss=loss,
        gradient_norm=None if loss is None or gradient is None else loss * gradient,
        seconds=0.01,
        bytes_out=600,
        bytes_back=400,
        workers=2,
        busiest_seconds=0.005,
        workers_lost=lost,
        tasks_recomputed=3 * lost,
        retries=0,
    )


def event(
    number: int,
    loss: float | None = 0.5,
    lost: int = 0,
    gradient: float | None = 0.1,
    reached: Reached | None = None,
) -> RoundEvent:
    return RoundEvent(record(number, loss, lost, gradient), lambda: None, reached)
