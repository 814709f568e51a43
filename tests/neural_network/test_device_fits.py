"""Whole fits on chunks that live on a device: the answers of the host, and what is transferred.

The device is a stand-in that refuses every way to the host but the explicit one, and logs that.
"""

import operator

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec.executor import Executor
from daskml_exec.neural_network import DivergenceError, MLPClassifier, MLPRegressor
from tests.device_standin import HOST, LOG, REMOTE, Namespace, Remote, send

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]

N, D, CHUNK, PARTITIONS = 260, 5, 100, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D))
NUMBERS = X[:, 0] - X[:, 1] + 0.2 * RNG.normal(size=N)
TARGETS = {"two": (NUMBERS > 0).astype(int), "three": np.digitize(NUMBERS, [-1.0, 1.0])}
TARGETS["numbers"] = NUMBERS
WEIGHT = RNG.exponential(size=N)
SMALL = {
    "hidden_layer_sizes": (6, 3),
    "learning_rate_init": 0.01,
    "max_iter": 3,
    "sync_every": 2,
    "batch_size": 60,
    "random_state": 1,
}
CASES = {
    "two-adam": ("two", {}),
    "two-sgd": ("two", {"solver": "sgd", "activation": "tanh"}),
    "three-adam": ("three", {"activation": "logistic"}),
    "three-sgd": ("three", {"solver": "sgd", "momentum": 0.0, "outer": "average"}),
    "numbers-adam": ("numbers", {"activation": "identity", "early_stopping": True}),
    "numbers-sgd": ("numbers", {"solver": "sgd", "nesterovs_momentum": False}),
    "three-early": ("three", {"early_stopping": True, "alpha": 0.1}),
    "two-dealt": ("two", {"shuffle": "partitions"}),
    "numbers-fp16": ("numbers", {"compression": "fp16", "shuffle": False}),
}
on_cases = pytest.mark.parametrize("name", CASES)


def _of_values(function):
    return staticmethod(lambda array: Remote(function(array._values)))


@pytest.fixture(autouse=True)
def device_for_networks(monkeypatch):
    """The stand-in, with what networks need beyond what the linear models do; nothing logged."""
    LOG.clear()
    for name in ("tanh", "sign"):
        monkeypatch.setattr(Namespace, name, _of_values(getattr(np, name)), raising=False)
    for name in ("divide", "matmul"):
        function = getattr(operator, {"divide": "truediv"}.get(name, name))
        monkeypatch.setattr(Namespace, name, staticmethod(function), raising=False)
    arange = staticmethod(lambda n, *, device: Remote(np.arange(n), device))
    monkeypatch.setattr(Namespace, "arange", arange, raising=False)
    # Not in the standard, but NumPy, CuPy and PyTorch have it.
    reshape = lambda array, shape: Namespace.reshape(array, shape)  # noqa: E731
    monkeypatch.setattr(Remote, "reshape", reshape, raising=False)


def chunked(array, there=False):
    chunks = da.from_array(array, chunks=(CHUNK, *array.shape[1:]))
    return chunks.map_blocks(send) if there else chunks


def network(name, **arguments):
    target, given = CASES[name]
    kind = MLPRegressor if target == "numbers" else MLPClassifier
    return kind(**SMALL | given | arguments), TARGETS[target]


def rows_moved(to):
    """How many rows of X went to a device."""
    return sum(shape[0] for where, shape in LOG if where == to and shape[1:] == (D,))


def assert_same_network(there, here, rtol=1e-8):
    for name in ("coefs_", "intercepts_"):
        for found, expected in zip(getattr(there, name), getattr(here, name), strict=True):
            assert isinstance(found, np.ndarray) and found.dtype == expected.dtype
            assert_allclose(found, expected, rtol=rtol, atol=rtol)
    assert there.loss_curve_ == pytest.approx(here.loss_curve_, rel=rtol)


@on_cases
@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_fit_is_the_fit_on_the_host(name, weighted):
    model, y = network(name)
    weight = WEIGHT if weighted else None
    columns = [column for column in (y, weight) if column is not None]
    expected = network(name)[0].fit(chunked(X), *map(chunked, columns))
    assert not LOG
    there = chunked(X, there=True)
    columns_there = [chunked(column, weighted) for column in columns]
    model.fit(there, *columns_there)
    assert LOG and not rows_moved(HOST) and not rows_moved(REMOTE)
    assert model.history_.n_partitions == PARTITIONS
    # A change that lies between two numbers of half precision may go either way.
    rtol = 1e-3 if model.compression else 1e-8
    assert_same_network(model, expected, rtol)
    if model.early_stopping:
        assert model.validation_scores_ == pytest.approx(expected.validation_scores_, rel=1e-8)
    assert model.score(there, *columns_there) == pytest.approx(model.score(X, *columns), rel=1e-9)
    predicted = model.predict(there).compute()
    assert isinstance(predicted, np.ndarray) and not rows_moved(REMOTE)
    assert_allclose(predicted, model.predict(X), rtol=1e-8)


@pytest.mark.parametrize("target", ["two", "three"])
def test_probabilities_come_back_to_the_host(target):
    model, y = network(f"{target}-adam")
    model.fit(X, y)
    there = chunked(X, there=True)
    for method in ("predict_proba", "predict_log_proba"):
        found = getattr(model, method)(there).compute()
        assert isinstance(found, np.ndarray)
        assert_allclose(found, getattr(model, method)(X), rtol=1e-9, atol=1e-12)
    # Per block and method, the parameters there, and the margins back.
    assert len(LOG) == 2 * 2 * PARTITIONS


@pytest.mark.parametrize(("name", "weighted"), [(name, i % 2 == 0) for i, name in enumerate(CASES)])
def test_parameters_cross_once_per_round_and_partition(name, weighted):
    seen = []

    def note(event):
        seen.append((event.record, list(LOG)))
        LOG.clear()

    model, y = network(name, callbacks=[note])
    model.fit(chunked(X, there=True), y, *([WEIGHT] if weighted else []))
    size = sum(piece.size for piece in (*model.coefs_, *model.intercepts_))
    n_moments = {"adam": 2, "sgd": 1 if model.momentum else 0}[model.solver]
    for record, log in seen[1:]:  # in the first one the data is looked at, too
        parameters = {
            to: [shape for at, shape in log if at == to and shape == (size,)]
            for to in (REMOTE, HOST)
        }
        if record.step == "score":
            assert len(parameters[REMOTE]) == PARTITIONS and not parameters[HOST]
            continue
        moments = [to for to, shape in log if shape == (n_moments, size)]
        # A partition of fewer rows may have no batch left in the last round of an epoch.
        at_work = len(parameters[REMOTE])
        assert 1 <= at_work <= PARTITIONS and len(parameters[HOST]) == at_work
        assert sorted(moments) == [HOST] * at_work + [REMOTE] * at_work
        # Besides, out go the order of the rows, targets and weights, and back comes the loss.
        assert sum(to == REMOTE for to, _ in log) == at_work * (4 + weighted)
        assert sum(to == HOST for to, _ in log) == at_work * 3
    assert {record.step for record, _ in seen} == (
        {"train", "score"} if model.early_stopping else {"train"}
    )
    assert max(len(log) for _, log in seen) <= 12 * PARTITIONS


@pytest.mark.parametrize("name", ["two-adam", "three-early", "numbers-sgd"])
def test_one_partition_whose_rounds_run_in_one_task(name):
    model, y = network(name)
    model.fit(da.from_array(X, chunks=X.shape).map_blocks(send), da.from_array(y, chunks=N))
    assert model.history_.n_partitions == 1 and not rows_moved(HOST)
    assert_same_network(model, network(name)[0].fit(X, y))


@pytest.mark.parametrize("name", ["two-adam", "numbers-sgd"])
def test_partial_fit_goes_on_there(name):
    model, y = network(name)
    expected, _ = network(name)
    known = {"classes": [0, 1]} if name == "two-adam" else {}
    for _ in range(2):
        model.partial_fit(chunked(X, there=True), y, **known)
        expected.partial_fit(chunked(X), y, **known)
    assert_same_network(model, expected)


@pytest.mark.parametrize("name", ["three-adam", "numbers-adam"])
def test_futures_and_an_empty_partition(name):
    client = Executor.current().client
    model, y = network(name)
    cuts = [(0, 80), (80, 80), (80, N)]
    there = [client.submit(send, X[a:b]) for a, b in cuts]
    here = [client.submit(np.asarray, X[a:b]) for a, b in cuts]
    model.fit(there, y, WEIGHT)
    assert model.history_.n_partitions == 3 and not rows_moved(HOST)
    assert_same_network(model, network(name)[0].fit(here, y, WEIGHT))


@pytest.mark.parametrize("name", ["three-adam", "numbers-sgd"])
def test_single_precision_stays_single(name):
    single = X.astype(np.float32)
    model, y = network(name)
    model.fit(chunked(single, there=True), y)
    expected = network(name)[0].fit(chunked(single), y)
    assert model.coefs_[0].dtype == np.float32
    assert_same_network(model, expected, rtol=1e-3)


@pytest.mark.parametrize("name", ["two-adam", "numbers-sgd"])
def test_what_is_not_finite_is_named(name):
    rows = X.copy()
    rows[CHUNK + 3, 2] = np.nan
    model, y = network(name)
    with pytest.raises(ValueError, match=r"contains NaN in partition 1, column 2 \(row 3"):
        model.fit(chunked(rows, there=True), y)


def test_what_diverges_there_is_found():
    model, y = network("numbers-sgd", learning_rate_init=1e6, max_iter=50)
    with pytest.raises(DivergenceError, match="training diverged in round"):
        model.fit(chunked(X, there=True), 1e3 * y)
    assert not hasattr(model, "coefs_")
