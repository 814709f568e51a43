import io

import pytest

from daskml_exec.cli._progress import ProgressBar, ProgressLines, progress_on
from tests.cli.toolbox import Terminal, event


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_lines_come_first_last_and_at_intervals(clock):
    log = io.StringIO()
    with ProgressLines(log, interval=2.0, clock=clock) as progress:
        for number in range(10):
            progress(event(number, loss=None if number == 0 else 1 / number))
            clock.now += 0.7
    assert log.getvalue().splitlines() == [
        "round     0  moments  0.0 s",
        "round     3  loss 0.333333  gradient 3.3e-02  2.1 s",
        "round     6  loss 0.166667  gradient 1.7e-02  4.2 s",
        "round     9  loss 0.111111  gradient 1.1e-02  6.3 s",
    ]


def test_the_last_round_is_told_where_the_interval_is_not_over(clock):
    log = io.StringIO()
    with ProgressLines(log, clock=clock) as progress:
        for number in range(3):
            progress(event(number))
    assert [line.split()[1] for line in log.getvalue().splitlines()] == ["0", "2"]


def test_the_last_round_before_a_failure_is_told(clock):
    log = io.StringIO()
    with pytest.raises(KeyboardInterrupt), ProgressLines(log, clock=clock) as progress:
        progress(event(0))
        progress(event(1))
        raise KeyboardInterrupt
    assert log.getvalue().splitlines()[-1].startswith("round     1  ")


def test_no_round_no_line(clock):
    log = io.StringIO()
    with ProgressLines(log, clock=clock):
        pass
    assert log.getvalue() == ""


def test_a_lost_worker_is_told_at_once(clock):
    log = io.StringIO()
    with ProgressLines(log, clock=clock) as progress:
        progress(event(0))
        progress(event(1, lost=1))
        assert log.getvalue().splitlines()[1:] == [
            "round     1  workers lost: 1, tasks run again: 3"
        ]


def test_the_bar_shows_loss_and_gradient():
    terminal = Terminal()
    with progress_on(terminal) as progress:
        assert isinstance(progress, ProgressBar)
        progress(event(0, loss=None))
        progress(event(1, loss=0.25, lost=1))
    shown = terminal.getvalue()
    assert "training: 2 rounds [" in shown
    assert "loss=0.250000, gradient=2.5e-02" in shown
    assert "round     1  workers lost: 1, tasks run again: 3\n" in shown
    assert shown.endswith("\n")


def test_a_round_without_a_gradient(clock):
    log, terminal = io.StringIO(), Terminal()
    with ProgressLines(log, clock=clock) as progress:
        progress(event(0, loss=0.25, gradient=None))
    assert log.getvalue() == "round     0  loss 0.250000  0.0 s\n"
    with progress_on(terminal) as progress:
        progress(event(0, loss=0.25, gradient=None))
    assert "loss=0.250000]" in terminal.getvalue()


def test_a_stream_that_is_no_terminal_gets_lines():
    assert isinstance(progress_on(io.StringIO()), ProgressLines)
