"""When to stop and how fast to go on are scikit-learn's rules."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.kernels.networks.layout import Layout, initial_parameters
from daskml_exec.kernels.networks.optimisers import SGD, Adam, OptimiserState
from daskml_exec.training.averaging import Model, Progress, Stopping
from tests.neural_network.test_oracle import distance, sklearn_from
from tests.neural_network.without_dask import cut, plain

N, D = 120, 4
RNG = np.random.default_rng(11)
X = RNG.standard_normal((N, D))
Y = np.tanh(X @ RNG.standard_normal(D)) + 0.2 * RNG.standard_normal(N)
SOLVERS = {
    "adam": (Adam(0.9, 0.999, 1e-8), {"solver": "adam"}),
    "sgd": (SGD(0.9, True), {"solver": "sgd", "momentum": 0.9}),
}
CASES = [
    # solver, schedule, rate, tol, n_iter_no_change, max_iter
    ("adam", "constant", 0.02, 1e-3, 3, 300),
    ("adam", "constant", 0.02, 1e-3, np.inf, 40),
    ("adam", "constant", 0.3, 0.0, 1, 100),
    ("sgd", "constant", 0.05, 1e-3, 2, 200),
    ("sgd", "invscaling", 0.3, 1e-4, 5, 60),
    ("sgd", "invscaling", 0.5, 1e-3, 1, 60),
    ("sgd", "adaptive", 0.3, 1e-2, 1, 200),
    ("sgd", "adaptive", 0.1, 1e-3, 3, 200),
]


@pytest.mark.parametrize(("solver", "schedule", "rate", "tol", "patience", "max_iter"), CASES)
def test_epochs_and_losses_are_those_of_sklearn(solver, schedule, rate, tol, patience, max_iter):
    optimiser, arguments = SOLVERS[solver]
    layout = Layout((D, 5, 1))
    start = initial_parameters(layout, seed=1, logistic=False, dtype=np.dtype(float))
    model = sklearn_from(
        layout,
        start,
        True,
        hidden_layer_sizes=(5,),
        activation="tanh",
        shuffle=False,
        batch_size=30,
        alpha=1e-3,
        learning_rate=schedule,
        learning_rate_init=rate,
        tol=tol,
        n_iter_no_change=patience,
        max_iter=max_iter,
        **arguments,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, Y)
    state = plain(
        cut(X, Y, bounds=[0, N]),
        hidden=(5,),
        activation="tanh",
        optimiser=optimiser,
        alpha=1e-3,
        batch_size=30,
        learning_rate=rate,
        max_iter=max_iter,
        shuffle=False,
        parameters=start,
        tol=tol,
        n_iter_no_change=patience,
        schedule=schedule,
    ).run()
    assert state.progress.epochs == model.n_iter_
    assert state.progress.samples == model.t_
    assert state.progress.stopped == (model.n_iter_ < max_iter)
    assert state.progress.loss_curve == pytest.approx(model.loss_curve_, rel=1e-6)
    assert state.progress.best_loss == pytest.approx(model.best_loss_, rel=1e-6)
    assert distance(layout, state.model.parameters, model) < 1e-6
    if solver == "sgd":
        rate_there = model._optimizer.learning_rate
        if schedule != "constant":
            assert rate_there < rate
        assert state.progress.learning_rate == pytest.approx(rate_there, rel=1e-12)


def rule(**changes):
    given = {
        "tol": 0.1,
        "n_iter_no_change": 2,
        "by_score": False,
        "schedule": "constant",
        "initial_rate": 1.0,
    }
    return Stopping(**{**given, **changes})


def model(number):
    return Model(np.array([float(number)]), OptimiserState(np.zeros((0, 1)), np.zeros(0)))


def after(losses, stopping):
    progress = Progress(stopping.initial_rate)
    for loss in losses:
        assert not progress.stopped
        progress = progress.after_epoch(loss, 10, stopping)
    return progress


def test_one_epoch_more_than_the_patience_without_improvement_stops():
    assert not after([1.0, 1.0, 1.0], rule()).stopped
    assert after([1.0, 1.0, 1.0, 1.0], rule()).stopped
    # An improvement by tol begins the count anew, a smaller one does not.
    assert not after([1.0, 1.0, 1.0, 0.9, 0.9, 0.9], rule()).stopped
    assert after([1.0, 0.95, 0.94, 0.93], rule()).stopped
    assert not after([1.0] * 50, rule(n_iter_no_change=np.inf)).stopped


def test_adaptive_rates_fall_and_stop_at_the_least():
    progress = after([1.0] * 4, rule(schedule="adaptive"))
    assert progress.learning_rate == 0.2 and progress.without_improvement == 0
    progress = after([1.0] * 7, rule(schedule="adaptive"))
    assert progress.learning_rate == pytest.approx(0.04) and not progress.stopped
    assert after([1.0] * 4, rule(schedule="adaptive", initial_rate=1e-6)).stopped
    assert not after([1.0] * 4, rule(schedule="adaptive", initial_rate=1.1e-6)).stopped


def test_inverse_scaling_counts_samples():
    assert after([1.0], rule(schedule="invscaling")).learning_rate == pytest.approx(11**-0.5)
    assert after([3.0, 2.0, 1.0], rule(schedule="invscaling")).learning_rate == pytest.approx(
        31**-0.5
    )


def test_scores_decide_where_rows_are_held_out():
    stopping = rule(by_score=True)
    progress = Progress(1.0)
    scores = [0.5, 0.55, 0.7, 0.69, 0.3]
    for number, score in enumerate(scores):
        progress = progress.after_epoch(1.0, 10, stopping)
        assert (
            progress.without_improvement == (0, 0, 1, 0, 1)[number]
        )  # as the score before left it
        progress = progress.after_score(score, model(number), stopping)
    assert progress.scores == tuple(scores) and len(progress.loss_curve) == 5
    assert progress.best_score == 0.7 and progress.best.parameters == 2.0
    assert not progress.stopped
    progress = progress.after_epoch(1.0, 10, stopping).after_score(0.1, model(0), stopping)
    assert progress.stopped


def test_a_score_that_is_not_a_number_is_no_improvement():
    stopping = rule(by_score=True, n_iter_no_change=1)
    progress = Progress(1.0)
    for _ in range(2):
        progress = progress.after_epoch(1.0, 10, stopping).after_score(np.nan, model(0), stopping)
    assert progress.stopped and progress.best is not None


def test_progress_does_not_change():
    progress = Progress(1.0)
    progress.after_epoch(1.0, 10, rule())
    assert progress == Progress(1.0)
