"""Metrics and scalers with CuPy itself, on a device: `pytest -m gpu`. Skipped where there is none.

That only small sums are transferred is tested without a device, with a stand-in, in
`tests/metrics/test_devices.py` and its namesake for preprocessors.
"""

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec import Executor, metrics
from daskml_exec.kernels.group_sums import group_sums, pair_sums
from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from tests.metrics.toolbox import (
    CASES,
    GUESSED,
    MORE,
    SCORE,
    TEXTS,
    TWO,
    WEIGHT,
    N,
    Y,
    in_chunks,
)

pytestmark = pytest.mark.gpu

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    MinMaxScaler((-1, 3), clip=True),
    MaxAbsScaler(),
    RobustScaler(),
]
on_scalers = pytest.mark.parametrize("scaler", SCALERS, ids=lambda each: type(each).__name__)
on_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=1) as executor:
        yield executor


def to_cupy(array):
    import cupy

    return cupy.asarray(array)


def there(array, chunks):
    lazy = in_chunks(array, chunks)
    return lazy.map_blocks(to_cupy) if array.dtype.kind in "biuf" else lazy


def asked(case, y_true, given, weight, **options):
    function = getattr(metrics, case.name)
    return function(y_true, given, sample_weight=weight, **case.options, **options)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.name}-{'-'.join(map(str, case.options.values()))}"
)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_metrics_agree_with_numpy(case, weight):
    chunks = (100, 0, 150, 50)
    wanted = asked(case, in_chunks(case.y_true, chunks), in_chunks(case.given, 70), weight)
    weights = None if weight is None else there(weight, 60)
    columns = there(case.y_true, chunks), there(case.given, 70), weights
    assert_allclose(asked(case, *columns), wanted, rtol=1e-12)
    assert_allclose(asked(case, *columns, compute=False).compute(), wanted, rtol=1e-12)


def test_labels_follow_the_predictions():
    wanted = metrics.log_loss(in_chunks(Y, 100), in_chunks(MORE, 100), sample_weight=WEIGHT)
    for y_true, given in (
        (in_chunks(Y, 100), there(MORE, 100)),
        (in_chunks(TEXTS[Y], 100), there(MORE, 100)),
        (there(Y, 100), in_chunks(MORE, 100)),
        (to_cupy(Y), there(MORE, 100)),
    ):
        found = metrics.log_loss(y_true, given, sample_weight=WEIGHT)
        assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, bool])
def test_dtypes_may_differ(dtype):
    guessed = (GUESSED > 1).astype(dtype)
    found = metrics.confusion_matrix(there(TWO, 100), there(guessed, 100))
    assert np.array_equal(found, metrics.confusion_matrix(in_chunks(TWO, 100), guessed))


def test_the_same_bits_each_time():
    rng = np.random.default_rng(0)
    codes, others = (to_cupy(rng.integers(0, 10, 1_000_000)) for _ in range(2))
    weight = to_cupy(rng.random(1_000_000))
    for sums in (
        lambda: group_sums(codes, weight[:, None], weight, 10),
        lambda: pair_sums(codes, others, weight, 10),
    ):
        assert len({sums().tobytes() for _ in range(5)}) == 1


def test_what_is_missing_is_named():
    score = SCORE.copy()
    score[103] = np.nan
    with pytest.raises(ValueError, match=r"y_pred contains NaN .* in row 3 of partition 1"):
        metrics.mean_squared_error(there(SCORE, 100), there(score, 100))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (LogisticRegression(), "accuracy"),
        (LogisticRegression(), "neg_log_loss"),
        (LogisticRegression(), "roc_auc"),
        (Ridge(), "r2"),
    ],
)
def test_models_are_scored_by_name(model, name):
    X = np.random.default_rng(0).normal(size=(N, 3))
    X[:, 0] += TWO
    y = TWO if isinstance(model, LogisticRegression) else SCORE
    model.fit(in_chunks(X, 100), in_chunks(y, 100))
    score = metrics.get_scorer(name)
    wanted = score(model, in_chunks(X, 100), in_chunks(y, 100))
    assert score(model, there(X, 100), there(y, 100)) == pytest.approx(wanted, rel=1e-10)


def rows(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(5.0, 2.0, size=(N, 5))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 3] = 7.0
    return X.astype(dtype)


@on_scalers
@on_dtypes
def test_scalers_agree_with_numpy(scaler, dtype):
    import cupy

    X = rows(dtype)
    near = {"rtol": 1e-10, "atol": 1e-10} if dtype == np.float64 else {"rtol": 1e-4, "atol": 1e-4}
    wanted = type(scaler)(**scaler.get_params()).fit(in_chunks(X, 100))
    found = type(scaler)(**scaler.get_params()).fit(there(X, 100))
    assert isinstance(found.scale_, np.ndarray)
    assert_allclose(found.scale_, wanted.scale_, **near)
    lazy = found.transform(there(X, 100))
    assert isinstance(lazy._meta, cupy.ndarray) and lazy.dtype == dtype
    made = lazy.compute()
    assert isinstance(made, cupy.ndarray) and made.dtype == dtype
    assert_allclose(made.get(), wanted.to_sklearn().transform(X), **near)
    back = found.inverse_transform(lazy).compute()
    assert isinstance(back, cupy.ndarray)
    assert_allclose(back.get(), wanted.to_sklearn().inverse_transform(made.get()), **near)


@pytest.mark.parametrize("weights_there", [False, True])
def test_weighted_moments_agree_with_numpy(weights_there):
    X, weight = rows(np.float64), WEIGHT
    wanted = StandardScaler().fit(in_chunks(X, 100), sample_weight=weight)
    weights = there(weight, 70) if weights_there else in_chunks(weight, 70)
    found = StandardScaler().fit(there(X, 100), sample_weight=weights)
    for name in ("mean_", "var_", "n_samples_seen_"):
        assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-12)


def test_infinities_are_named():
    X = rows(np.float64)
    X[103, 2] = np.inf
    with pytest.raises(ValueError, match=r"infinity .*partition 1, column 2 \(row 3"):
        StandardScaler().fit(there(X, 100))


def test_columns_in_chunks_are_joined_on_the_device():
    X = rows(np.float64)
    lazy = da.from_array(X, chunks=(100, 2)).map_blocks(to_cupy)
    found = StandardScaler().fit(lazy)
    wanted = StandardScaler().fit(in_chunks(X, 100))
    assert_allclose(found.mean_, wanted.mean_, rtol=1e-12)
    made = found.transform(lazy).compute()
    assert_allclose(made.get(), wanted.to_sklearn().transform(X), rtol=1e-10, atol=1e-10)
