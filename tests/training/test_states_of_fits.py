"""The states of all fits survive as named arrays and JSON, and go on with the same bits."""

import json
from functools import reduce

import numpy as np
import pytest

from daskml_exec.kernels.distributions import Gaussian, Logistic, Poisson
from daskml_exec.kernels.networks.blocks.training import BlockSums
from daskml_exec.kernels.networks.layout import Layout
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import Adam
from daskml_exec.linear_model._first_order import Averaging, Beginning, Gradients
from daskml_exec.linear_model._lasso_rounds import Lasso, LassoBeginning
from daskml_exec.linear_model._least_squares import LeastSquares, LeastSquaresBeginning
from daskml_exec.linear_model._newton import Newton, NewtonBeginning
from daskml_exec.linear_model._newton_l1 import NewtonL1
from daskml_exec.linear_model._plan import GRAM, HESSIAN, PRODUCTS, SPAN, WORKING_SET, Plan
from daskml_exec.linear_model._problem import GLMProblem, Penalty
from daskml_exec.neural_network._block_plan import block_plan
from daskml_exec.neural_network._block_steps import BlocksState, BlockSteps, BlockUnits, Found
from daskml_exec.neural_network._problem import NetworkProblem
from daskml_exec.training import state_from_arrays, state_to_arrays
from daskml_exec.training.averaging import Progress, Stopping
from tests.linear_model.without_dask import cut
from tests.neural_network import without_dask as networks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
Y = X @ [1.0, -2.0, 0.5, 0.0, 0.3] + RNG.normal(size=120)
CODES = np.digitize(Y, [-1.0, 1.0])
SPARSE = Penalty(3.0, of_sum=True, l1_share=0.9)
WEAK, PENALTY = Penalty(0.0, of_sum=True), Penalty(1.0, of_sum=True)


def newton(regime, **shares):
    return Newton(GLMProblem(Logistic(3), PENALTY, True), 1e-10), NewtonBeginning(
        Plan(regime, "", **shares), 100
    )


FITS = {
    "hessian": (*newton(HESSIAN, hessian_share=0.5, pool_share=0.25), CODES),
    "products": (*newton(PRODUCTS, pool_share=0.5), CODES),
    "share of l1": (
        NewtonL1(GLMProblem(Logistic(3), SPARSE, True), 1e-10),
        NewtonBeginning(Plan(HESSIAN, "", hessian_share=0.5, pool_share=0.25), 100),
        CODES,
    ),
    "working set": (
        NewtonL1(GLMProblem(Poisson(), SPARSE, True), 1e-10),
        NewtonBeginning(Plan(WORKING_SET, "", hessian_share=0.5, pool_share=0.25), 100),
        CODES,
    ),
    "lasso": (
        Lasso(GLMProblem(Gaussian(), SPARSE, True), 1e-10),
        LassoBeginning(Plan(GRAM, ""), 9),
        Y,
    ),
    "span": (*newton(SPAN, pool_share=1.0, otherwise=Plan(HESSIAN, "", 1.0)), CODES),
    "gradients": (Gradients(GLMProblem(Poisson(), PENALTY, True), 1e-10), Beginning(100), CODES),
    "averaging": (Averaging(GLMProblem(Logistic(3), PENALTY, True), 1e-8, 3), Beginning(9), CODES),
    "normal": (
        LeastSquares(GLMProblem(Gaussian(), WEAK, True), 1e-10),
        LeastSquaresBeginning(9),
        Y,
    ),
}


def survived(algorithm, state):
    arrays, about = state_to_arrays(state, algorithm.states)
    return state_from_arrays(arrays, json.loads(json.dumps(about)), algorithm.states)


def bits(algorithm, state):
    arrays, about = state_to_arrays(state, algorithm.states)
    return {name: array.tobytes() for name, array in arrays.items()}, json.dumps(about)


@pytest.mark.parametrize("name", FITS)
def test_linear_models(name):
    algorithm, state, y = FITS[name]
    partitions = cut(X, y, cuts=(40, 70))
    other, rounds = survived(algorithm, state), 0
    while (query := algorithm.ask(state)) is not None:
        again = algorithm.ask(other)
        answers = [
            reduce(each.combine, [each.partial(part) for part in partitions])
            for each in (query, again)
        ]
        state, _ = algorithm.tell(state, query, answers[0])
        other, _ = algorithm.tell(other, again, answers[1])
        other, rounds = survived(algorithm, other), rounds + 1
        assert bits(algorithm, state) == bits(algorithm, other)
    assert rounds > 1


@pytest.mark.parametrize("compression", [None, "fp16", "topk:0.1"])
@pytest.mark.parametrize("n_classes", [None, 3])
def test_networks(compression, n_classes):
    fits = [
        networks.plain(
            networks.cut(X, Y if n_classes is None else CODES, bounds=[0, 40, 70, 120]),
            n_classes=n_classes,
            batch_size=30,
            sync_every=1,
            max_iter=2,
            compression=compression,
            outer="nesterov",
            validation_fraction=0.0 if compression else 0.25,
        )
        for _ in range(2)
    ]
    fit, other = fits
    while fit.algorithm.ask(fit.state) is not None:
        fit.round()
        other.round()
        other.state = survived(other.algorithm, other.state)
        assert bits(fit.algorithm, fit.state) == bits(other.algorithm, other.state)


def test_networks_in_blocks():
    """Told what Workers have found in parts of epochs; the blocks themselves stay with them."""
    plan = block_plan([60, 50, 40], 20, n_blocks=2, n_replicas=2, sync_every=2, seed=0)
    network = Network(Layout((5, 4, 3)), "relu", "softmax")
    problem = NetworkProblem(network, Adam(0.9, 0.999, 1e-8), None, 1e-4, None, 0, True, 0.0)
    algorithm = BlockSteps(
        BlockUnits(problem, plan, np.dtype(float)), Stopping(1e-4, 10, False, "constant", 1e-3)
    )
    state = other = BlocksState(Progress(1e-3), max_iter=2)
    rounds = 0
    while (query := algorithm.ask(state)) is not None:
        again = algorithm.ask(other)
        assert query.work == again.work
        segment, rounds = query.cut(3), rounds + 1
        sums = {
            replica: BlockSums(0.1 * rounds, 30.0 * rounds, rounds, {0: 0.3, 1: 0.7}, True)
            for replica in range(2)
        }
        answer = [Found(sums, {0: 10.0, 1: 20.0})]
        state, _ = algorithm.tell(state, segment, answer)
        other = survived(algorithm, algorithm.tell(other, again.cut(3), answer)[0])
        assert bits(algorithm, state) == bits(algorithm, other)
    assert rounds > 2 and state.progress.epochs == 2
