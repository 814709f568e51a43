"""The comparison of metrics runs at a small size."""

import importlib

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
def test_metrics_are_compared(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ASV_BENCH)
    main = importlib.import_module("score_metrics").main
    main(["--rows", "2000", "--partitions", "3", "--pairs", "1"])
    shown = capsys.readouterr().out
    assert "2,000 rows in 3 partitions" in shown and "roc_auc: " in shown and "all: " in shown
