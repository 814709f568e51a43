"""Whole fits on chunks that live on a device: the answers of the host, and what is transferred.

The device is a stand-in that refuses every way to the host but the explicit one, and logs that.
"""

import itertools
import pickle
import sys
from collections import Counter

import dask.array as da
import numpy as np
import pytest
from distributed import wait
from numpy.testing import assert_allclose

from daskml_exec.executor import Executor
from daskml_exec.kernels import array_namespace
from daskml_exec.kernels.distributions import Gaussian, Logistic, Poisson
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.linear_model._plan import Plan
from daskml_exec.linear_model._problem import Penalty
from tests.device_standin import HOST, LOG, REMOTE, Remote, look, send
from tests.linear_model.without_dask import least_squares, newton

N, D, CHUNK = 260, 5, 100
PARTITIONS, LEAST = 3, 60
ESTIMATORS = {
    "logistic-newton": (LogisticRegression(solver="newton"), "classes-2"),
    "logistic-lbfgs": (LogisticRegression(solver="lbfgs"), "classes-2"),
    "logistic-averaging": (LogisticRegression(solver="averaging"), "classes-2"),
    "softmax-newton": (LogisticRegression(solver="newton"), "classes-3"),
    "softmax-lbfgs": (LogisticRegression(solver="lbfgs"), "classes-3"),
    "softmax-averaging": (LogisticRegression(solver="averaging"), "classes-3"),
    "no-intercept": (LogisticRegression(fit_intercept=False), "classes-3"),
    "poisson-newton": (PoissonRegressor(alpha=0.01, solver="newton"), "counts"),
    "poisson-lbfgs": (PoissonRegressor(alpha=0.01, solver="lbfgs"), "counts"),
    "ridge-newton": (Ridge(solver="newton"), "numbers"),
    "ridge-lbfgs": (Ridge(solver="lbfgs"), "numbers"),
    "least-squares": (LinearRegression(), "numbers"),
}
on_regimes = pytest.mark.parametrize(
    "name",
    ["logistic-lbfgs", "softmax-averaging", "softmax-newton", "poisson-newton", "least-squares"],
)


@pytest.fixture(autouse=True)
def nothing_logged():
    LOG.clear()


@pytest.fixture
def named(monkeypatch):
    """How often each of the two named transfer points was passed, wherever it was imported."""
    counts = Counter()
    for name in ("to_host", "to_device_of"):
        genuine = getattr(array_namespace, name)

        def counted(array, *like, name=name, genuine=genuine):
            counts[name] += not (name == "to_host" and isinstance(array, np.ndarray))
            return genuine(array, *like)

        for key, module in list(sys.modules.items()):
            if key.startswith("daskml_exec.") and getattr(module, name, None) is genuine:
                monkeypatch.setattr(module, name, counted)
    return counts


def rows(target, n=N, d=D, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.logspace(-1, 1, d) + np.arange(d)
    eta = X[:, 0] - X[:, 1]
    y = {
        "classes-2": lambda: (eta + rng.logistic(size=n) > 0).astype(int),
        "classes-3": lambda: np.digitize(eta + rng.logistic(size=n), [-1.0, 1.0]),
        "counts": lambda: rng.poisson(np.exp(0.3 * (eta - eta.mean()))).astype(float),
        "numbers": lambda: eta + rng.normal(size=n),
    }[target]()
    return X, y, rng.exponential(size=n)


def chunked(array, there=False):
    chunks = da.from_array(array, chunks=(CHUNK, *array.shape[1:]))
    return chunks.map_blocks(send) if there else chunks


def fitted(estimator, *data, callbacks=None):
    parameters = estimator.get_params() | {"callbacks": callbacks}
    return type(estimator)(**parameters).fit(*data)


def rows_moved(to):
    """How many rows of X went to a device."""
    shapes = [shape for where, shape in LOG if where == to and shape[1:] == (D,)]
    return sum(shape[0] for shape in shapes if shape[0] > D)


@pytest.mark.parametrize(
    ("name", "weighted", "columns_there"),
    [
        *((name, True, True) for name in ESTIMATORS),
        ("softmax-newton", False, False),
        ("least-squares", False, False),
    ],
)
def test_a_fit_is_the_fit_on_the_host(name, weighted, columns_there):
    estimator, target = ESTIMATORS[name]
    X, y, weight = rows(target)
    weight = weight if weighted else None
    columns = [column for column in (y, weight) if column is not None]
    expected = fitted(estimator, chunked(X), *map(chunked, columns))
    assert not LOG
    there = chunked(X, there=True)
    columns = [chunked(column, columns_there) for column in columns]
    model = fitted(estimator, there, *columns)
    assert LOG and not rows_moved(HOST) and not rows_moved(REMOTE)
    assert isinstance(model.coef_, np.ndarray) and model.coef_.dtype == np.float64
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7, atol=1e-9)
    assert model.score(there, *columns) == pytest.approx(expected.score(X, y, weight), rel=1e-9)
    predicted = model.predict(there).compute()
    assert isinstance(predicted, np.ndarray)
    assert_allclose(predicted, expected.predict(X), rtol=1e-6)
    assert not rows_moved(REMOTE)


@pytest.mark.parametrize("target", ["classes-2", "classes-3"])
def test_margins_and_probabilities_come_back_to_the_host(target):
    X, y, _ = rows(target)
    model = LogisticRegression().fit(X, y)
    there = chunked(X, there=True)
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        found = getattr(model, method)(there).compute()
        assert isinstance(found, np.ndarray)
        assert_allclose(found, getattr(model, method)(X), rtol=1e-9, atol=1e-12)
    # Per block and method, coefficients and intercepts there, and margins back.
    assert len(LOG) == 3 * 3 * PARTITIONS


@pytest.mark.parametrize(
    ("name", "weighted"),
    [*((name, True) for name in ESTIMATORS), ("softmax-newton", False), ("least-squares", False)],
)
def test_what_each_round_transfers(name, weighted, named):
    estimator, target = ESTIMATORS[name]
    X, y, weight = rows(target)
    columns = [chunked(y), chunked(weight)][: 1 + weighted]
    seen = []

    def note(event):
        seen.append((event.record.step, Counter(named), list(LOG)))
        named.clear()
        LOG.clear()

    fitted(estimator, chunked(X, there=True), *columns, callbacks=[note])
    steps = {step for step, *_ in seen}
    assert (
        steps
        == {
            "newton": {"moments", "hessian"},
            "lbfgs": {"moments", "gradient"},
            "averaging": {"moments", "solve", "gradient"},
            "squares": {"normal", "refine"},
            "intercept": {"moments", "hessian"},
        }["squares" if name in ("ridge-newton", "least-squares") else name.rpartition("-")[2]]
    )
    # Of a loss and its gradient: out go two parameters, y, weights and the numbers of the
    # classes; back come loss and two gradients. Of a Hessian: out go center, scales, point and
    # weights, back comes the matrix. Of moments: weights out, two sums back. Of cross moments:
    # out go y, weights and the means, back come means, their error and the scatter.
    out = 3 + weighted + (target == "classes-3")
    per_partition = {
        "moments": (weighted, 2),
        "gradient": (out, 3),
        "refine": (out, 3),
        "hessian": (out + 3 + weighted, 4),
        "normal": (2 + weighted, 3),
    }
    for step, counts, log in seen:
        went, came = counts["to_device_of"], counts["to_host"]
        assert went == sum(to == REMOTE for to, _ in log)
        assert came == sum(to == HOST for to, _ in log)
        if step == "solve":  # as many losses and gradients as each partition needs
            assert came % 3 == 0 and went == came // 3 * out
        else:
            assert (went, came) == tuple(PARTITIONS * count for count in per_partition[step])
        # Nothing that comes back is as long as a partition, and only columns go there.
        assert max(max(shape, default=1) for to, shape in log if to == HOST) < LEAST
        assert max((np.prod(shape) for to, shape in log if to == REMOTE), default=0) <= CHUNK


def test_columns_beside_the_rows_come_to_the_host_once():
    """Targets are checked and encoded there; rounds bring them to the device again."""
    X, y, weight = rows("classes-2")
    there = [chunked(array, there=True) for array in (X, y, weight)]
    first = []
    LogisticRegression(callbacks=[lambda _: first.append(list(LOG)) or True]).fit(*there)
    came = [shape for to, shape in first[0] if to == HOST and len(shape) == 1 and shape[0] > D]
    assert sorted(came) == 2 * [(LEAST,)] + 4 * [(CHUNK,)]


def test_futures_of_device_arrays():
    X, y, weight = rows("classes-3")
    client = Executor.current().client
    cuts = (0, 110, N)

    def futures(array, put=lambda piece: piece):
        return [client.submit(put, array[a:b]) for a, b in itertools.pairwise(cuts)]

    there, labels, weights = futures(X, send), futures(y), futures(weight)
    expected = LogisticRegression().fit(X, y, weight)
    model = LogisticRegression().fit(there, labels, weights)
    assert not rows_moved(HOST)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)
    assert model.score(there, labels, weights) == pytest.approx(expected.score(X, y, weight))
    found = np.concatenate(client.gather(model.predict(there)))
    assert np.array_equal(found, expected.predict(X))


@on_regimes
def test_one_partition_whose_rounds_run_in_one_task(name):
    estimator, target = ESTIMATORS[name]
    X, y, _ = rows(target)
    there = da.from_array(X, chunks=X.shape).map_blocks(send)
    model = fitted(estimator, there, da.from_array(y, chunks=N))
    expected = fitted(estimator, X, y)
    assert model.history_.n_partitions == 1 and not rows_moved(HOST)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)


@on_regimes
def test_an_empty_partition(name):
    estimator, target = ESTIMATORS[name]
    X, y, weight = rows(target)
    client = Executor.current().client
    futures = [
        [client.submit(_piece, array, bounds) for bounds in ((0, 80), (80, 80), (80, N))]
        for array in (X, y, weight)
    ]
    futures[0] = [client.submit(send, piece) for piece in futures[0]]
    expected = fitted(estimator, X, y, weight)
    model = fitted(estimator, *futures)
    assert model.history_.n_partitions == 3 and not rows_moved(HOST)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)


def _piece(array, bounds):
    return array[slice(*bounds)]


@on_regimes
def test_columns_far_from_zero_and_columns_that_do_not_vary(name):
    estimator, target = ESTIMATORS[name]
    X, y, weight = rows(target)
    X[:, 2] = 0.1
    far, near = X.copy(), X.copy()
    far[:, 3] = 1.7e9 + np.round(1e3 * far[:, 3])
    near[:, 3] = far[:, 3] - 1.7e9
    expected = fitted(estimator, chunked(near), chunked(y), chunked(weight))
    model = fitted(estimator, chunked(far, there=True), chunked(y), chunked(weight))
    assert np.all(model.coef_[..., 2] == 0.0)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-6)


@pytest.mark.parametrize("name", ["logistic-newton", "softmax-lbfgs", "poisson-newton"])
def test_single_precision_is_summed_in_single_precision(name):
    estimator, target = ESTIMATORS[name]
    X, y, weight = rows(target)
    X = X.astype(np.float32)
    loose = type(estimator)(**(estimator.get_params() | {"tol": 1e-4}))
    expected = fitted(estimator, X, y, weight)
    model = fitted(loose, chunked(X, there=True), chunked(y), chunked(weight))
    assert model.coef_.dtype == np.float32
    assert_allclose(model.coef_, expected.coef_, rtol=5e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["ridge-newton", "least-squares"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_least_squares_in_single_precision(name):
    """The default `tol` is out of reach; what comes out is right to single precision."""
    estimator, target = ESTIMATORS[name]
    X, y, weight = rows(target)
    X = X.astype(np.float32)
    expected = fitted(estimator, X, y, weight)
    model = fitted(estimator, chunked(X, there=True), chunked(y), chunked(weight))
    assert model.coef_.dtype == np.float32
    assert_allclose(model.coef_, expected.coef_, rtol=1e-4, atol=1e-5)


def test_integers_become_doubles_on_the_device():
    X, y, _ = rows("classes-2")
    X = np.round(X).astype(int)
    model = LogisticRegression().fit(chunked(X, there=True), chunked(y))
    assert not rows_moved(HOST)
    assert_allclose(model.coef_, LogisticRegression().fit(X, y).coef_, rtol=1e-7)


def test_mixed_precisions_are_brought_to_the_wider_on_the_device():
    X, y, _ = rows("classes-2")
    X = X.astype(np.float32).astype(np.float64)
    client = Executor.current().client
    there = [client.submit(send, part) for part in (X[:100].astype(np.float32), X[100:])]
    labels = [client.submit(_piece, y, bounds) for bounds in ((0, 100), (100, N))]
    model = LogisticRegression().fit(there, labels)
    assert model.coef_.dtype == np.float64 and not rows_moved(HOST)
    assert_allclose(model.coef_, LogisticRegression().fit(X, y).coef_, rtol=1e-7)


def test_chunks_along_the_features_are_joined_on_the_device():
    X, y, _ = rows("classes-2")
    there = da.from_array(X, chunks=(CHUNK, 2)).map_blocks(send)
    model = LogisticRegression().fit(there, chunked(y))
    assert not rows_moved(HOST)
    expected = LogisticRegression().fit(X, y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)
    assert np.array_equal(model.predict(there).compute(), expected.predict(X))


@on_regimes
def test_what_is_not_finite_is_named(name):
    estimator, target = ESTIMATORS[name]
    X, y, _ = rows(target)
    X[CHUNK + 3, 2] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN in partition 1, column 2 \(row 3"):
        fitted(estimator, chunked(X, there=True), chunked(y))


@pytest.mark.parametrize("target", ["classes-2", "counts", "numbers"])
def test_targets_in_memory_score_predictions_on_the_device(target):
    X, y, weight = rows(target)
    estimator = {
        "classes-2": LogisticRegression(),
        "counts": PoissonRegressor(alpha=0.1),
        "numbers": Ridge(),
    }[target].fit(X, y)
    there = chunked(X, there=True)
    assert estimator.score(there, y, weight) == pytest.approx(estimator.score(X, y, weight))


@pytest.mark.parametrize("kind", ["dask array", "futures"])
def test_targets_on_the_device_of_rows_in_memory(kind):
    X, y, _ = rows("classes-2")
    there = (
        chunked(y, there=True)
        if kind == "dask array"
        else [Executor.current().client.submit(send, y)]
    )
    model, expected = LogisticRegression().fit(X, there), LogisticRegression().fit(X, y)
    assert np.array_equal(model.coef_, expected.coef_)
    assert model.score(X, there) == expected.score(X, y)


# The regimes of Newton that only large data meets, on partitions of this process.

FAMILIES = {"classes-2": Logistic(2), "classes-3": Logistic(3), "counts": Poisson()}


@pytest.mark.parametrize("target", FAMILIES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "plan",
    [
        Plan("hessian", "", hessian_share=0.3, pool_share=0.1),
        Plan("hessian", "", hessian_share=1.0, pool_share=0.0, every_round=True),
        Plan("hessian-vector products", "", pool_share=0.25),
    ],
    ids=["sampled", "all", "products"],
)
def test_newton_with_samples_of_rows(target, weighted, plan):
    X, y, weight = rows(target, n=2000)
    weight = weight if weighted else None
    options = {"penalty": Penalty(1e-3, of_sum=False), "cuts": (700, 700, 1500), "plan": plan}
    expected, _ = newton(FAMILIES[target], X, y, weight, **options)
    assert not LOG
    state, steps = newton(FAMILIES[target], send(X), y, weight, **options)
    assert state.converged
    assert_allclose(state.parameters.coef, expected.parameters.coef, rtol=1e-6, atol=1e-9)
    # The pool, and nothing but the pool, comes to the host; never does a row go there.
    moved = rows_moved(HOST)
    assert abs(moved - plan.pool_share * 2000) <= 5 * (plan.pool_share > 0)
    assert not rows_moved(REMOTE)
    assert [step for step, _ in steps].count("moments") == 1


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_least_squares_on_parts(alpha):
    X, y, weight = rows("numbers", n=1000)
    expected, _ = least_squares(X, y, weight, alpha=alpha, cuts=(10, 400))
    state, _ = least_squares(send(X), y, weight, alpha=alpha, cuts=(10, 400))
    assert state.converged and not rows_moved(HOST)
    assert_allclose(state.parameters.coef, expected.parameters.coef, rtol=1e-9)


def test_the_family_of_least_squares_takes_newton_too():
    X, y, weight = rows("numbers", n=1000)
    options = {"penalty": Penalty(1e-3, of_sum=False), "cuts": (10, 400)}
    expected, _ = newton(Gaussian(), X, y, weight, **options)
    state, _ = newton(Gaussian(), send(X), y, weight, **options)
    assert_allclose(state.parameters.coef, expected.parameters.coef, rtol=1e-8)


# The stand-in itself, since what it does not refuse is not tested.


@pytest.mark.parametrize(
    "act",
    [
        np.asarray,
        np.array,
        np.from_dlpack,
        np.sum,
        float,
        int,
        bool,
        list,
        lambda x: x + np.ones(3),
        lambda x: np.ones(3) + x,
        lambda x: np.ones(3) @ x,
        lambda x: x * np.float64(1),
        lambda x: np.float64(1) * x,
        lambda x: np.add(x, 1),
        lambda x: np.concatenate([x, np.ones(3)]),
        lambda x: x[np.array([0])],
        lambda x: np.zeros(3).__setitem__(slice(None), x),
        lambda x: x.to_device(HOST) + x,
        lambda x: x.T,
    ],
)
def test_the_stand_in_refuses(act):
    with pytest.raises((TypeError, BufferError, IndexError, AttributeError)):
        act(send(np.ones(3)))
    assert len(LOG) <= 1


def test_the_stand_in_is_an_array_all_the_same():
    there = pickle.loads(pickle.dumps(send(np.arange(6.0).reshape(2, 3))))
    assert isinstance(there, Remote) and there.device == REMOTE
    assert np.array_equal(look(2.0 - there[:, 1:] / 2), [[1.5, 1.0], [0.0, -0.5]])
    assert not LOG
    assert np.array_equal(array_namespace.to_host(there), np.arange(6.0).reshape(2, 3))
    back = array_namespace.to_device_of(np.ones(2), there)
    assert isinstance(back, Remote)
    assert LOG == [(HOST, (2, 3)), (REMOTE, (2,))]


def test_the_stand_in_stays_a_chunk_of_a_persisted_array():
    executor = Executor.current()
    (there,) = executor.client.persist([chunked(np.ones((N, D)), there=True)])
    wait(there)
    assert {type(block) for block in executor.client.gather(executor.client.futures_of(there))} == {
        Remote
    }
