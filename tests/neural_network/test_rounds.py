"""Averages of local models: exact where they can be, and complete whatever happens on the way."""

import pickle
from dataclasses import astuple, replace
from itertools import pairwise

import array_api_strict as xp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import accuracy_score, r2_score

from daskml_exec.executor import fold, fold_siblings
from daskml_exec.kernels.networks.batches import RowOrder, held_out
from daskml_exec.kernels.networks.network import forward
from daskml_exec.kernels.networks.optimisers import SGD, Adam
from daskml_exec.neural_network import _problem
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.partitions import ColumnError
from daskml_exec.training.averaging import data_error
from tests.kernels.networks.examples import loss_and_gradient
from tests.neural_network.without_dask import cut, plain

N, D = 120, 4
RNG = np.random.default_rng(3)
X = RNG.standard_normal((N, D))
Y = X @ RNG.standard_normal(D) + 0.1 * RNG.standard_normal(N)
CODES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
WEIGHTS = {
    "none": None,
    "real": RNG.exponential(size=N),
    "with zeros": RNG.exponential(size=N) * (RNG.random(N) < 0.7),
}
SGDS = {"sgd": SGD(0.0, False), "momentum": SGD(0.9, False), "nesterov": SGD(0.9, True)}
UNEVEN = [0, 50, 100, 110, 110, 120]
EVEN = [0, 30, 60, 90, 120]

bounds_of = st.lists(st.integers(0, N), min_size=1, max_size=5).map(lambda c: [0, *sorted(c), N])


def rows_of(fit, state):
    """Which rows of the whole data the next round goes through, per partition."""
    problem, work = fit.algorithm.problem, fit.algorithm.work(state)
    rows = []
    for p in fit.partitions:
        order = RowOrder(problem.seed if problem.shuffle else None, p.index)
        wanted = problem.batching.row_range(p.index, work.first_step, work.n_steps)
        weight = np.ones(len(p.y)) if p.sample_weight is None else p.sample_weight
        rows.append(p.start + order.of_epoch(np.flatnonzero(weight), work.epoch)[wanted])
    return rows


@given(
    bounds=bounds_of,
    weights=st.sampled_from(list(WEIGHTS)),
    optimiser=st.sampled_from(list(SGDS)),
    batch=st.sampled_from([20, 50, 120]),
    seed=st.integers(0, 100),
)
@settings(max_examples=40)
def test_averaged_step_is_the_step_of_the_union(bounds, weights, optimiser, batch, seed):
    """The penalty is then that of the partitions which take part."""
    weight, optimiser, alpha = WEIGHTS[weights], SGDS[optimiser], 0.5
    fit = plain(
        cut(X, Y, weight, bounds=bounds),
        activation="tanh",
        optimiser=optimiser,
        alpha=alpha,
        batch_size=batch,
        sync_every=1,
        learning_rate=0.05,
        max_iter=2,
        seed=seed,
    )
    problem = fit.algorithm.problem
    theta = fit.state.model.parameters.copy()
    velocity = np.zeros_like(theta)
    losses, total = 0.0, 0.0
    while not fit.state.done:
        rows = rows_of(fit, fit.state)
        rate = fit.algorithm.work(fit.state).learning_rate
        s = [np.ones(len(r)) if weight is None else weight[r] for r in rows]
        penalty = alpha * sum(problem.batching.share(k) for k in range(len(rows)) if s[k].sum())
        epochs = fit.state.progress.epochs
        fit.round()
        union, s = np.concatenate(rows), np.concatenate(s)
        if s.sum():
            loss, g = loss_and_gradient(problem.network, theta, X[union], Y[union], s, penalty)
            velocity = optimiser.momentum * velocity - rate * g
            theta = theta + (
                optimiser.momentum * velocity - rate * g if optimiser.nesterov else velocity
            )
            losses, total = losses + s.sum() * loss, total + s.sum()
        assert_allclose(fit.state.model.parameters, theta, rtol=1e-11, atol=1e-12)
        if fit.state.progress.epochs > epochs:
            assert fit.state.progress.loss_curve[-1] == pytest.approx(losses / total, rel=1e-11)
            losses = total = 0.0


@given(bounds=bounds_of, weights=st.sampled_from(list(WEIGHTS)))
@settings(max_examples=25)
def test_whole_batches_are_those_of_one_partition_penalty_included(bounds, weights):
    weight = WEIGHTS[weights]
    if weight is not None and any(b > a and not weight[a:b].any() for a, b in pairwise(bounds)):
        return  # its part of the penalty is not there
    common = {
        "optimiser": SGDS["momentum"],
        "alpha": 2.0,
        "batch_size": N,
        "learning_rate": 0.05,
        "max_iter": 4,
        "n_classes": 3,
    }
    one = plain(cut(X, CODES, weight, bounds=[0, N]), **common).run()
    several = plain(cut(X, CODES, weight, bounds=bounds), **common).run()
    assert_allclose(several.model.parameters, one.model.parameters, rtol=1e-11, atol=1e-12)
    assert_allclose(several.model.optimiser.moments, one.model.optimiser.moments, atol=1e-12)
    assert several.progress.loss_curve == pytest.approx(one.progress.loss_curve, rel=1e-11)


def test_averages_of_longer_local_training_have_the_weights_of_their_rows():
    weight = WEIGHTS["real"]
    partitions = cut(X, Y, weight, bounds=[0, 30, 120])
    common = {"batch_size": 40, "learning_rate": 0.05, "max_iter": 1, "alpha": 0.0}
    fit = plain(partitions, **common)
    # On its own a partition takes batches of its share.
    alone = [
        plain([replace(p, index=0)], **{**common, "batch_size": b}, shuffle=False)
        for p, b in zip(partitions, fit.algorithm.problem.batching.batches, strict=True)
    ]
    fit = plain(partitions, **common, shuffle=False)
    for local in alone:
        local.state = replace(local.state, model=fit.state.model)
        local.run()
    found = fit.run()
    s = np.array([p.sample_weight.sum() for p in partitions])
    s = s / s.sum()
    for of in (
        lambda state: state.model.parameters,
        lambda state: state.model.optimiser.moments,
        lambda state: state.model.optimiser.scales,
        lambda state: state.progress.loss_curve[0],
    ):
        expected = sum(w * of(local.state) for w, local in zip(s, alone, strict=True))
        assert_allclose(of(found), expected, rtol=1e-12, atol=1e-14)


def test_a_partition_out_of_rows_says_nothing_until_the_epoch_ends():
    fit = plain(cut(X, Y, bounds=UNEVEN), batch_size=40, sync_every=1, max_iter=2)
    batching = fit.algorithm.problem.batching
    assert batching.steps == [3, 3, 1, 0, 1]
    for _ in range(2):
        for step in range(3):
            message = fit.algorithm.ask(fit.state)
            partials = [message.partial(p) for p in fit.partitions]
            present = [bool(partial.losses.weight) for partial in partials]
            assert present == [steps > step for steps in batching.steps]
            for partial in partials:
                if not partial.losses.weight:
                    assert not partial.parameters.any() and not partial.moments.any()
                    assert not partial.scales.any() and partial.losses.loss == 0.0
            fit.round()
    assert fit.state.done and fit.state.progress.samples == 2 * N


@pytest.mark.parametrize("optimiser", [SGDS["nesterov"], Adam(0.9, 0.999, 1e-8)])
@pytest.mark.parametrize("sync_every", [1, 3, "epoch"])
def test_empty_partitions_are_not_there(optimiser, sync_every):
    common = {
        "optimiser": optimiser,
        "sync_every": sync_every,
        "batch_size": 40,
        "shuffle": False,
    }
    expected = plain(cut(X, Y, bounds=[0, 70, N]), **common).run()
    found = plain(cut(X, Y, bounds=[0, 0, 70, 70, 70, N, N]), **common).run()
    assert np.array_equal(found.model.parameters, expected.model.parameters)
    assert np.array_equal(found.model.optimiser.moments, expected.model.optimiser.moments)
    assert found.progress.loss_curve == expected.progress.loss_curve
    assert found.rounds == expected.rounds


@pytest.fixture
def visited(monkeypatch):
    """Rows that local training is given, in order, if the last column of X has their numbers."""
    log = []
    genuine = _problem.train_locally

    def logged(network, optimiser, X, *args, rows, **options):
        log.append(X[rows, -1].astype(int))
        return genuine(network, optimiser, X, *args, rows=rows, **options)

    monkeypatch.setattr(_problem, "train_locally", logged)
    return log


def numbered():
    return np.column_stack([X, np.arange(N)])


@pytest.mark.parametrize("sync_every", [1, 2, 3, "auto", "epoch"])
@pytest.mark.parametrize("bounds", [[0, N], EVEN, UNEVEN])
def test_every_row_is_visited_once_an_epoch(sync_every, bounds, visited):
    fit = plain(cut(numbered(), Y, bounds=bounds), batch_size=40, sync_every=sync_every, max_iter=3)
    seen = []
    while not fit.state.done:
        fit.round()
        if len(seen) < fit.state.progress.epochs:
            seen.append(np.concatenate(visited).tolist())
            visited.clear()
    assert [sorted(rows) for rows in seen] == [list(range(N))] * 3
    assert len({tuple(rows) for rows in seen}) == 3  # in another order each time


@pytest.mark.parametrize("bounds", [EVEN, UNEVEN])
def test_rows_are_the_same_whatever_the_rounds(bounds, visited):
    orders = []
    for sync_every in (1, 3, "epoch"):
        visited.clear()
        plain(
            cut(numbered(), Y, bounds=bounds), batch_size=40, sync_every=sync_every, max_iter=2
        ).run()
        rows = np.concatenate(visited)
        orders.append([rows[(rows >= a) & (rows < b)].tolist() for a, b in pairwise(bounds)])
    assert orders[0] == orders[1] == orders[2]


@given(seed=st.integers(0, 2**32), n=st.integers(2, 9))
@settings(max_examples=20)
def test_sums_do_not_depend_on_the_grouping(seed, n):
    rng = np.random.default_rng(seed)
    fit = plain(cut(X, Y, bounds=np.linspace(0, N, n + 1).astype(int).tolist()), batch_size=40)
    message = fit.algorithm.ask(fit.state)
    combine = message.combine
    partials = [message.partial(p) for p in fit.partitions]
    expected = fold(partials, combine)
    # Groups that combine ahead what are whole subtrees give the same bits.
    groups = np.sort(rng.integers(0, n + 1, 2)).tolist()
    nodes = {}
    for a, b in pairwise([0, *groups, n]):
        nodes |= fold_siblings({(0, j): partials[j] for j in range(a, b)}, n, combine)
    (root,) = fold_siblings(nodes, n, combine).values()
    same = zip(
        (root.parameters, root.moments, root.scales, root.losses.loss),
        (expected.parameters, expected.moments, expected.scales, expected.losses.loss),
        strict=True,
    )
    assert all(np.array_equal(one, other) for one, other in same)
    # Any other bracketing differs by rounding.
    while len(partials) > 1:
        at = int(rng.integers(len(partials) - 1))
        partials[at : at + 2] = [combine(*partials[at : at + 2])]
    (other,) = partials
    assert_allclose(other.parameters, expected.parameters, rtol=1e-12, atol=1e-13)
    assert_allclose(other.moments, expected.moments, rtol=1e-12, atol=1e-13)
    assert other.losses.weight == expected.losses.weight == N
    assert other.losses.loss == pytest.approx(expected.losses.loss)


def test_outer_momentum_is_by_its_formula():
    fit = plain(cut(X, Y, bounds=EVEN), batch_size=40, outer="nesterov", max_iter=4)
    theta, u = fit.state.model.parameters, 0.0
    while not fit.state.done:
        message = fit.algorithm.ask(fit.state)
        partials = [message.partial(p) for p in fit.partitions]
        total = fold(partials, message.combine)
        d = total.parameters / total.losses.weight
        u = 0.8 * u + d
        theta = theta + 0.7 * (d + 0.8 * u)
        fit.round()
        assert_allclose(fit.state.model.parameters, theta, rtol=1e-13, atol=1e-15)
        assert_allclose(fit.state.velocity, u, rtol=1e-13, atol=1e-15)


def test_a_pickled_state_goes_on_to_the_same_bits():
    common = {"batch_size": 40, "sync_every": 2, "max_iter": 3, "outer": "nesterov"}
    expected = plain(cut(X, Y, bounds=EVEN), **common).run()
    fit = plain(cut(X, Y, bounds=EVEN), **common)
    while not fit.state.done:
        fit.round()
        fit.state = pickle.loads(pickle.dumps(fit.state))
    assert np.array_equal(fit.state.model.parameters, expected.model.parameters)
    assert fit.state.progress.loss_curve == expected.progress.loss_curve


def test_rounds_do_not_change_what_they_are_given():
    fit = plain(cut(X, Y, bounds=EVEN), batch_size=40)
    fit.round()
    message = fit.algorithm.ask(fit.state)
    before = [array.copy() for array in astuple(message.model.optimiser)]
    before.append(message.model.parameters.copy())
    for array in (*astuple(message.model.optimiser), message.model.parameters):
        array.setflags(write=False)  # as messages are
    fit.round()
    after = (*astuple(message.model.optimiser), message.model.parameters)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimiser", SGDS.values(), ids=SGDS)
@pytest.mark.parametrize("exponent", [1, 5, 20, 34, 36, 37])
def test_parameters_that_diverge_never_reach_the_state(dtype, optimiser, exponent):
    fit = plain(
        cut(X.astype(dtype), Y.astype(dtype), bounds=EVEN),
        optimiser=optimiser,
        learning_rate=10.0**exponent,
        batch_size=40,
        sync_every=1,
        max_iter=40,
    )
    good = fit.state
    while not fit.state.done and fit.failure is None:
        good = fit.state
        with np.errstate(over="ignore"):
            fit.round()
        assert np.isfinite(fit.state.model.parameters).all()
        assert np.isfinite(fit.state.model.optimiser.moments).all()
    error = fit.failure
    assert isinstance(error, DivergenceError)
    assert error.round == good.rounds
    assert error.learning_rate == fit.algorithm.work(good).learning_rate
    layout = fit.algorithm.problem.network.layout
    assert np.array_equal(layout.flat(error.coefs, error.intercepts), good.model.parameters)


def test_divergence_says_where_and_pickles():
    y = Y.copy()
    y[70] = 1e100
    fit = plain(
        cut(X, y, bounds=EVEN),
        optimiser=SGD(0.0, False),
        learning_rate=1e250,
        batch_size=N,
    )
    fit.run()
    error = fit.failure
    assert isinstance(error, ValueError) and error.partition == 2 and error.round == 0
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert "round 0, partition 2" in str(again) and "1e+250" in str(again)
    assert (again.round, again.partition, again.learning_rate) == (0, 2, 1e250)
    assert "rescale X, which reaches" in error.remedy and "y, which reaches 1e+100" in error.remedy
    assert all(np.array_equal(a, b) for a, b in zip(again.coefs, error.coefs, strict=True))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_what_is_not_finite_is_named_before_any_training(value, sparse, fraction):
    for row in (95, 96, 97):  # held out or not
        bad = X.copy()
        bad[row, 2] = bad[110, 1] = value
        bad = sp.csr_array(bad) if sparse else bad
        fit = plain(
            cut(bad, Y, bounds=[0, 50, 90, 100, N]), batch_size=40, validation_fraction=fraction
        )
        start = fit.state.model.parameters
        fit.round()
        assert type(fit.failure) is ColumnError
        what = "NaN" if np.isnan(value) else "infinity"
        assert f"{what} in partition 2, column 2" in str(fit.failure)
        assert f"row {row - 90} of the partition" in str(fit.failure)
        assert fit.state.model.parameters is start


def test_columns_are_named():
    fit = plain(cut(np.where(np.eye(N, D, k=1) > 0, np.nan, X), Y, bounds=[0, N]))
    wrong = fit.algorithm.problem.data_failure(fit.partitions[0], X.dtype)
    assert "column 1 ('b')" in str(data_error(wrong).named(("a", "b", "c", "d")))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_whose_sum_overflows_are_finite(dtype):
    large = np.full((8, D), np.finfo(dtype).max)
    fit = plain(cut(large, Y[:8], bounds=[0, 8]))
    assert fit.algorithm.problem.data_failure(fit.partitions[0], large.dtype) == ""


def held_rows(fit):
    problem = fit.algorithm.problem
    return np.concatenate(
        [
            p.start
            + held_out(
                p.start,
                len(p.y),
                problem.validation_fraction,
                seed=problem.seed,
                partition=p.index,
            )[1]
            for p in fit.partitions
        ]
    )


def sklearn_score(fit, parameters, y, weight, n_classes):
    rows = held_rows(fit)
    z = forward(fit.algorithm.problem.network, parameters, X[rows])
    weight = None if weight is None else weight[rows]
    if n_classes is None:
        return r2_score(y[rows], z[:, 0], sample_weight=weight)
    codes = (z[:, 0] > 0).astype(int) if n_classes == 2 else z.argmax(axis=1)
    return accuracy_score(y[rows], codes, sample_weight=weight)


TARGETS = {"numbers": (Y, None), "two": (np.minimum(CODES, 1), 2), "three": (CODES, 3)}
with_targets = pytest.mark.parametrize("target", TARGETS)


@with_targets
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("bounds", [[0, N], EVEN, UNEVEN, list(range(0, N + 1, 4))])
def test_scores_are_those_of_sklearn_on_the_rows_held_out(target, weights, bounds):
    y, n_classes = TARGETS[target]
    weight = WEIGHTS[weights]
    fit = plain(
        cut(X, y, weight, bounds=bounds),
        n_classes=n_classes,
        batch_size=40,
        learning_rate=0.02,
        max_iter=3,
        validation_fraction=0.25,
    )
    expected = []
    while not fit.state.done:
        if fit.state.scoring:
            parameters = fit.state.model.parameters
            expected.append(sklearn_score(fit, parameters, y, weight, n_classes))
        fit.round()
    assert len(held_rows(fit)) == N // 4
    assert fit.state.progress.scores == pytest.approx(expected, rel=1e-10)
    assert len(expected) == fit.state.progress.epochs == 3
    assert fit.state.progress.samples == 3 * (N - N // 4)


@with_targets
def test_early_stopping_keeps_the_best_parameters(target):
    y, n_classes = TARGETS[target]
    fit = plain(
        cut(X, y, bounds=EVEN),
        n_classes=n_classes,
        batch_size=40,
        learning_rate=0.3,
        max_iter=200,
        validation_fraction=0.25,
        n_iter_no_change=3,
        tol=1e-3,
    )
    state = fit.run()
    progress = state.progress
    assert progress.stopped and progress.epochs < 200
    assert progress.best_score == max(progress.scores)
    found = sklearn_score(fit, progress.best.parameters, y, None, n_classes)
    assert found == pytest.approx(progress.best_score, rel=1e-10)


@pytest.mark.parametrize("bounds", [[0, N], EVEN, UNEVEN])
def test_rows_held_out_are_not_trained_on(bounds, visited):
    fit = plain(
        cut(numbered(), Y, bounds=bounds), batch_size=40, max_iter=2, validation_fraction=0.25
    )
    fit.run()
    trained_on, held = set(np.concatenate(visited).tolist()), set(held_rows(fit).tolist())
    assert not trained_on & held and trained_on | held == set(range(N))


def test_sparse_rows_are_dense_rows():
    common = {"batch_size": 40, "max_iter": 2, "validation_fraction": 0.25}
    dense = plain(cut(X, Y, bounds=UNEVEN), **common).run()
    sparse = plain(cut(sp.csr_array(X), Y, bounds=UNEVEN), **common).run()
    assert_allclose(sparse.model.parameters, dense.model.parameters, rtol=1e-10, atol=1e-12)
    assert sparse.progress.scores == pytest.approx(dense.progress.scores)


@with_targets
@pytest.mark.parametrize("weights", ["none", "with zeros"])
def test_partitions_on_a_device_are_those_on_the_host(target, weights):
    y, n_classes = TARGETS[target]
    common = {
        "n_classes": n_classes,
        "batch_size": 40,
        "sync_every": 2,
        "learning_rate": 0.02,
        "validation_fraction": 0.25,
        "max_iter": 2,
    }
    host = plain(cut(X, y, WEIGHTS[weights], bounds=UNEVEN), **common)
    start = host.state
    expected = host.run()
    fit = plain(cut(X, y, WEIGHTS[weights], bounds=UNEVEN), **common)
    device = xp.Device("device1")
    fit.partitions = [replace(p, X=xp.asarray(p.X, device=device)) for p in fit.partitions]
    found = fit.run()
    assert not np.array_equal(found.model.parameters, start.model.parameters)
    assert_allclose(found.model.parameters, expected.model.parameters, rtol=1e-10, atol=1e-11)
    assert found.progress.loss_curve == pytest.approx(expected.progress.loss_curve, rel=1e-11)
    assert found.progress.scores == pytest.approx(expected.progress.scores, rel=1e-9)


@pytest.mark.parametrize("n_classes", [None, 2])
def test_rows_held_out_may_all_be_without_weight(n_classes):
    y = Y if n_classes is None else np.minimum(CODES, 1)
    weight = np.ones(N)
    common = {"n_classes": n_classes, "batch_size": 40, "validation_fraction": 0.25}
    weight[held_rows(plain(cut(X, y, bounds=EVEN), **common))] = 0
    state = plain(cut(X, y, weight, bounds=EVEN), **common).run()
    assert np.isnan(state.progress.scores).all()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("bounds", [EVEN, UNEVEN])
def test_moments_that_overflow_do_not_reach_the_state(bounds):
    """Squares of gradients do so before any loss: Adam would then stand still."""
    fit = plain(
        cut(X.astype(np.float32) * np.float32(1e21), np.minimum(CODES, 1), bounds=bounds),
        n_classes=2,
        batch_size=40,
        sync_every=1,
    )
    state = fit.run()
    assert np.isfinite(state.model.optimiser.moments).all()
    assert isinstance(fit.failure, DivergenceError)
