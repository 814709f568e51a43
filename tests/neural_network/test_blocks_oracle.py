"""A network in blocks takes the steps of the whole network, however it is cut."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.utils import check_random_state

from daskml_exec.kernels.networks.layout import Layout, initial_parameters
from daskml_exec.kernels.networks.local_steps import train_locally
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import SGD, Adam, init
from daskml_exec.neural_network._block_plan import block_plan
from daskml_exec.neural_network._problem import NetworkProblem
from tests.neural_network.block_fits import (
    SHARED,
    TARGETS,
    WEIGHT,
    D,
    N,
    X,
    distance,
    in_chunks,
    model_parallel,
    network,
    parts,
)
from tests.neural_network.test_oracle import sklearn_from
from tests.neural_network.without_dask import cut

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]
SGD_ADAPTIVE = {
    "solver": "sgd",
    "learning_rate": "adaptive",
    "learning_rate_init": 0.1,
    "n_iter_no_change": 1,
    "tol": 1.0,
    "max_iter": 8,
}
CASES = {
    "adam": ("classes", {}),
    "one layer": ("numbers", {"hidden_layer_sizes": (9,)}),
    "three layers": ("classes", {"hidden_layer_sizes": (7, 5, 6), "activation": "tanh"}),
    "four layers": ("numbers", {"hidden_layer_sizes": (4, 7, 5, 6), "activation": "logistic"}),
    "nesterov": ("two classes", {"solver": "sgd", "alpha": 0.5}),
    "momentum": ("numbers", {"solver": "sgd", "nesterovs_momentum": False, "alpha": 0.5}),
    "plain": ("classes", {"solver": "sgd", "momentum": 0, "activation": "identity"}),
    "adaptive": ("classes", SGD_ADAPTIVE),
    "invscaling": ("two classes", {"solver": "sgd", "learning_rate": "invscaling"}),
    "in order": ("classes", {"shuffle": False, "alpha": 1.0}),
    "one step an epoch": ("numbers", {"batch_size": "auto"}),
}


@pytest.mark.parametrize("case", CASES)
def test_blocks_are_the_whole_network(case):
    """On one partition, data parallelism has nothing to average: it is the whole network."""
    target, arguments = CASES[case]
    y = TARGETS[target]
    whole = network(target, **arguments).fit(X, y)
    for n_blocks in (1, 2, 4):
        model = model_parallel(target, n_blocks, **arguments).fit(X, y)
        assert distance(model, whole) < 1e-10
        np.testing.assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-10)
        assert (model.n_iter_, model.t_) == (whole.n_iter_, whole.t_)
        assert model.loss_ == model.loss_curve_[-1] and model.best_loss_ == min(model.loss_curve_)


def test_the_adaptive_rate_did_fall():
    model = model_parallel(**SGD_ADAPTIVE).fit(X, TARGETS["classes"])
    assert model._progress.learning_rate < 0.1


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_sample_weights_and_sparse_rows(target, kind):
    y = TARGETS[target]
    whole = network(target).fit(X, y, WEIGHT)
    model = model_parallel(target).fit(kind(X), y, WEIGHT)
    assert (WEIGHT == 0).sum() > 30
    assert distance(model, whole) < 1e-10
    np.testing.assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-10)


def test_a_row_without_weight_is_a_row_that_is_not_there():
    y, kept = TARGETS["numbers"], WEIGHT > 0
    model = model_parallel("numbers", shuffle=False).fit(in_chunks(X, 70, 80), y, WEIGHT)
    lengths = kept[:70].sum(), kept[70:].sum()
    without = model_parallel("numbers", shuffle=False)
    without.fit(in_chunks(X[kept], *lengths), y[kept], WEIGHT[kept])
    assert distance(model, without) < 1e-10


def test_several_partitions_are_gone_through_one_by_one():
    """In their own order, where nothing is shuffled; and a step's rows are of one of them."""
    y = TARGETS["classes"]
    model = model_parallel(shuffle=False).fit(in_chunks(X, 64, 0, 32, 54), y)
    whole = network(shuffle=False).fit(X, y)
    assert distance(model, whole) < 1e-10


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_the_weights_are_those_of_sklearn(target, solver):
    y = TARGETS[target]
    arguments = {"solver": solver, "shuffle": False, "alpha": 0.05, "learning_rate_init": 0.01}
    model = model_parallel(target, **arguments).fit(X, y, WEIGHT + 0.1)
    n_outputs = model.n_outputs_
    layout = Layout((D, *SHARED["hidden_layer_sizes"], n_outputs))
    seed = check_random_state(4).randint(np.iinfo(np.int32).max)
    start = initial_parameters(layout, seed=seed, logistic=False, dtype=np.dtype(float))
    oracle = sklearn_from(layout, start, target == "numbers", **SHARED | arguments)
    oracle.fit(X, y, sample_weight=WEIGHT + 0.1)
    assert distance(model, oracle) < 1e-10


def test_single_precision():
    y = TARGETS["numbers"]
    model = model_parallel("numbers").fit(X.astype(np.float32), y)
    assert {part.dtype for part in parts(model)} == {np.dtype(np.float32)}
    whole = network("numbers").fit(X.astype(np.float32), y)
    assert distance(model, whole) < 1e-4
    assert model.predict(X[:3].astype(np.float32)).dtype == np.float32


def test_predictions_and_what_follows():
    y = TARGETS["classes"]
    model = model_parallel(learning_rate_init=0.01, max_iter=30).fit(X, y)
    assert model.score(X, y) > 0.8
    assert model.predict_proba(X).shape == (N, 3)
    np.testing.assert_array_equal(model.to_sklearn().predict(X), model.predict(X))


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_warm_start(solver):
    y = TARGETS["classes"]
    whole = network(solver=solver, warm_start=True).fit(X, y).fit(X, y)
    model = model_parallel(solver=solver, warm_start=True).fit(X, y)
    model.fit(X, y)
    assert distance(model, whole) < 1e-10
    model.set_params(n_blocks=5).fit(X, y)
    whole.fit(X, y)
    assert distance(model, whole) < 1e-10, "cut in another way"
    model.set_params(parallel="data", n_blocks="auto").fit(X, y)
    assert distance(model, whole.fit(X, y)) < 1e-10, "whole again"


# Replicas.


@pytest.mark.parametrize(
    ("target", "n_replicas", "arguments"),
    [
        ("classes", 2, {}),
        ("two classes", 3, {"solver": "sgd", "alpha": 0.5}),
        ("numbers", 2, {"sync_every": 1, "activation": "tanh"}),
        ("numbers", 3, {"sync_every": "epoch", "shuffle": False}),
    ],
)
def test_replicas_of_a_partition_each_are_data_parallel(target, n_replicas, arguments):
    """Where every replica has one partition, its average is that of local models."""
    y, size = TARGETS[target], N // n_replicas
    rows = in_chunks(X, *[size] * n_replicas)
    arguments = {"batch_size": 16 * n_replicas, "sync_every": 2} | arguments
    hybrid = network(target, parallel="hybrid", n_blocks=2, n_replicas=n_replicas, **arguments)
    averaged = network(target, outer="average", **arguments).fit(rows, y)
    assert distance(hybrid.fit(rows, y), averaged) < 1e-10
    np.testing.assert_allclose(hybrid.loss_curve_, averaged.loss_curve_, rtol=1e-10)


def average_by_hand(lengths, y, weight, *, n_replicas, sync_every, seed, epochs, batch_size):
    """Train whole replicas partition by partition, and average them: plain NumPy."""
    layout = Layout((D, *SHARED["hidden_layer_sizes"], 1))
    net, adam = Network(layout, "relu", "identity"), Adam(0.9, 0.999, 1e-8)
    lengths = [length for length in lengths if length]  # empty partitions are no partitions
    partitions = cut(X, y, weight, bounds=np.cumsum([0, *lengths]).tolist())
    problem = NetworkProblem(net, adam, None, 1e-4, None, seed, True, 0.0, None)
    plan = block_plan(
        lengths, batch_size, n_blocks=1, n_replicas=n_replicas, sync_every=sync_every, seed=seed
    )
    start = initial_parameters(layout, seed=seed, logistic=False, dtype=np.dtype(float))
    replicas = [(start.copy(), init(adam, layout.size, start.dtype)) for _ in range(n_replicas)]
    for epoch in range(epochs):
        for first in range(0, plan.steps_per_epoch, plan.sync_steps):
            seen = np.zeros(n_replicas)
            n_steps = min(plan.sync_steps, plan.steps_per_epoch - first)
            for replica, (parameters, state) in enumerate(replicas):
                for stretch in plan.stretches(replica, epoch, first, n_steps):
                    partition = partitions[stretch.partition]
                    rows = problem.rows_in_order(partition, epoch)
                    sums = train_locally(
                        net,
                        adam,
                        partition.X,
                        partition.y,
                        partition.sample_weight,
                        rows=rows[stretch.first_row : stretch.last_row],
                        batch=plan.batch,
                        parameters=parameters,
                        state=state,
                        learning_rate=1e-3,
                        penalty=1e-4 / n_replicas,
                    )
                    seen[replica] += sums.weight
            for at in range(3):
                arrays = [(p, s.moments, s.scales)[at] for p, s in replicas]
                average = np.average(arrays, axis=0, weights=seen)
                for array in arrays:
                    array[...] = average
    return layout.layers(replicas[0][0])


@pytest.mark.parametrize(
    ("lengths", "n_replicas"),
    [((40, 30, 50, 30), 2), ((60, 20, 30, 40), 3), ((25, 0, 75, 50), 2)],
)
def test_replicas_of_several_partitions_by_hand(lengths, n_replicas):
    y, weight = TARGETS["numbers"], WEIGHT + 0.2
    hybrid = network(
        "numbers", parallel="hybrid", n_blocks=3, n_replicas=n_replicas, sync_every=2
    ).fit(in_chunks(X, *lengths), y, weight)
    layers = average_by_hand(
        lengths,
        y,
        weight,
        n_replicas=n_replicas,
        sync_every=2,
        seed=int(check_random_state(4).randint(np.iinfo(np.int32).max)),
        epochs=3,
        batch_size=32,
    )
    for part, expected in zip(parts(hybrid), [*layers.coefs, *layers.intercepts], strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-10)


def test_sgd_has_moments_that_are_averaged_too():
    """With momentum, replicas that did not share it would go apart after the first average."""
    assert SGD(0.9, True).n_moments == 1
    y = TARGETS["numbers"]
    rows = in_chunks(X, 75, 75)
    shared = {"solver": "sgd", "sync_every": 1, "batch_size": 32, "max_iter": 4}
    hybrid = network("numbers", parallel="hybrid", n_blocks=2, **shared).fit(rows, y)
    averaged = network("numbers", outer="average", **shared).fit(rows, y)
    assert distance(hybrid, averaged) < 1e-10
