"""Steps on a device are those on the host, and nothing comes back before the last."""

import array_api_strict as xp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec.kernels import array_namespace
from daskml_exec.kernels.array_namespace import to_device_of, to_host
from daskml_exec.kernels.networks import local_steps
from daskml_exec.kernels.networks.local_steps import train_locally
from daskml_exec.kernels.networks.optimisers import init
from tests.kernels.networks.examples import N_OUTPUTS, OPTIMISERS, example
from tests.kernels.test_devices import DEVICES, no_other_way_to_the_host

GENUINE = {"to_host": to_host, "to_device_of": to_device_of}
on_devices = pytest.mark.parametrize(("device", "dtype"), DEVICES)


def trained(e, X, optimiser, weight, dtype):
    parameters = e.parameters.copy()
    state = init(optimiser, len(parameters), np.dtype(dtype))
    sums = train_locally(
        e.network,
        optimiser,
        X,
        e.y,
        weight,
        rows=np.random.default_rng(1).permutation(60),
        batch=16,
        parameters=parameters,
        state=state,
        learning_rate=0.02,
        penalty=0.3,
    )
    return parameters, state, sums


@on_devices
@pytest.mark.parametrize("optimiser", OPTIMISERS.values(), ids=OPTIMISERS)
@pytest.mark.parametrize("output", N_OUTPUTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_steps_are_those_on_the_host(device, dtype, optimiser, output, weighted):
    e = example(output).astype(dtype)
    weight = e.weight.copy()
    weight[np.random.default_rng(1).permutation(60)[16:32]] = 0  # the whole second batch
    weight = weight if weighted else None
    expected, state, sums = trained(e, e.X, optimiser, weight, dtype)
    there = xp.asarray(e.X, device=device)
    with no_other_way_to_the_host():
        found, state_there, sums_there = trained(e, there, optimiser, weight, dtype)
    rtol, atol = (1e-11, 1e-12) if dtype == np.float64 else (1e-4, 1e-4)
    assert found.dtype == dtype
    assert_allclose(found, expected, rtol=rtol, atol=atol)
    assert_allclose(state_there.moments, state.moments, rtol=rtol, atol=atol)
    assert_allclose(state_there.scales, state.scales, rtol=1e-15)
    assert sums_there.steps == sums.steps == (3 if weighted else 4)
    assert sums_there.weight == pytest.approx(sums.weight, rel=1e-12)
    assert sums_there.loss == pytest.approx(sums.loss, rel=rtol)


@pytest.mark.parametrize("batch", [60, 16, 4])
def test_transfers_do_not_depend_on_the_number_of_steps(batch, monkeypatch):
    counts = {"to_host": 0, "to_device_of": 0}
    for name in counts:

        def counted(*args, name=name):
            counts[name] += 1
            return GENUINE[name](*args)

        for module in (array_namespace, local_steps):
            monkeypatch.setattr(module, name, counted)
    e = example("identity")
    parameters, optimiser = e.parameters.copy(), OPTIMISERS["adam"]
    with no_other_way_to_the_host():
        train_locally(
            e.network,
            optimiser,
            xp.asarray(e.X, device=xp.Device("device1")),
            e.y,
            None,
            rows=np.arange(60),
            batch=batch,
            parameters=parameters,
            state=init(optimiser, len(parameters), np.dtype(float)),
            learning_rate=0.02,
            penalty=0.3,
        )
    # Out: targets, parameters, moments. Back: parameters, moments, the loss.
    assert counts == {"to_host": 3, "to_device_of": 3}


def test_no_weight_at_all_changes_nothing():
    e = example()
    X = xp.asarray(e.X, device=xp.Device("device1"))
    parameters, state, sums = trained(e, X, OPTIMISERS["adam"], np.zeros(60), np.float64)
    assert np.array_equal(parameters, e.parameters) and not state.moments.any()
    assert (sums.loss, sums.weight, sums.steps) == (0.0, 0.0, 0)
