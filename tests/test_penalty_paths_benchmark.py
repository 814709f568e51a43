"""The comparison of paths of penalties runs at a small size."""

import importlib

import pytest

from tests.test_benchmarks import ASV_BENCH


@pytest.mark.slow
def test_paths_are_compared(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ASV_BENCH)
    main = importlib.import_module("penalty_paths").main
    main(["--shapes", "400x5", "--pairs", "1"])
    shown = capsys.readouterr().out
    for words in ("times one fit", "1 moments", "51 fits", "newton-cholesky", "from separate fits"):
        assert words in shown
    main(["--shapes", "400x5", "--pairs", "1", "--kernel"])
    assert "of the pass" in capsys.readouterr().out
