"""The comparison of models of users runs at a small size."""

import importlib

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
def test_models_of_users_are_compared(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ASV_BENCH)
    importlib.import_module("content_models").main(["--quick"])
    shown = capsys.readouterr().out
    assert "log, 20,000 columns of words" in shown and "without Numba" in shown
