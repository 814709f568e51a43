"""The comparison of vectorizers runs at a small size."""

import importlib

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # scikit-learn's solver has not converged
def test_documents_are_compared(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ASV_BENCH)
    importlib.import_module("text_documents").main(["--quick"])
    shown = capsys.readouterr().out
    assert "end to end" in shown and "accuracy" in shown and "64 partitions" in shown
