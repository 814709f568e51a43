"""Gradients are those of the objective, on the host, from sparse rows, and on devices."""

import array_api_strict as xp
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss

from daskml_exec.kernels.array_namespace import to_host
from daskml_exec.kernels.networks.network import forward
from daskml_exec.kernels.probabilities import class_probabilities
from tests.kernels.networks.examples import (
    ACTIVATIONS,
    HIDDEN,
    N_OUTPUTS,
    example,
    loss_and_gradient,
)

STEP = 1e-5
DEVICES = [xp.Device("CPU_DEVICE"), xp.Device("device1")]

on_networks = pytest.mark.parametrize(
    ("output", "activation", "hidden"),
    [(o, a, h) for o in N_OUTPUTS for a in ACTIVATIONS for h in HIDDEN],
)
weighted_and_penalised = pytest.mark.parametrize("weighted", [False, True])
penalties = pytest.mark.parametrize("penalty", [0.0, 0.7])


def objective(network, parameters, X, y, weight, penalty):
    """The objective as its definition has it, of predictions alone."""
    z = forward(network, parameters, X)
    if network.output_name == "identity":
        losses = 0.5 * (z[:, 0] - y) ** 2
    else:
        p = class_probabilities(z, log=True)
        losses = -p[np.arange(len(y)), y.astype(int)]
    weight = np.ones(len(y)) if weight is None else weight
    coefs, _ = network.layout.layers(parameters)
    squares = sum(float((coef**2).sum()) for coef in coefs)
    return (weight @ losses + 0.5 * penalty * squares) / weight.sum()


def differences(network, parameters, *rest):
    """Central finite differences of the objective."""
    slopes = np.empty_like(parameters)
    for i in range(len(parameters)):
        above, below = parameters.copy(), parameters.copy()
        above[i] += STEP
        below[i] -= STEP
        slopes[i] = (objective(network, above, *rest) - objective(network, below, *rest)) / (
            2 * STEP
        )
    return slopes


@on_networks
@weighted_and_penalised
@penalties
def test_gradients_are_slopes_of_the_objective(output, activation, hidden, weighted, penalty):
    network, parameters, X, y, weight = example(output, activation, hidden, n=25)
    weight = weight if weighted else None
    loss, gradient = loss_and_gradient(network, parameters, X, y, weight, penalty)
    expected = objective(network, parameters, X, y, weight, penalty)
    assert loss == pytest.approx(expected, rel=1e-12)
    slopes = differences(network, parameters, X, y, weight, penalty)
    assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8)


@on_networks
@weighted_and_penalised
@penalties
@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_devices_agree_with_the_host(output, activation, hidden, weighted, penalty, device):
    network, parameters, X, y, weight = example(output, activation, hidden)
    weight = weight if weighted else None
    loss, gradient = loss_and_gradient(
        network,
        *(xp.asarray(array, device=device) for array in (parameters, X, y)),
        None if weight is None else xp.asarray(weight, device=device),
        penalty,
    )
    assert gradient.device == device
    expected_loss, expected = loss_and_gradient(network, parameters, X, y, weight, penalty)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    assert_allclose(to_host(gradient), expected, rtol=1e-12, atol=1e-12)


@on_networks
@weighted_and_penalised
def test_sparse_rows_are_dense_rows(output, activation, hidden, weighted):
    network, parameters, X, y, weight = example(output, activation, hidden)
    weight = weight if weighted else None
    loss, gradient = loss_and_gradient(network, parameters, sp.csr_array(X), y, weight, 0.3)
    expected_loss, expected = loss_and_gradient(network, parameters, X, y, weight, 0.3)
    assert loss == pytest.approx(expected_loss, rel=1e-13)
    assert_allclose(gradient, expected, rtol=1e-12, atol=1e-13)
    assert_allclose(forward(network, parameters, sp.csr_array(X)), forward(network, parameters, X))


@on_networks
def test_predictions_do_not_depend_on_blocks_or_devices(output, activation, hidden):
    network, parameters, X, _, _ = example(output, activation, hidden)
    whole = forward(network, parameters, X)
    assert_allclose(forward(network, parameters, X, rows=7), whole, rtol=1e-13, atol=1e-14)
    there = forward(network, *(xp.asarray(array, device=DEVICES[1]) for array in (parameters, X)))
    assert_allclose(to_host(there), whole, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("output", ["softmax", "logistic"])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_inputs_of_the_output_do_not_overflow(output, scale, dtype):
    network, parameters, X, y, _ = example(output, "identity", ()).astype(dtype)
    parameters = parameters * dtype(scale)
    loss, gradient = loss_and_gradient(network, parameters, X, y, None, 0.0)
    assert np.isfinite(loss) and np.isfinite(gradient).all()
    assert loss == pytest.approx(
        objective(network, parameters.astype(float), X.astype(float), y, None, 0.0), rel=1e-4
    )
    on_device, there = loss_and_gradient(
        network, *(xp.asarray(array) for array in (parameters, X, y)), None, 0.0
    )
    assert on_device == pytest.approx(loss, rel=1e-4)
    assert_allclose(to_host(there), gradient, atol=1e-4)


@pytest.mark.parametrize("output", ["softmax", "logistic"])
def test_loss_is_that_of_sklearn(output):
    network, parameters, X, y, weight = example(output)
    loss, _ = loss_and_gradient(network, parameters, X, y, weight, 0.0)
    p = class_probabilities(forward(network, parameters, X))
    assert_allclose(p.sum(axis=1), 1.0)
    assert loss == pytest.approx(log_loss(y, p, sample_weight=weight), rel=1e-12)
    assert_allclose(np.log(p), class_probabilities(forward(network, parameters, X), log=True))
