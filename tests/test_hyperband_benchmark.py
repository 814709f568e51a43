"""The comparison of searches runs at a tiny size."""

import importlib

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # networks that have not converged
def test_searches_are_compared(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ASV_BENCH)
    size = ["--rows", "600", "--max-epochs", "3", "--candidates", "3", "--synthetic"]
    sides = ["--sides", "halving", "hyperband", "whole", "sklearn"]
    importlib.import_module("hyperband").main([*size, *sides])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "500 rows, 100 held out, 3 epochs"
    assert [line.split(":")[0].strip() for line in told[1:]] == sides[1:]
    assert "    5 epochs" in told[1] and "    9 epochs" in told[3]
