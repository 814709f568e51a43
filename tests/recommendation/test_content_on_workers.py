"""Content-based recommendations from what Workers hold are those from memory, bit for bit."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from daskml_exec import Executor
from daskml_exec.recommendation import ContentRecommender, _user_models
from tests.recommendation.content_examples import (
    FEATURES,
    ITEMS,
    MATRIX,
    N_ITEMS,
    N_USERS,
    OLD,
    RATINGS,
    SHUFFLED,
    USERS,
)

KINDS = {"stacked": 10**6, "compiled": 1}


@pytest.fixture(scope="module")
def in_memory():
    """Models that are fitted before there is a cluster."""
    found = {}
    for kind, few in KINDS.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_user_models, "_FEW", few)
            for loss in ("squared", "log"):
                found[kind, loss] = ContentRecommender(loss, n_blocks=1).fit(RATINGS, FEATURES)
    return found


@pytest.fixture(scope="module")
def executor(in_memory):
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


INTERACTIONS = {
    "frame": lambda: SHUFFLED,
    "columns": lambda: tuple(SHUFFLED[name].to_numpy() for name in ("user", "item", "rating")),
    "dask": lambda: dd.from_pandas(SHUFFLED, npartitions=5, sort=False),
}


@pytest.mark.parametrize("loss", ["squared", "log"])
@pytest.mark.parametrize("kind", INTERACTIONS)
@pytest.mark.parametrize("way", KINDS)
def test_any_input_gives_the_same_bits(way, kind, loss, executor, in_memory, monkeypatch):
    monkeypatch.setattr(_user_models, "_FEW", KINDS[way])
    expected = in_memory[way, loss]
    for n_blocks in (None, 2):
        found = ContentRecommender(loss, n_blocks=n_blocks).fit(INTERACTIONS[kind](), FEATURES)
        assert_array_equal(found.users_, expected.users_)
        assert_array_equal(found.items_, ITEMS)
        assert_array_equal(found.dual_coef_.indices, expected.dual_coef_.indices)
        assert_array_equal(found.dual_coef_.indptr, expected.dual_coef_.indptr)
        assert_array_equal(found.dual_coef_.data, expected.dual_coef_.data)
        assert_array_equal(found.intercept_, expected.intercept_)


@pytest.mark.parametrize("sparse", [False, True])
def test_matrices_have_numbers_as_ids(sparse, executor):
    features = OLD.to_numpy()
    expected = ContentRecommender().fit(RATINGS, OLD)
    features = sp.csr_matrix(features) if sparse else features
    chunks = da.from_array(MATRIX, chunks=(20, N_ITEMS))
    for given in (MATRIX, sp.coo_matrix(MATRIX), chunks):
        found = ContentRecommender().fit(given, features)
        assert_array_equal(found.users_, np.arange(N_USERS))
        assert_array_equal(found.items_, np.arange(N_ITEMS))
        assert sp.issparse(found.item_features_) == sparse
        # Sparse features are centred in the products, dense ones before.
        assert_allclose(found.dual_coef_.data, expected.dual_coef_.data, rtol=1e-9, atol=1e-11)
        assert_allclose(found.intercept_, expected.intercept_, rtol=1e-9)


def test_callbacks_hear_of_the_one_pass(executor, capsys):
    events = []
    model = ContentRecommender(callbacks=[events.append], verbose=1)
    model.fit(dd.from_pandas(RATINGS, npartitions=2), FEATURES)
    assert "90 users x 40 items, 990 interactions in" in capsys.readouterr().out
    (event,) = events
    pd.testing.assert_frame_equal(event.estimator.recommend(USERS), model.recommend(USERS))
    assert event.record == model.history_[0]
    assert str(event.reached) == "iteration 1 of 1"


def test_pairs_on_workers(executor):
    pairs = dd.from_pandas(SHUFFLED, npartitions=3, sort=False)
    for loss in ("squared", "log"):
        each = ContentRecommender(loss).fit(RATINGS, FEATURES)
        assert_array_equal(each.predict(pairs).compute(), each.predict(SHUFFLED))
        assert each.score(pairs) == each.score(SHUFFLED)
