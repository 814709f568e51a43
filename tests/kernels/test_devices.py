"""Every kernel on arrays that refuse host access and, on one device, float64."""

from contextlib import contextmanager
from importlib import import_module

import array_api_strict as xp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec.kernels.array_namespace import beside, is_host, to_device_of, to_host, total
from daskml_exec.kernels.cross_moments import cross_moments
from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.hessian_sums import hessian_sums
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial
from daskml_exec.kernels.moments import column_moments, first_non_finite
from daskml_exec.kernels.row_sample import row_sample, take_rows
from daskml_exec.kernels.standardisation import standardisation

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
LOSSES = {
    "binary": BinaryLogistic(),
    "softmax-3": Multinomial(3),
    "squares": Gaussian(),
    "poisson": Poisson(),
}
MODULES = [
    import_module(f"daskml_exec.kernels.{name}")
    for name in (
        "array_namespace",
        "cross_moments",
        "hessian_sums",
        "loss_sums",
        "losses",
        "moments",
        "row_sample",
    )
]
GENUINE = {"to_host": to_host, "to_device_of": to_device_of}
on_devices = pytest.mark.parametrize(("device", "dtype"), DEVICES)
on_losses = pytest.mark.parametrize("name", LOSSES)


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

        for module in MODULES:
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


def problem(loss, dtype, n=60, d=4):
    rng = np.random.default_rng(loss.n_outputs)
    K = loss.n_outputs
    X, weight = rng.normal(size=(n, d)).astype(dtype), rng.exponential(size=n)
    y = rng.integers(0, max(2, K), n)
    return X, y, weight, rng.normal(size=(K, d)), rng.normal(size=K)


def there_of(device, dtype, *columns):
    """Return columns on the device, the floating ones in the dtype."""
    return [
        None
        if column is None
        else xp.asarray(column.astype(dtype) if column.dtype.kind == "f" else column, device=device)
        for column in columns
    ]


@on_devices
@on_losses
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns_there", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_loss_sums(device, dtype, name, weighted, columns_there, centred, transfers):
    loss = LOSSES[name]
    X, y, weight, coef, intercept = problem(loss, dtype)
    weight, center = weight if weighted else None, np.arange(4.0) / 4 if centred else None
    there, labels, factors = xp.asarray(X, device=device), y, weight
    if columns_there:
        labels, factors = there_of(device, dtype, y, weight)
    with no_other_way_to_the_host():
        sums = loss_sums(loss, there, labels, factors, coef, intercept, center)
    # Out: parameters, the class numbers, the center, and columns on the host. Back: loss, two
    # gradients, and the total weight if that is there.
    host_columns = 0 if columns_there else 1 + weighted
    assert transfers == {
        "to_device_of": 2 + (name == "softmax-3") + centred + host_columns,
        "to_host": 3 + (columns_there and weighted),
    }
    expected = loss_sums(loss, X, y, weight, coef, intercept, center)
    assert sums.coef.dtype == sums.intercept.dtype == np.float64
    for field in ("weight", "loss", "coef", "intercept"):
        scale = max(1.0, np.abs(getattr(expected, field)).max())
        near = tolerance(dtype)
        near["atol"] *= scale
        assert_allclose(getattr(sums, field), getattr(expected, field), **near)


@on_devices
@on_losses
def test_loss_sums_of_no_rows(device, dtype, name):
    loss = LOSSES[name]
    X, y, weight, coef, intercept = problem(loss, dtype, n=0)
    sums = loss_sums(loss, xp.asarray(X, device=device), y, weight, coef, intercept)
    assert sums.weight == sums.loss == 0.0
    assert sums.coef.shape == coef.shape and not sums.coef.any() and not sums.intercept.any()


@on_devices
@pytest.mark.parametrize("name", ["binary", "softmax-3", "squares"])
def test_extreme_margins_do_not_overflow(device, dtype, name):
    loss = LOSSES[name]
    X, y, _, coef, intercept = problem(loss, dtype)
    coef = coef * 1e3
    sums = loss_sums(loss, xp.asarray(X, device=device), y, None, coef, intercept)
    assert_allclose(sums.loss, loss_sums(loss, X, y, None, coef, intercept).loss, rtol=1e-5)


@on_devices
@on_losses
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns_there", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_hessian_sums(device, dtype, name, weighted, columns_there, fit_intercept, transfers):
    loss = LOSSES[name]
    X, _, weight, *_ = problem(loss, dtype)
    X = X * np.array([1.0, 0.0, 30.0, 0.1], dtype) + np.array([0.0, 0.0, 5.0, 1.0], dtype)
    weight = weight if weighted else None
    to = standardisation(
        column_moments(X, weight), curvature=0.25, penalty=0.1, fit_intercept=fit_intercept
    )
    assert to.inverse[1] == 0.0
    point = 0.2 * np.random.default_rng(0).normal(size=(loss.n_outputs, to.size))
    [factors] = there_of(device, dtype, weight) if columns_there else [weight]
    with no_other_way_to_the_host():
        found = hessian_sums(loss, xp.asarray(X, device=device), factors, to, point)
    # Out: center, inverse scales, point, and weights on the host. Back: the matrix, and the total
    # weight if that is there.
    assert transfers == {
        "to_device_of": 3 + (weighted and not columns_there),
        "to_host": 1 + (weighted and columns_there),
    }
    expected = hessian_sums(loss, X, weight, to, point)
    near = tolerance(dtype)
    near["atol"] *= np.abs(expected.matrix).max()
    assert found.matrix.dtype == np.float64
    assert_allclose(found.weight, expected.weight, **near)
    assert_allclose(found.matrix, expected.matrix, **near)
    single = hessian_sums(loss, xp.asarray(X, device=device), factors, to, point, single=True)
    assert single.matrix.dtype == np.float32
    assert np.array_equal(single.matrix, found.matrix.astype(np.float32))


@on_devices
@on_losses
def test_hessian_sums_of_no_rows(device, dtype, name):
    loss = LOSSES[name]
    X, _, weight, *_ = problem(loss, dtype)
    to = standardisation(column_moments(X, None), curvature=1.0, penalty=0.0, fit_intercept=True)
    point = np.zeros((loss.n_outputs, to.size))
    there = xp.asarray(X[:0], device=device)
    for w in (None, weight[:0]):
        found = hessian_sums(loss, there, w, to, point)
        assert found.weight == 0.0
        assert found.matrix.shape == (point.size, point.size) and not found.matrix.any()


@on_devices
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns_there", [False, True])
def test_cross_moments(device, dtype, weighted, columns_there, transfers):
    X, y, weight, _, _ = problem(BinaryLogistic(), dtype)
    weight = weight if weighted else None
    target, factors = y.astype(float), weight
    if columns_there:
        target, factors = there_of(device, dtype, target, weight)
    with no_other_way_to_the_host():
        found = cross_moments(xp.asarray(X, device=device), target, factors)
    # Out: the means, and columns on the host. Back: means, their error, scatter, and the total
    # weight if that is there.
    assert transfers["to_device_of"] == 1 + (0 if columns_there else 1 + weighted)
    assert transfers["to_host"] == 3 + (weighted and columns_there)
    expected = cross_moments(X, y, weight)
    assert found.mean.dtype == found.scatter.dtype == np.float64
    for field in ("weight", "mean", "scatter"):
        assert_allclose(getattr(found, field), getattr(expected, field), **tolerance(dtype))


@on_devices
def test_cross_moments_without_weight(device, dtype):
    X, y, _, _, _ = problem(BinaryLogistic(), dtype)
    there = xp.asarray(X, device=device)
    found = cross_moments(there[:0, :], y[:0], None)
    assert found.weight == 0.0 and not found.mean.any() and found.scatter.shape == (5, 5)
    found = cross_moments(there, y, np.zeros(60))
    assert found.weight == 0.0 and not found.mean.any() and not found.scatter.any()


@on_devices
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns_there", [False, True])
def test_column_moments(device, dtype, weighted, columns_there, transfers):
    X, _, weight, _, _ = problem(BinaryLogistic(), dtype)
    weight = weight if weighted else None
    factors = weight
    if weighted and columns_there:
        factors = xp.asarray(weight.astype(dtype), device=device)
    with no_other_way_to_the_host():
        found = column_moments(xp.asarray(X, device=device), factors)
    assert transfers["to_device_of"] == (weighted and not columns_there)
    assert transfers["to_host"] == 2 + (weighted and columns_there)
    expected = column_moments(X, weight)
    assert found.mean.dtype == found.spread.dtype == np.float64
    for name in ("weight", "mean", "spread"):
        assert_allclose(getattr(found, name), getattr(expected, name), **tolerance(dtype))


@on_devices
@pytest.mark.parametrize("weighted", [False, True])
def test_columns_far_from_zero_take_a_second_pass(device, dtype, weighted, transfers):
    rng = np.random.default_rng(0)
    mean, spread = (1.7e9, 1e3) if dtype == np.float64 else (2.0**16, 4.0)
    X = (mean + np.round(spread * rng.normal(size=(500, 2)))).astype(dtype)
    weight = rng.exponential(size=500) if weighted else None
    with no_other_way_to_the_host():
        found = column_moments(xp.asarray(X, device=device), weight)
    # Twice back and forth, and out with what the second pass is about.
    assert transfers == {"to_device_of": 1 + 2 * weighted, "to_host": 4}
    expected = column_moments(X, weight)
    single = dtype == np.float32
    assert_allclose(found.mean, expected.mean, rtol=1e-6 if single else 1e-13)
    assert_allclose(found.spread, expected.spread, rtol=1e-4 if single else 1e-9)


@on_devices
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e9 / 3])
def test_a_constant_column_does_not_vary(device, dtype, value):
    X = np.column_stack([np.full(1000, value), np.arange(1000.0)]).astype(dtype)
    there, y = xp.asarray(X, device=device), np.zeros(1000)
    crossed = cross_moments(there, y, None)
    for found, spread in (
        (column_moments(there, None), None),
        (crossed, np.diagonal(crossed.scatter)[:2]),
    ):
        columns = (
            found
            if spread is None
            else type(column_moments(X, None))(found.weight, found.mean[:2], spread)
        )
        to = standardisation(columns, curvature=1.0, penalty=0.0, fit_intercept=True)
        assert to.inverse[0] == 0.0 and to.inverse[1] > 0.0


@on_devices
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_rows_are_taken_where_they_are(device, dtype, share, transfers):
    X, y, *_ = problem(BinaryLogistic(), dtype)
    rows = row_sample(7, 60, share)
    with no_other_way_to_the_host():
        taken = take_rows(xp.asarray(X, device=device), rows)
        labels = take_rows(xp.asarray(y, device=device), rows)
    assert transfers == {"to_device_of": 0, "to_host": 0}  # but for the row numbers
    assert taken.device == labels.device == device
    assert np.array_equal(to_host(taken), X[rows])
    assert np.array_equal(to_host(labels), y[rows])


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
@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.0, 2.0])])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of NumPy below the strict one
def test_what_is_not_finite_shows_in_the_moments(device, dtype, weight):
    X = np.array([[0.0, 1.0], [0.0, np.nan], [1.0, 1.0]], dtype)
    there = xp.asarray(X, device=device)
    found, crossed = column_moments(there, weight), cross_moments(there, np.zeros(3), weight)
    assert not np.isfinite(found.spread[1]) and np.isfinite(found.spread[0])
    assert not np.isfinite(crossed.scatter[1, 1]) and np.isfinite(crossed.mean[0])


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
