"""The script that presses a notebook's stop button still runs, and the next fit works."""

import importlib
import os

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs process groups")
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
def test_the_stop_button_of_a_notebook(monkeypatch, capsys):
    pytest.importorskip("jupyter_client")
    monkeypatch.syspath_prepend(ASV_BENCH)
    importlib.import_module("interrupts").main(["linear, a grid", "network"])
    titles, *lines, closed = capsys.readouterr().out.splitlines()
    assert titles.startswith("fit") and closed.startswith("closed")
    assert len(lines) == 2, "nothing came from the cluster into the cells"
    assert all("KeyboardInterrupt" in line for line in lines)
