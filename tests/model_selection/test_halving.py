"""Successive halving and Hyperband, beside a plain loop over `partial_fit`."""

import pickle

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.exceptions import FitFailedWarning, NotFittedError

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.metrics import get_scorer
from daskml_exec.model_selection import HyperbandSearchCV, SuccessiveHalvingSearchCV
from daskml_exec.model_selection._brackets import halving, hyperband
from daskml_exec.model_selection._search_rows import require_room
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from daskml_exec.partitions import Labels, load_samples
from daskml_exec.training import load

RNG = np.random.default_rng(7)
N, D = 240, 4
X = RNG.standard_normal((N, D))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * RNG.standard_normal(N)
LABELS = np.array(["a", "b", "c"])[np.digitize(NUMBERS, [-1.0, 1.0])]
WEIGHTS = RNG.uniform(0.5, 2.0, N)
HELD = X[:60], LABELS[:60]
ROWS, Y = X[60:], LABELS[60:]

WIDTHS = {
    "hidden_layer_sizes": [(2,), (3,), (5,), (8,)],
    "learning_rate_init": [1e-3, 1e-2, 0.1],
}
PLAN = {"max_epochs": 9, "random_state": 1}
IN_TURN = {"daskml-exec.search-copied-bytes": 0}


def network(**arguments):
    return MLPClassifier(random_state=3, **arguments)


def halved(estimator=None, distributions=WIDTHS, **arguments):
    estimator = network() if estimator is None else estimator
    return SuccessiveHalvingSearchCV(estimator, distributions, **PLAN | arguments)


def bits(model):
    return b"".join(piece.tobytes() for piece in (*model.coefs_, *model.intercepts_))


def facts(search):
    """What must be the same wherever a search was run."""
    told = [
        (r.bracket, r.rung, r.epochs, r.candidate, r.score, r.loss, bool(r.failed))
        for r in search.history_
    ]
    return told, search.best_index_, bits(search.best_estimator_)


def plain_halving(estimator, params, X, y, held, rungs, factor=3):
    """Halve candidates in one loop; return each record's score, and the models."""
    models = {number: clone(estimator).set_params(**each) for number, each in enumerate(params)}
    alive, before, told = sorted(models), 0, []
    for epochs in rungs:
        scores = {}
        for number in alive:
            for _ in range(epochs - before):
                models[number].partial_fit(X, y, classes=np.unique(y))
            scores[number] = models[number].score(*held)
            told.append((epochs, number, scores[number]))
        size = max(1, len(alive) // factor)
        alive = sorted(sorted(alive, key=lambda number: -scores[number])[:size])
        before = epochs
    return told, models


@given(st.integers(1, 200), st.integers(1, 200), st.integers(2, 5))
def test_brackets(least, most, factor):
    least, most = sorted((least, most))
    for each in [*halving(None, least, most, factor), *hyperband(least, most, factor)]:
        assert each.epochs[-1] == most and each.epochs[0] >= least
        assert each.epochs[0] // factor < least or each.number < len(hyperband(least, most, factor))
        assert list(each.epochs) == sorted(set(each.epochs))
        assert all(
            after == max(1, before // factor)
            for before, after in zip(each.sizes, each.sizes[1:], strict=False)
        )
    (one,) = halving(None, least, most, factor)
    assert one.sizes[-1] == 1 and one.number == len(hyperband(least, most, factor)) - 1


def test_hyperband_of_the_paper():
    """Table 1 of Li et al. for R = 81, η = 3, without its slip of the second bracket's first."""
    found = [(each.sizes[0], each.epochs[0]) for each in hyperband(1, 81, 3)]
    assert found == [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)]


def test_a_rung_is_a_state():
    """The bits of a loop over `partial_fit` that never begins anew."""
    search = halved(validation=HELD).fit(ROWS, Y)
    params = search.cv_results_["params"]
    told, models = plain_halving(network(), params, ROWS, Y, HELD, (1, 3, 9))
    assert [(r.epochs, r.candidate, r.score) for r in search.history_] == told
    last = {number: score for _, number, score in told}
    best = max(sorted(last), key=last.get)
    assert (search.best_index_, search.best_score_) == (best, last[best])
    assert search.best_params_ == params[best]
    assert bits(search.best_estimator_) == bits(models[best])
    moments = [model._remembered[0] for model in (search.best_estimator_, models[best])]
    assert np.array_equal(*moments) and moments[0].any()
    going_on = [
        model.partial_fit(ROWS, Y, classes=np.unique(Y))
        for model in (search.best_estimator_, models[best])
    ]
    assert bits(going_on[0]) == bits(going_on[1])


def as_is(X, y):
    return X, y


def as_dask(X, y):
    return da.from_array(X, chunks=(50, D)), da.from_array(y, chunks=70)


def as_frame(X, y):
    return pd.DataFrame(X, columns=list("pqrs")), pd.Series(y)


def as_csr(X, y):
    return sp.csr_matrix(X), y


@pytest.mark.parametrize("kind", [as_is, as_dask, as_frame, as_csr])
def test_the_same_bits_in_threads_and_on_workers(kind):
    """However many there are, and whatever holds the rows below the size."""
    expected = facts(halved(validation=HELD).fit(ROWS, Y))
    if kind is as_csr:  # whose products are summed in another order
        expected = facts(halved(validation=as_csr(*HELD)).fit(*as_csr(ROWS, Y)))
    for n_workers in (1, 2):
        with Executor(processes=False, n_workers=n_workers):
            held = HELD if kind is as_dask else kind(*HELD)
            search = halved(validation=held).fit(*kind(ROWS, Y))
            assert facts(search) == expected


def test_rows_held_out_are_drawn_with_equal_shares():
    rare = np.where(np.arange(N) % 10, "common", "rare")
    search = HyperbandSearchCV(network(), WIDTHS, max_epochs=3, random_state=0)
    plan = search.explain(X, rare)
    assert (plan.rows, plan.rows_held_out) == (192, 48)
    with Executor(processes=False, n_workers=1):
        chunked = da.from_array(X, chunks=(100, D)), da.from_array(rare, chunks=100)
        found = search.explain(*chunked)
        assert (found.rows, found.rows_held_out) == (192, 48)
    # Were all rare rows on one side, the balanced accuracy would not be defined.
    search.set_params(scoring="balanced_accuracy", test_size=20).fit(X, rare)
    assert 0 <= search.best_score_ <= 1


def test_hyperband_is_its_brackets():
    search = HyperbandSearchCV(network(), WIDTHS, validation=HELD, max_epochs=4, factor=2)
    search.set_params(random_state=2).fit(ROWS, Y)
    table = search.cv_results_
    assert search.n_candidates_ == len(table["params"]) == 4 + 3 + 3
    for number, rungs in ((2, (1, 2, 4)), (1, (2, 4)), (0, (4,))):
        rows = np.flatnonzero(table["bracket"] == number)
        params = [table["params"][row] for row in rows]
        told, _ = plain_halving(network(), params, ROWS, Y, HELD, rungs, factor=2)
        found = [
            (r.epochs, r.candidate - rows[0], r.score)
            for r in search.history_
            if r.bracket == number
        ]
        assert found == told
    assert len({tuple(sorted(each.items())) for each in table["params"]}) == 10
    order = [(r.epochs, -r.bracket) for r in search.history_]
    assert order == sorted(order)


def test_large_rows_are_trained_over_all_partitions():
    chunked = as_dask(ROWS, Y)
    with dask.config.set(IN_TURN):
        results = []
        for n_workers in (1, 2):
            with Executor(processes=False, n_workers=n_workers):
                search = halved(validation=HELD).fit(*chunked)
                results.append(facts(search))
                params = search.cv_results_["params"]
                told, models = plain_halving(network(), params, *chunked, HELD, (1, 3, 9))
        assert results[0] == results[1]
        assert [(r.epochs, r.candidate, r.score) for r in search.history_] == told
        assert bits(search.best_estimator_) == bits(models[search.best_index_])
        assert "one after another" in str(search.explain())


@pytest.mark.parametrize("scoring", [None, "f1_macro", "neg_log_loss"])
def test_scores_where_the_rows_are(scoring):
    chunked = [da.from_array(each, chunks=40) for each in (X, LABELS, WEIGHTS)]
    with Executor(processes=False, n_workers=2):
        held = tuple(each[:60] for each in chunked)
        for settings in (IN_TURN, {}):
            with dask.config.set(settings):
                search = halved(validation=held, scoring=scoring, max_epochs=1, n_candidates=2)
                search.fit(*(each[60:] for each in chunked))
            best = search.best_estimator_
            weights = WEIGHTS[:60]
            expected = (
                best.score(*HELD, weights)
                if scoring is None
                else get_scorer(scoring)(best, *HELD, weights)
            )
            assert search.best_score_ == pytest.approx(expected, rel=1e-9)
            assert search.score(*HELD, weights) == pytest.approx(expected, rel=1e-9)


def test_in_memory_without_a_cluster_large_rows_are_in_the_driver():
    with dask.config.set(IN_TURN | {"daskml-exec.partition-bytes": 2000}):
        search = halved(validation=HELD).fit(ROWS, Y)
        assert "threads of this process" in search.explain().plan
        expected = network().set_params(**search.best_params_)
        for _ in range(int(search.cv_results_["epochs"][search.best_index_])):
            expected.partial_fit(ROWS, Y, classes=np.unique(Y))
    assert bits(search.best_estimator_) == bits(expected)


def test_weights_and_class_weights():
    estimator = network(class_weight="balanced")
    search = halved(estimator, validation=(*HELD, WEIGHTS[:60])).fit(ROWS, Y, WEIGHTS[60:])
    factors = {c: WEIGHTS[60:].sum() / (3 * WEIGHTS[60:][c == Y].sum()) for c in "abc"}
    best = network().set_params(**search.best_params_)
    weights = WEIGHTS[60:] * [factors[label] for label in Y]
    for _ in range(int(search.cv_results_["epochs"][search.best_index_])):
        best.partial_fit(ROWS, Y, classes=["a", "b", "c"], sample_weight=weights)
    np.testing.assert_allclose(search.best_estimator_.coefs_[0], best.coefs_[0], rtol=1e-6)
    assert search.best_score_ == search.best_estimator_.score(*HELD, WEIGHTS[:60])


def test_regressors():
    search = HyperbandSearchCV(
        MLPRegressor(), {"alpha": loguniform(1e-5, 1.0)}, max_epochs=3, random_state=0
    ).fit(X, NUMBERS)
    assert is_regressor(search) and not hasattr(search, "predict_proba")
    assert search.predict(X).shape == (N,)
    assert search.score(X, NUMBERS) == search.best_estimator_.score(X, NUMBERS)
    assert search.n_features_in_ == D


def test_a_data_is_trained_on_and_stays():
    with Executor(processes=False, n_workers=2), load(ROWS, Y, target=Labels()) as data:
        found = halved(validation=HELD).fit(data)
        assert facts(found) == facts(halved(validation=HELD).fit(ROWS, Y))
        with load(*HELD, target="labels") as held:
            assert facts(halved(validation=held).fit(data)) == facts(found)
        assert "240" not in repr(data) and "180 rows" in repr(data)
        with pytest.raises(ValueError, match="of which no rows can be held out"):
            halved().fit(data)


DIVERGES = {"hidden_layer_sizes": [(2,), (3,), (5,)], "learning_rate_init": [1e-2, 1e200]}


def test_a_candidate_that_fails_disturbs_no_other():
    estimator = network(batch_size=20)
    arguments = {"validation": HELD, "n_candidates": 6}
    with pytest.warns(FitFailedWarning, match="DivergenceError"):
        search = halved(estimator, DIVERGES, **arguments).fit(ROWS, Y)
    scores = search.cv_results_["mean_test_score"]
    failed = [p["learning_rate_init"] > 1 for p in search.cv_results_["params"]]
    assert np.isnan(scores).tolist() == failed and sum(failed) == 3
    assert search.cv_results_["rank_test_score"][failed].tolist() == [4, 4, 4]
    alone = [p for p in search.cv_results_["params"] if p["learning_rate_init"] < 1]
    told, _ = plain_halving(estimator, alone, ROWS, Y, HELD, (1,))
    assert [r.score for r in search.history_ if r.epochs == 1 and not r.failed] == [
        score for _, _, score in told
    ]
    with pytest.raises(Exception, match=r"diverged|infinite|not finite") as caught:
        halved(estimator, DIVERGES, error_score="raise", **arguments).fit(ROWS, Y)
    assert any("1e+200" in note for note in caught.value.__notes__)


def test_parameters_that_cannot_be():
    wrong = {"activation": ["sine", "relu"], "hidden_layer_sizes": [(3,)]}
    with pytest.warns(FitFailedWarning, match="'sine'.*its score is 0.0"):
        search = halved(distributions=wrong, n_candidates=2, error_score=0.0).fit(X, LABELS)
    assert search.best_params_["activation"] == "relu"
    with pytest.raises(ValueError, match=r"all 1 candidates failed.*sine"):
        halved(distributions={"activation": ["sine"]}, n_candidates=1).fit(X, LABELS)


def test_equal_candidates_are_computed_once():
    search = halved(distributions={"hidden_layer_sizes": [(3,), (3,), (4,)]}, n_candidates=3)
    search.fit(X, LABELS)
    table = search.cv_results_
    assert len(table["params"]) == 3
    assert len([r for r in search.history_ if r.rung == 0]) == 2
    same = [row for row, each in enumerate(table["params"]) if each["hidden_layer_sizes"] == (3,)]
    assert len(set(table["mean_test_score"][same])) == 1


def test_fewer_combinations_than_room():
    with pytest.warns(UserWarning, match="2 candidates were trained, of 9"):
        search = halved(distributions={"alpha": [0.1, 1.0]}).fit(X, LABELS)
    assert search.n_candidates_ == 2


def test_callbacks_are_told_in_order_and_end_the_search():
    told = []

    def third(record):
        told.append(record)
        return len(told) == 3

    whole = halved(validation=HELD).fit(ROWS, Y)
    with Executor(processes=False, n_workers=2):
        search = halved(validation=HELD, callbacks=[third]).fit(ROWS, Y)
    key = [(r.epochs, r.candidate, r.score) for r in whole.history_[:3]]
    assert [(r.epochs, r.candidate, r.score) for r in told] == key
    assert search.history_ == tuple(told)
    assert (search.cv_results_["rung"] >= 0).sum() == 3
    assert search.best_score_ == max(r.score for r in told)
    expected = network().set_params(**search.best_params_)
    expected.partial_fit(ROWS, Y, classes=np.unique(Y))
    assert bits(search.best_estimator_) == bits(expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"distributions": {}}, ValueError, "param_distributions is empty"),
        ({"distributions": {"alpha": []}}, ValueError, "no value for 'alpha'"),
        ({"distributions": {"alpha": 1.0}}, TypeError, "lists of values, and distributions"),
        ({"distributions": [("alpha", [1.0])]}, TypeError, "no dict"),
        ({"distributions": {"alfa": [1.0]}}, ValueError, "'alfa'.*Valid parameters are.*'alpha'"),
        ({"factor": 1}, ValueError, "factor"),
        ({"min_epochs": 10}, ValueError, "min_epochs=10 is more than max_epochs=9"),
        ({"n_candidates": 0}, ValueError, "n_candidates"),
        ({"scoring": "acuracy"}, ValueError, "allowed are accuracy"),
        ({"error_score": "nan"}, ValueError, "error_score"),
        ({"estimator": LogisticRegression()}, TypeError, "cannot be trained epoch by epoch"),
        ({"estimator": network(callbacks=[print])}, ValueError, "callbacks of the search"),
        ({"callbacks": [3]}, TypeError, "cannot be called"),
        ({"validation": HELD, "test_size": 0.1}, ValueError, "beside validation"),
        ({"validation": X}, ValueError, "validation is a ndarray"),
        ({"test_size": 1.5}, ValueError, "test_size"),
        ({"estimator": network(early_stopping=True)}, ValueError, "all 9 .*early_stopping"),
        ({"estimator": network(shuffle="partitions")}, ValueError, "all 9 .*needs Workers"),
    ],
)
def test_bad_input(arguments, error, message):
    search = halved(**arguments)
    with pytest.raises(error, match=message):
        search.fit(X, LABELS)
    assert not hasattr(search, "cv_results_")


def test_a_worker_that_is_too_small_is_named():
    with Executor(processes=False, n_workers=1, memory_limit="4GB") as executor:
        require_room(executor, 10**9)
        with pytest.raises(ValueError, match=r"copy, and one may use 4.*search-copied-bytes"):
            require_room(executor, 10**11)


def test_without_a_model():
    search = halved()
    with pytest.raises(NotFittedError):
        search.predict(X)
    with pytest.raises(NotFittedError):
        search.explain()
    search.set_params(refit=False).fit(X, LABELS)
    assert not hasattr(search, "best_estimator_") and search.best_params_
    with pytest.raises(AttributeError, match="predict") as caught:
        search.predict(X)
    assert "refit=False" in str(caught.value.__cause__)
    with pytest.raises(AttributeError, match="refit=False"):
        search.score(X, LABELS)


def test_it_is_an_estimator():
    search = halved().fit(X, LABELS)
    assert is_classifier(search)
    assert search.classes_.tolist() == ["a", "b", "c"]
    other = clone(search)
    assert not hasattr(other, "cv_results_") and other.get_params()["estimator__random_state"] == 3
    again = pickle.loads(pickle.dumps(search))
    assert np.array_equal(again.predict_proba(X), search.predict_proba(X))
    table = search.cv_results_
    assert list(table["param_hidden_layer_sizes"]) == [
        each["hidden_layer_sizes"] for each in table["params"]
    ]
    assert table["rank_test_score"][search.best_index_] == 1
    assert pd.DataFrame(table).shape[0] == 9


def test_an_estimator_seed_for_each_candidate():
    """Where the estimator has none of its own, and the same for a search with the same one."""
    free = MLPClassifier()
    searches = [halved(free).fit(X, LABELS) for _ in range(2)]
    assert facts(searches[0]) == facts(searches[1])
    drawn = searches[0].best_estimator_.random_state
    assert isinstance(drawn, int) and free.random_state is None


def test_what_is_said(capsys):
    search = halved(verbose=2, validation=HELD).fit(ROWS, Y)
    lines = capsys.readouterr().out.splitlines()
    assert "side by side" in lines[0]
    assert len(lines) == 1 + 9 + 3 + 1 + 3  # the plan, candidates of rungs, and the rungs
    assert lines[-1].startswith("SuccessiveHalvingSearchCV: bracket 2, 9 epochs, 1 candidate: ")
    plan = halved(validation=HELD).explain(ROWS, Y)
    assert plan.plan in str(search.explain()) and plan.seconds is None
    assert "9 to 1 epoch, 3 to 3 epochs, 1 to 9 epochs" in str(plan)
    assert "<table>" in plan._repr_html_()
    assert "21 in all, where 9 candidates to the end take 81" in str(plan)


class Toy(BaseEstimator):
    """Learns as fast as it is told, up to a limit; whoever has the hooks can be searched over."""

    def __init__(self, speed=1.0, limit=100.0):
        self.speed, self.limit = speed, limit

    def fit(self, X, y):
        raise NotImplementedError

    def _rows_for_epochs(self, X, y, sample_weight, executor):
        return load_samples(X, y, sample_weight, executor=executor)

    def _one_epoch_more(self, data):
        self.loss_curve_ = [*getattr(self, "loss_curve_", []), 1.0]
        self.n_rows_ = sum(data.rows)
        return []

    def score(self, X, y, sample_weight=None):
        return min(self.limit, self.speed * len(self.loss_curve_))


def test_slow_learners_have_a_chance_in_hyperband():
    """In the bracket of one rung alone; by successive halving they are gone after one epoch."""
    slow = {"speed": [1.0, 1.0, 1.0, 2.0, 3.0], "limit": [5.0, 9.0]}
    held = X[:50], LABELS[:50]
    arguments = {"max_epochs": 9, "random_state": 0, "validation": held}
    halving = SuccessiveHalvingSearchCV(Toy(), slow, n_candidates=10, **arguments)
    search = halving.fit(X[50:], LABELS[50:])
    alive = {r.params["speed"] for r in search.history_ if r.rung == 1}
    assert alive <= {2.0, 3.0} and search.best_score_ == 9.0
    assert search.best_estimator_.n_rows_ == N - 50
    with pytest.warns(UserWarning, match="candidates were trained, of 17"):
        search = HyperbandSearchCV(Toy(), {"speed": [1.0, 2.0], "limit": [5.0]}, **arguments)
        search.fit(X[50:], LABELS[50:])
    assert {r.params["speed"] for r in search.history_ if r.bracket == 0} == {1.0, 2.0}


def test_warnings_of_candidates_are_told_once():
    estimator = network(batch_size=500)
    with pytest.warns(UserWarning, match="candidates 0, 1, .*batch_size"):
        halved(estimator).fit(X, LABELS)
