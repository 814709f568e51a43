"""Rows that are held out: when their score ends a fit, and which parameters are kept."""

import itertools

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state

from daskml_exec.kernels.networks.batches import held_out
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.linear_model.toolbox import as_csr, as_dask
from tests.tiers import each_pair, each_value

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]

N, BOUNDS = 300, (0, 20, 20, 53, 300)
RNG = np.random.default_rng(6)
X = RNG.standard_normal((N, 4))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.3 * RNG.standard_normal(N)
CODES = np.digitize(NUMBERS, [-1.0, 1.0])
WEIGHT = RNG.exponential(size=N)
ARGUMENTS = {
    "hidden_layer_sizes": (8,),
    "early_stopping": True,
    "validation_fraction": 0.2,
    "learning_rate_init": 0.03,
    "sync_every": "epoch",
    "random_state": 5,
    "n_iter_no_change": 3,
    "tol": 0.01,
    "max_iter": 60,
}
TARGETS = {MLPClassifier: CODES, MLPRegressor: NUMBERS}
on_both = pytest.mark.parametrize("kind", TARGETS)


def bits(model):
    return b"".join(piece.tobytes() for piece in (*model.coefs_, *model.intercepts_))


def rows_held_out(bounds):
    """Return the rows of the whole data that are held out."""
    seed = int(check_random_state(5).randint(np.iinfo(np.int32).max))
    return np.concatenate(
        [
            start + held_out(start, stop - start, 0.2, seed=seed, partition=index)[1]
            for index, (start, stop) in enumerate(itertools.pairwise(bounds))
        ]
    )


@each_pair(
    kind=[MLPClassifier, MLPRegressor],
    data=[(np.asarray, (0, N)), (as_dask, BOUNDS)],
    weighted=[False, True],
)
def test_the_best_parameters_are_kept(kind, data, weighted):
    given, bounds = data
    y, weight = TARGETS[kind], WEIGHT if weighted else None
    best = []

    def watch(event):
        if event.record.step == "score":
            best.append(event.estimator)

    model = kind(**ARGUMENTS, callbacks=[watch]).fit(given(X), y, weight)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == len(best) == len(model.loss_curve_) < 60  # it stopped
    assert model.best_validation_score_ == max(scores) == scores[np.argmax(scores)]
    assert model.best_loss_ is None and model.loss_ == model.loss_curve_[-1]
    assert bits(model) == bits(best[int(np.argmax(scores))])
    rows = rows_held_out(bounds)
    assert len(rows) == 60 and model.t_ == 240 * model.n_iter_
    metric = accuracy_score if kind is MLPClassifier else r2_score
    row_weight = None if weight is None else weight[rows]
    for score, one in zip(scores, best, strict=True):
        found = metric(y[rows], one.predict(X[rows]), sample_weight=row_weight)
        assert score == pytest.approx(found, rel=1e-9)
    # The last scores did not improve on those before them.
    assert max(scores[-4:]) < max(scores[:-4]) + 0.01


@on_both
def test_attributes_are_those_of_sklearn(kind):
    ours = kind(**ARGUMENTS).fit(as_dask(X), TARGETS[kind])
    shared = {name: value for name, value in ARGUMENTS.items() if name != "sync_every"}
    theirs = getattr(sklearn.neural_network, kind.__name__)(**shared).fit(X, TARGETS[kind])
    for early_stopping in (True, False):
        for name in ("validation_scores_", "best_validation_score_", "best_loss_", "loss_curve_"):
            found, expected = getattr(ours, name), getattr(theirs, name)
            assert (found is None) == (expected is None), name
            assert np.ndim(found) == np.ndim(expected), name
        if early_stopping:
            ours.set_params(early_stopping=False, max_iter=3).fit(as_dask(X), TARGETS[kind])
            theirs.set_params(early_stopping=False, tol=10.0).fit(X, TARGETS[kind])
    assert ours.validation_scores_ is None and ours.best_loss_ == min(ours.loss_curve_)


@each_value(
    kind=[MLPClassifier, MLPRegressor],
    data=[(np.asarray, None), (as_dask, "topk:0.2"), (as_csr, None)],
)
def test_it_is_reproducible(kind, data):
    given, compression = data
    model = kind(**ARGUMENTS | {"max_iter": 5}, compression=compression)
    first = bits(model.fit(given(X), TARGETS[kind])), model.validation_scores_
    assert (bits(model.fit(given(X), TARGETS[kind])), model.validation_scores_) == first
    assert bits(model.set_params(random_state=6).fit(given(X), TARGETS[kind])) != first[0]


@on_both
def test_rows_held_out_are_not_trained_on(kind):
    """Nonsense in their targets changes no step, only the scores."""
    y = TARGETS[kind]
    other = y.copy()
    rows = rows_held_out(BOUNDS)
    other[rows] = RNG.permutation(other[rows])
    given = ARGUMENTS | {"n_iter_no_change": np.inf, "max_iter": 4}
    models = [kind(**given).fit(as_dask(X), target) for target in (y, other)]
    assert models[0].loss_curve_ == models[1].loss_curve_
    assert models[0].validation_scores_ != models[1].validation_scores_


@on_both
@pytest.mark.parametrize("given", [np.asarray, as_dask])
def test_too_few_rows_are_refused(kind, given):
    y = TARGETS[kind]
    message = r"validation_fraction=0\.005 of the data is 1 rows, and 299 remain"
    with pytest.raises(ValueError, match=message):
        kind(**ARGUMENTS | {"validation_fraction": 0.005}).fit(given(X), y)
    with pytest.raises(ValueError, match=r"validation_fraction=0 of the data is 0 rows"):
        kind(**ARGUMENTS | {"validation_fraction": 0.0}).fit(given(X), y)


@on_both
def test_the_rate_follows_the_score(kind):
    """With "adaptive" a score that does not improve lowers the rate; it does not end the fit."""
    given = ARGUMENTS | {"tol": 10.0, "n_iter_no_change": 1, "max_iter": 12, "solver": "sgd"}
    constant = kind(**given | {"max_iter": 60}).fit(as_dask(X), TARGETS[kind])
    adaptive = kind(**given, learning_rate="adaptive").fit(as_dask(X), TARGETS[kind])
    assert constant.n_iter_ < 6 and adaptive.n_iter_ == 12


@on_both
def test_a_fit_whose_score_stops_does_not_warn(kind, recwarn):
    kind(**ARGUMENTS).fit(as_dask(X), TARGETS[kind])
    assert not list(recwarn)
