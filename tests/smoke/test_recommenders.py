"""Recommenders, once each, in memory and on worker processes."""

import numpy as np
import pandas as pd
import pytest

from daskml_exec import Executor, open_model, save
from daskml_exec.recommendation import (
    AlternatingLeastSquares,
    ContentRecommender,
    ranking_scores,
    split_interactions,
)
from tests.estimator_kit import collection

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(0)
    pairs = {"user": rng.integers(0, 60, 900), "item": rng.integers(0, 40, 900)}
    frame = pd.DataFrame(pairs).drop_duplicates()
    frame["user"] = "u" + frame["user"].astype(str)
    return frame.assign(rating=rng.integers(1, 6, len(frame)).astype(float))


def test_factors_in_memory_and_on_workers(plays, tmp_path):
    als = AlternatingLeastSquares(4, max_iter=3, tol=0, random_state=0)
    here = als.fit(plays)
    train, test = split_interactions(plays, random_state=0)
    assert 0 < ranking_scores(here, train, test, k=5).ndcg <= 1
    wanted, bits = here.recommend(n=3).compute(), here.user_factors_.tobytes()
    with Executor(n_workers=2):
        there = als.fit(collection(plays))
        assert there.user_factors_.tobytes() == bits
        assert there.recommend(n=3).compute()["item"].tolist() == wanted["item"].tolist()
    save(there, tmp_path / "model")
    assert open_model(tmp_path / "model").recommend(["u3"], 2)["item"].is_unique


def test_models_on_features(plays):
    features = np.random.default_rng(1).normal(size=(plays["item"].nunique(), 6))
    model = ContentRecommender(alpha=0.5).fit(plays, features)
    assert len(model.recommend(["u1", "u2"], 3)) == 6
    assert np.isfinite(model.predict(plays)).all()
