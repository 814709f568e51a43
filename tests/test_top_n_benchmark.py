"""The comparison of lists of best items runs at a small size."""

import importlib

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the peer's, of threads of BLAS
def test_lists_are_compared(monkeypatch, capsys):
    pytest.importorskip("implicit", reason="implicit is not installed")
    monkeypatch.syspath_prepend(ASV_BENCH)
    importlib.import_module("top_n").main(["--quick"])
    shown = capsys.readouterr().out
    assert "two threads" in shown and "one by one" in shown and "without Numba" in shown
