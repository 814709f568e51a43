"""AlternatingLeastSquares against dense normal equations, in memory."""

import warnings

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from daskml_exec import open_model, save
from daskml_exec.recommendation import AlternatingLeastSquares, _half_steps
from tests.recommendation.oracle import objective, random_ratings, solved


def als(**settings):
    given = {"n_factors": 5, "random_state": 0, "tol": 0, "max_iter": 3, "dtype": "float64"}
    return AlternatingLeastSquares(**{**given, **settings})


def triples(R):
    R = R.tocoo()
    return pd.DataFrame({"user": R.row, "item": R.col, "rating": R.data})


@pytest.fixture(scope="module")
def plays():
    return random_ratings(np.random.default_rng(0), 60, 40, 0.15)


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
@pytest.mark.parametrize("exponent", [0, 0.5, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_last_half_step_and_the_objective_are_those_of_dense_equations(
    feedback, exponent, dtype
):
    R = random_ratings(np.random.default_rng(1), 50, 30, 0.2, negative=feedback == "implicit")
    model = als(feedback=feedback, reg_exponent=exponent, reg=0.3, dtype=dtype, alpha=2.0).fit(R)
    dense, observed = R.toarray(), R.toarray() != 0
    expected = solved(dense.T, observed.T, model.user_factors_.astype(float), model)
    scale = np.abs(expected).max()
    eps = 1e-5 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(model.item_factors_, expected, rtol=0, atol=eps * scale)
    assert model.item_factors_.dtype == dtype
    found = objective(dense, observed, model.user_factors_, model.item_factors_, model)
    np.testing.assert_allclose(model.objective_, found, rtol=1e-5 if dtype == "float32" else 1e-10)


def test_the_objective_never_rises(plays):
    losses = [record.loss for record in als(max_iter=8).fit(plays).history_]
    assert len(losses) == 16 and (np.diff(losses) <= 1e-9 * losses[0]).all()
    assert [record.step for record in als(max_iter=1).fit(plays).history_] == ["users", "items"]


def test_conjugate_gradients_come_to_the_same_objective(plays):
    exact, cg = als(max_iter=60).fit(plays), als(max_iter=60, solver="cg").fit(plays)
    assert cg.objective_ == pytest.approx(exact.objective_, rel=0.02)
    losses = [record.loss for record in cg.history_]
    assert losses[-1] < losses[3]


def test_nonnegative_factors_meet_the_conditions(plays):
    model = als(nonnegative=True, max_iter=4).fit(plays)
    X, Y = model.user_factors_, model.item_factors_
    assert X.min() >= 0 and Y.min() >= 0
    dense, observed = plays.toarray(), plays.toarray() != 0
    C = np.where(observed, 1 + dense, 1.0)
    P = observed.astype(float)
    penalty = 0.1 * observed.sum(axis=0)
    for item in range(len(Y)):
        gradient = X.T @ (C[:, item] * (X @ Y[item] - P[:, item])) + penalty[item] * Y[item]
        b = np.abs(X.T @ (C[:, item] * P[:, item])).max()
        assert gradient.min() >= -1e-5 * max(b, 1)
        assert np.abs(gradient * Y[item]).max() <= 1e-5 * max(b, 1)


@given(seed=st.integers(0, 1000), n_blocks=st.integers(1, 6), k=st.integers(1, 9))
def test_blocks_change_no_bit(seed, n_blocks, k):
    R = random_ratings(np.random.default_rng(seed), 150, 90, 0.05)
    if not R.nnz:
        return
    one = als(n_factors=k, n_blocks=1, max_iter=2).fit(R)
    other = als(n_factors=k, n_blocks=n_blocks, max_iter=2).fit(R)
    assert one.user_factors_.tobytes() == other.user_factors_.tobytes()
    assert one.item_factors_.tobytes() == other.item_factors_.tobytes()
    assert one.objective_ == other.objective_


def test_compiled_loops_find_what_stacked_rows_find(plays, monkeypatch):
    wanted = als().fit(plays)
    monkeypatch.setattr(_half_steps, "_FEW", 0)
    found = als().fit(plays)
    np.testing.assert_allclose(found.user_factors_, wanted.user_factors_, rtol=1e-8, atol=1e-10)
    assert found.objective_ == pytest.approx(wanted.objective_, rel=1e-12)


def test_ways_to_hold_the_same_interactions(plays):
    frame = triples(plays)
    wanted = als().fit(frame)
    shuffled = frame.sample(frac=1, random_state=0)
    polars = pytest.importorskip("polars").from_pandas(frame)
    columns = tuple(frame[name].to_numpy() for name in ("user", "item", "rating"))
    renamed = frame.rename(columns={"user": "who", "item": "what", "rating": "stars"})
    for found in (
        als().fit(shuffled),
        als().fit(polars),
        als().fit(columns),
        als(user="who", item="what", rating="stars").fit(renamed),
    ):
        assert found.user_factors_.tobytes() == wanted.user_factors_.tobytes()


@pytest.mark.parametrize(
    "ids",
    [
        lambda codes: codes.astype(np.int64) + 2**40,
        lambda codes: np.array([f"id-{code:04}" for code in codes], dtype=object),
        lambda codes: pd.Categorical.from_codes(codes, [f"c{i:03}" for i in range(100)]),
        lambda codes: pd.array(codes, dtype="Int64"),
        lambda codes: pd.array([f"s{code:03}" for code in codes], dtype="string"),
        lambda codes: codes.astype(float),
    ],
    ids=["large", "texts", "categories", "nullable", "strings", "floats"],
)
def test_ids_of_any_kind(plays, ids):
    frame = triples(plays)
    wanted = als().fit(frame)
    found = als().fit(
        frame.assign(user=ids(frame.user.to_numpy()), item=ids(frame.item.to_numpy()))
    )
    assert found.item_factors_.tobytes() == wanted.item_factors_.tobytes()
    assert len(found.users_) == frame.user.nunique()
    assert sorted(found.users_.tolist()) == found.users_.tolist()


def test_a_dask_dataframe_opens_the_cluster_of_this_process(plays):
    frame = triples(plays)
    found = als().fit(dd.from_pandas(frame, npartitions=3))
    assert found.user_factors_.tobytes() == als().fit(frame).user_factors_.tobytes()


def test_rows_of_a_matrix_without_entries_have_zeros():
    R = sp.csr_matrix(np.array([[1.0, 0, 2], [0, 0, 0], [1, 0, 0]]))
    model = als().fit(R)
    assert len(model.users_) == 3 and len(model.items_) == 3
    assert not model.user_factors_[1].any() and not model.item_factors_[1].any()


def test_pairs_without_ratings_are_ones(plays):
    frame = triples(plays).assign(rating=1.0)
    wanted = als().fit(frame)
    for found in (
        als(rating=None).fit(frame[["user", "item"]]),
        als().fit((frame.user.to_numpy(), frame.item.to_numpy())),
    ):
        assert found.user_factors_.tobytes() == wanted.user_factors_.tobytes()


def test_duplicates():
    frame = pd.DataFrame({"user": [0, 0, 1, 0], "item": [0, 0, 1, 0], "rating": [1.0, 2, 1, 3]})
    kept = {}
    for how in ("sum", "mean", "last"):
        seen = als(duplicates=how).fit(frame)._seen
        kept[how] = seen.values.tolist()
    assert kept == {"sum": [6, 1], "mean": [2, 1], "last": [3, 1]}
    with pytest.raises(ValueError, match=r"2 rows .* user 0 and item 0; .*'mean' and 'last'"):
        als(feedback="explicit").fit(frame)
    assert als(feedback="explicit", duplicates="last").fit(frame)._seen.values.tolist() == [3, 1]


@pytest.mark.parametrize("form", ["coo", "csr", "csc"])
def test_duplicates_of_matrices(form):
    entries = ([1.0, 4, 3], ([0, 0, 1], [1, 1, 0]))
    R = sp.coo_array(entries, shape=(2, 2))
    if form != "coo":  # SciPy's conversion would add them
        indptr = np.array([0, 2, 3]) if form == "csr" else np.array([0, 1, 3])
        indices = np.array([1, 1, 0]) if form == "csr" else np.array([1, 0, 0])
        data = np.array([1.0, 4, 3]) if form == "csr" else np.array([3.0, 1, 4])
        R = getattr(sp, f"{form}_array")((data, indices, indptr), shape=(2, 2))
    assert als(duplicates="last").fit(R)._seen.values.tolist() == [4, 3]
    assert als(duplicates="mean").fit(R)._seen.values.tolist() == [2.5, 3]
    with pytest.raises(ValueError, match="of user 0 and item 1"):
        als(feedback="explicit").fit(R)


def test_zeros_are_kept_with_explicit_feedback_and_left_out_with_implicit(plays):
    frame = triples(plays)
    item = next(i for i in frame.item.unique() if i not in set(frame.item[frame.user == 1]))
    more = pd.concat([frame, pd.DataFrame({"user": [1], "item": [item], "rating": [0.0]})])
    with pytest.warns(UserWarning, match="1 rows of interactions have a rating of zero"):
        found = als().fit(more)
    assert found.user_factors_.tobytes() == als().fit(frame).user_factors_.tobytes()
    explicit = als(feedback="explicit").fit(more)
    assert len(explicit._seen.columns) == len(frame) + 1


def test_convergence(plays):
    with pytest.warns(ConvergenceWarning, match=r"max_iter=2 .* tol=1.0e-04"):
        als(max_iter=2, tol=1e-4).fit(plays)
    model = als(max_iter=200, tol=1e-3).fit(plays)
    assert 1 < model.n_iter_ < 200


def test_a_callback_stops_and_sees_an_estimator(plays):
    seen = []

    def listen(event):
        seen.append(event.estimator.predict((np.array([0]), np.array([0])))[0])
        return len(seen) == 3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = als(max_iter=9, callbacks=[listen]).fit(triples(plays))
    assert len(model.history_) == 3 and model.n_iter_ == 1


def test_warm_start_goes_on(plays):
    straight = als(max_iter=6).fit(plays)
    model = als(max_iter=3, warm_start=True).fit(plays).fit(plays)
    np.testing.assert_allclose(model.user_factors_, straight.user_factors_, rtol=1e-9, atol=1e-12)


def test_saved_and_opened(plays, tmp_path):
    frame = triples(plays).astype({"user": str, "item": str})
    model = als().fit(frame)
    save(model, tmp_path / "model")
    again = open_model(tmp_path / "model")
    users = model.users_[:4]
    pd.testing.assert_frame_equal(again.recommend(users, 5), model.recommend(users, 5))
    assert again.users_.tolist() == model.users_.tolist()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_factors": 0}, ValueError, "n_factors"),
        ({"reg": -1}, ValueError, "reg"),
        ({"reg": float("nan")}, ValueError, "reg"),
        ({"alpha": 0}, ValueError, "alpha"),
        ({"alpha": float("nan")}, ValueError, "alpha"),
        ({"nonnegative": True, "solver": "cg"}, ValueError, "nonnegative=True with solver='cg'"),
        ({"n_factors": True}, ValueError, "n_factors=True"),
        ({"item": "score"}, ValueError, "item='score'"),
        ({"user": "item"}, ValueError, "allowed are different names"),
        ({"dtype": "float16"}, ValueError, "dtype"),
        ({"feedback": "stars"}, ValueError, "feedback"),
    ],
)
def test_arguments_that_are_refused(plays, change, error, message):
    with pytest.raises(error, match=message):
        als(**change).fit(plays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rating": [np.nan, 1, 1]}, r"'rating' of ratings has 1 values .* row 0, of user 0"),
        ({"rating": [1, np.inf, 1]}, r"'rating' .* inf in row 1, of user 1 and item 1"),
        ({"user": [0, None, 1]}, r"'user' of ids has 1 missing values, the first in row 1"),
        ({"item": ["a", None, "b"]}, r"'item' of ids has 1 missing values"),
        ({"user": pd.to_datetime(["2020-01-01"] * 3)}, r"'user' of ids has dates"),
        ({"user": [0.5, 1, 2]}, r"'user' of ids has 0.5 in row 0"),
        ({"user": ["a", 1, 2]}, r"'user' has ids of int and str"),
        ({"rating": [1e300, 1, 1]}, r"'rating' of ratings goes to 1e\+300; .* float64, up to 1"),
        ({"rating": [1j, 1, 1]}, r"'rating' of ratings has complex numbers"),
        ({"rating": ["x", "y", "z"]}, r"'rating' of ratings has texts"),
    ],
)
def test_interactions_that_are_refused(change, message):
    frame = pd.DataFrame({"user": [0, 1, 2], "item": [0, 1, 2], "rating": [1.0, 2, 3]})
    with pytest.raises((ValueError, TypeError), match=message):
        als().fit(frame.assign(**change))


def test_no_interactions_and_no_columns():
    frame = pd.DataFrame({"user": [0], "item": [0], "rating": [1.0]})
    with pytest.raises(ValueError, match="interactions have no rows"):
        als().fit(frame[:0])
    with pytest.raises(ValueError, match=r"no \['item'\]"):
        als().fit(frame.drop(columns="item"))
    with pytest.raises(ValueError, match="rating=None takes each row as a one"):
        als().fit(frame.drop(columns="rating"))
    with pytest.raises(ValueError, match="rating of zero"):
        als().fit(frame.assign(rating=0.0))
    with pytest.raises(TypeError, match="interactions are of str"):
        als().fit("plays.csv")


def test_a_fit_that_fails_leaves_the_model(plays):
    model = als().fit(plays)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="no rows"):
        model.fit(triples(plays)[:0])
    assert vars(model) == before
