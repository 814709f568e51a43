"""The comparison of regressions that choose their penalty runs at a small size."""

import importlib

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
def test_regressions_are_compared(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ASV_BENCH)
    main = importlib.import_module("regression_paths").main
    main(["--shapes", "200x5", "--pairs", "1"])
    shown = capsys.readouterr().out
    for words in ("ElasticNetCV", "LassoCV", "RidgeCV-one-out", "errors held out", "2 threads"):
        assert words in shown
