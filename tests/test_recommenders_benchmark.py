"""The comparison of recommenders runs at a small size."""

import importlib
import sys

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the peer's, of threads of BLAS
def test_recommenders_are_compared(monkeypatch, capsys):
    pytest.importorskip("implicit", reason="implicit is not installed")
    monkeypatch.syspath_prepend(ASV_BENCH)
    monkeypatch.setenv("DASKML_EXEC_BENCH_SCALE", "tiny")
    monkeypatch.setattr(sys, "argv", ["recommenders"])
    importlib.import_module("recommenders").main()
    shown = capsys.readouterr().out
    for line in ("exact / implicit CG, wall", "objective, ours", "memory of a Worker"):
        assert line in shown
