"""The comparison on MovieLens runs on a small file, and scores factors as the package does."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from daskml_exec.recommendation import (
    AlternatingLeastSquares,
    ranking_scores,
    split_interactions,
)
from tests.test_benchmarks import ASV_BENCH

pytest.importorskip("implicit", reason="implicit is not installed")
SAMPLE = Path(__file__).parents[1] / "tutorials" / "data" / "movielens_sample.txt"


@pytest.fixture
def ratings(tmp_path):
    path = tmp_path / "ratings.inter"
    lines = SAMPLE.read_text().replace("::", "\t")
    path.write_text(f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n{lines}")
    return str(path)


@pytest.fixture(autouse=True)
def movielens(monkeypatch):
    monkeypatch.syspath_prepend(ASV_BENCH)
    return importlib.import_module("movielens")


@pytest.mark.parametrize("feedback", ["explicit", "implicit"])
def test_factors_are_scored_as_the_package_scores(movielens, ratings, feedback):
    task = movielens.Task("", feedback, movielens.read(ratings), 1)
    train, test = split_interactions(task.rows, test_size=0.2, random_state=0)
    setting = {"factors": 4, "reg": 0.1, "alpha": 2.0, "seed": 0}
    (factors,) = movielens.ours(1.0)(task, train, [setting])
    model = AlternatingLeastSquares(
        4, feedback=feedback, alpha=2.0, reg=0.1, max_iter=15, tol=0.0, random_state=0
    ).fit(train)
    assert np.array_equal(model.item_factors_, factors.of_items)
    score = task.score(factors, train, test)
    if feedback == "explicit":
        assert score == pytest.approx(-model.score(test), rel=1e-6)
    else:
        assert score == pytest.approx(ranking_scores(model, train, test, 10).ndcg, rel=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the peer's, of threads of BLAS
def test_sides_are_compared(movielens, ratings, capsys):
    movielens.main(["--ratings", ratings, "--settings", "2", "--seeds", "1"])
    shown = capsys.readouterr().out
    assert "stars, RMSE" in shown and "likes, NDCG@10  implicit" in shown
