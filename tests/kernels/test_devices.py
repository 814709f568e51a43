"""Every kernel on arrays that refuse host access and, on one device, float64."""

from contextlib import contextmanager

import array_api_strict as xp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec.kernels import array_namespace, logistic_loss, moments
from daskml_exec.kernels.array_namespace import beside, is_host, to_device_of, to_host, total
from daskml_exec.kernels.logistic_loss import logistic_sums
from daskml_exec.kernels.moments import column_moments, first_non_finite

DEVICES = [
    pytest.param(xp.Device(device), dtype, id=f"{device}-{np.dtype(dtype)}")
    for device, dtype in [
        ("CPU_DEVICE", np.float64),
        ("CPU_DEVICE", np.float32),
        ("device1", np.float64),
        ("device1", np.float32),
        ("no_float64", np.float32),
    ]
]
GENUINE = {"to_host": to_host, "to_device_of": to_device_of}
on_devices = pytest.mark.parametrize(("device", "dtype"), DEVICES)


def tolerance(dtype):
    return {"rtol": 1e-11, "atol": 1e-11} if dtype == np.float64 else {"rtol": 2e-5, "atol": 2e-5}


@pytest.fixture
def transfers(monkeypatch):
    """How often kernels passed each of the two named transfer points."""
    counts = {"to_host": 0, "to_device_of": 0}
    for name in counts:

        def counted(*args, name=name):
            counts[name] += 1
            return GENUINE[name](*args)

        for module in (array_namespace, logistic_loss, moments):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, counted)
    return counts


@contextmanager
def no_other_way_to_the_host():
    """Forbid what array_api_strict allows on its CPU device, as a real device forbids it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("__float__", "__int__", "__bool__", "__array__", "__buffer__"):
            patch.setattr(type(xp.asarray(0.0)), name, _refuse, raising=False)
        yield


def _refuse(*args, **kwargs):
    raise TypeError("host access outside the named transfer points")


def problem(n_classes, dtype, n=60, d=4):
    rng = np.random.default_rng(n_classes)
    rows = 1 if n_classes == 2 else n_classes
    X, weight = rng.normal(size=(n, d)).astype(dtype), rng.exponential(size=n)
    return (
        X,
        rng.integers(0, n_classes, n),
        weight,
        rng.normal(size=(rows, d)),
        rng.normal(size=rows),
    )


@on_devices
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns_there", [False, True])
def test_loss_sums(device, dtype, n_classes, weighted, columns_there, transfers):
    X, y, weight, coef, intercept = problem(n_classes, dtype)
    weight = weight if weighted else None
    there, labels, factors = xp.asarray(X, device=device), y, weight
    if columns_there:
        labels = xp.asarray(y, device=device)
        factors = None if weight is None else xp.asarray(weight.astype(dtype), device=device)
    with no_other_way_to_the_host():
        sums = logistic_sums(there, labels, factors, coef, intercept)
    # Out: parameters, the class numbers, and columns on the host. Back: loss, two gradients,
    # and the total weight if that is there.
    host_columns = 0 if columns_there else 1 + weighted
    assert transfers == {
        "to_device_of": 2 + (n_classes > 2) + host_columns,
        "to_host": 3 + (columns_there and weighted),
    }
    expected = logistic_sums(X, y, weight, coef, intercept)
    assert sums.coef.dtype == sums.intercept.dtype == np.float64
    for name in ("weight", "loss", "coef", "intercept"):
        assert_allclose(getattr(sums, name), getattr(expected, name), **tolerance(dtype))


@on_devices
@pytest.mark.parametrize("n_classes", [2, 3])
def test_loss_sums_of_no_rows(device, dtype, n_classes):
    X, y, weight, coef, intercept = problem(n_classes, dtype, n=0)
    sums = logistic_sums(xp.asarray(X, device=device), y, weight, coef, intercept)
    assert sums.weight == sums.loss == 0.0
    assert sums.coef.shape == coef.shape and not sums.coef.any() and not sums.intercept.any()


@on_devices
@pytest.mark.parametrize("n_classes", [2, 3])
def test_extreme_margins_do_not_overflow(device, dtype, n_classes):
    X, y, _, coef, intercept = problem(n_classes, dtype)
    coef = coef * 1e3
    sums = logistic_sums(xp.asarray(X, device=device), y, None, coef, intercept)
    assert_allclose(sums.loss, logistic_sums(X, y, None, coef, intercept).loss, rtol=1e-5)


@on_devices
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns_there", [False, True])
def test_column_moments(device, dtype, weighted, columns_there, transfers):
    X, _, weight, _, _ = problem(2, dtype)
    weight = weight if weighted else None
    factors = weight
    if weighted and columns_there:
        factors = xp.asarray(weight.astype(dtype), device=device)
    with no_other_way_to_the_host():
        found = column_moments(xp.asarray(X, device=device), factors)
    assert transfers["to_device_of"] == (weighted and not columns_there)
    assert transfers["to_host"] == 2 + (weighted and columns_there)
    expected = column_moments(X, weight)
    assert found.first.dtype == found.second.dtype == np.float64
    for name in ("weight", "first", "second"):
        assert_allclose(getattr(found, name), getattr(expected, name), **tolerance(dtype))


@on_devices
def test_first_non_finite(device, dtype):
    X = np.zeros((5, 3), dtype)
    there = xp.asarray(X, device=device)
    with no_other_way_to_the_host():
        assert first_non_finite(there) is None
    X[2, 1], X[3, 0] = np.inf, np.nan
    there = xp.asarray(X, device=device)
    with no_other_way_to_the_host():
        assert first_non_finite(there) == (2, 1, "infinity")
    X[2, 1] = np.nan
    assert first_non_finite(xp.asarray(X, device=device)) == (2, 1, "NaN")


@on_devices
def test_transfer_there_and_back(device, dtype):
    host = np.arange(6.0).reshape(2, 3)
    like = xp.asarray(np.zeros(1, dtype), device=device)
    there = to_device_of(host, like)
    assert there.device == device and there.dtype == like.dtype
    assert not is_host(there) and is_host(to_host(there))
    assert np.array_equal(to_host(there), host)
    assert to_host(there).dtype == dtype
    assert total(there) == total(host) == 15.0


@on_devices
def test_a_column_is_brought_beside_only_if_it_is_elsewhere(device, dtype, transfers):
    like = xp.asarray(np.zeros(1, dtype), device=device)
    for column in (np.array([0, 1, 2]), xp.asarray([0, 1, 2], device=device)):
        there = beside(column, like)
        assert there.device == device and there.dtype == like.dtype
    assert transfers == {"to_host": 0, "to_device_of": 1}
    assert beside(like, like) is like
