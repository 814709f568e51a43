import io

from daskml_exec.cli._progress import ProgressBar, progress_on
from daskml_exec.training import Reached, RoundLines
from tests.cli.toolbox import Terminal, event
from tests.training.toolbox import OPENING, fitting


def test_a_stream_that_is_no_terminal_gets_lines():
    log = io.StringIO()
    with fitting(progress_on(log)) as progress:
        assert isinstance(progress, RoundLines)
        assert log.getvalue() == f"{OPENING}\n"
        progress(event(0, loss=0.25))
        progress(event(1, loss=0.125))
    _, first, last = log.getvalue().splitlines()
    assert first == "round    0  gradient  loss 0.25000000  gradient 2.50e-02  10.0 ms"
    assert last.startswith("round    1  ")


def test_the_bar_shows_loss_and_gradient():
    terminal = Terminal()
    with fitting(progress_on(terminal)) as progress:
        assert isinstance(progress, ProgressBar)
        progress(event(0, loss=None))
        progress(event(1, loss=0.25, lost=1))
    shown = terminal.getvalue()
    assert "training: 2 rounds [" in shown
    assert "loss=0.250000, gradient=2.5e-02" in shown
    assert "round    1  workers lost: 1, tasks run again: 3\n" in shown
    assert shown.endswith("\n")


def test_a_round_without_a_gradient():
    terminal = Terminal()
    with fitting(progress_on(terminal)) as progress:
        progress(event(0, loss=0.25, gradient=None))
    assert "loss=0.250000]" in terminal.getvalue()


def test_the_bar_counts_epochs_where_their_number_is_known():
    terminal = Terminal()
    with fitting(progress_on(terminal)) as progress:
        progress(event(0, reached=Reached("epoch", 0.75, 4)))
        progress(event(1, reached=Reached("epoch", 1.5, 4)))
    assert "1.5/4 [" in terminal.getvalue()
