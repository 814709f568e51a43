"""Scalers of chunks on a device: fitted as on the host, with chunks on the device as the result.

The device is a stand-in for CuPy's, which logs what is transferred.
"""

import array_api_strict as xp
import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import preprocessing as sk
from sklearn.pipeline import make_pipeline

from daskml_exec import Executor
from daskml_exec.kernels.array_namespace import to_host
from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    SimpleImputer,
    StandardScaler,
)
from daskml_exec.preprocessing._device_blocks import ScalerBlocks
from daskml_exec.training import load
from tests.device_standin import HOST, LOG, REMOTE, Remote, look, send
from tests.kernels.test_devices import no_other_way_to_the_host

N, D = 60, 5
CHUNKS = ((0, 25, 1, 34), D)
SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler((-1, 3)),
    MinMaxScaler((-1, 3), clip=True),
    MaxAbsScaler(),
    MaxAbsScaler(clip=True),
]
ids = [f"{type(scaler).__name__}-{index}" for index, scaler in enumerate(SCALERS)]
on_scalers = pytest.mark.parametrize("scaler", SCALERS, ids=ids)
on_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture(autouse=True)
def nothing_logged():
    LOG.clear()


def rows(dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(5.0, 2.0, size=(N, D))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 3] = 7.0
    X[:, 4] += 1e3
    return X.astype(dtype)


def chunked(X, chunks=CHUNKS):
    return da.from_array(X, chunks=chunks)


def there(X, chunks=CHUNKS):
    return chunked(X, chunks).map_blocks(send)


def new(scaler):
    return type(scaler)(**scaler.get_params())


def blocks(executor, collection):
    return executor.client.compute(list(collection.to_delayed().ravel()), sync=True)


def close(dtype):
    """What a device sums in single precision is right to single precision."""
    return {"rtol": 1e-10, "atol": 1e-10} if dtype == np.float64 else {"rtol": 1e-4, "atol": 1e-4}


def learned(scaler):
    return {name: value for name, value in vars(scaler).items() if name.endswith("_")}


@on_scalers
@on_dtypes
@pytest.mark.parametrize("chunks", [CHUNKS, (20, 2)], ids=["rows", "rows and columns"])
def test_a_fit_is_the_fit_on_the_host(scaler, dtype, chunks):
    X = rows(dtype)
    wanted, found = new(scaler).fit(chunked(X, chunks)), new(scaler).fit(there(X, chunks))
    assert learned(found).keys() == learned(wanted).keys()
    for name, value in learned(wanted).items():
        got = getattr(found, name)
        if value is None:
            assert got is None
            continue
        assert isinstance(got, type(value)) and np.asarray(got).dtype == np.asarray(value).dtype
        assert_allclose(got, value, **close(dtype))
    # What comes to the host is as long as a row is, and nothing goes to the device.
    assert LOG and {to for to, _ in LOG} == {HOST}
    assert max(np.prod(shape, dtype=int) for _, shape in LOG) <= D


@pytest.mark.parametrize("weights_there", [False, True])
def test_weights(weights_there):
    X, weight = rows(), np.random.default_rng(1).random(N)
    wanted = sk.StandardScaler().fit(X, sample_weight=weight)
    weights = (there if weights_there else chunked)(weight, 17)
    found = StandardScaler().fit(there(X), sample_weight=weights)
    for name in ("mean_", "var_", "scale_", "n_samples_seen_"):
        assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-12)


@on_scalers
@on_dtypes
def test_chunks_stay_on_the_device(executor, scaler, dtype):
    X = rows(dtype)
    scaler = new(scaler).fit(chunked(X[: N // 2], (10, D)))
    wanted = scaler.to_sklearn().transform(X)
    LOG.clear()
    lazy = scaler.transform(there(X))
    assert isinstance(lazy._meta, Remote) and lazy.dtype == dtype and lazy.chunks[0] == CHUNKS[0]
    LOG.clear()
    found = blocks(executor, lazy)
    assert {type(block) for block in found} == {Remote} and {block.dtype for block in found} == {
        np.dtype(dtype)
    }
    # Per block, means and scales there, and whether there are infinities back.
    assert all(shape == ((D,) if to == REMOTE else ()) for to, shape in LOG)
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == np.float64 else close(dtype)
    assert_allclose(np.concatenate([look(block) for block in found]), wanted, **tolerance)
    back = np.concatenate([look(each) for each in blocks(executor, scaler.inverse_transform(lazy))])
    assert_allclose(back, scaler.to_sklearn().inverse_transform(wanted), **tolerance)


def test_an_inverse_needs_no_scale_of_a_clipped_one(executor):
    X = rows()
    scaler = MinMaxScaler(clip=True).fit(there(X))
    found = blocks(executor, scaler.inverse_transform(there(X)))
    wanted = scaler.to_sklearn().inverse_transform(X)
    assert_allclose(np.concatenate([look(block) for block in found]), wanted, rtol=1e-12)


def test_partial_fit_adds_rows_from_both_places():
    X = rows()
    wanted = StandardScaler().fit(chunked(X))
    found = StandardScaler().partial_fit(there(X[:30], (10, D))).partial_fit(X[30:])
    assert_allclose(found.var_, wanted.var_, rtol=1e-12)


def test_futures_and_data(executor):
    X = rows()
    wanted = sk.StandardScaler().fit_transform(X)
    futures = [executor.client.submit(send, part) for part in (X[:20], X[20:])]
    scaler = StandardScaler().fit(futures)
    found = executor.client.gather(scaler.transform(futures))
    assert_allclose(np.concatenate([look(block) for block in found]), wanted, rtol=1e-9, atol=1e-9)
    with load(there(np.nan_to_num(X))) as data:
        model = StandardScaler().fit(data)
        assert_allclose(model.mean_, np.nan_to_num(X).mean(axis=0))
        assert {type(block) for block in blocks(executor, model.transform(data))} == {Remote}


def test_integers_become_doubles(executor):
    X = np.arange(40).reshape(20, 2)
    lazy = StandardScaler().fit(there(X, (7, 2))).transform(there(X, (7, 2)))
    found = np.concatenate([look(block) for block in blocks(executor, lazy)])
    assert found.dtype == lazy.dtype == np.float64
    assert_allclose(found, sk.StandardScaler().fit_transform(X))


@on_scalers
def test_infinities_are_named(executor, scaler):
    X = rows()
    X[27, 2] = np.inf
    with pytest.raises(ValueError, match=r"infinity .*partition 3, column 2 \(row 1"):
        new(scaler).fit(there(X))
    model = new(scaler).fit(there(rows()))
    with pytest.raises(ValueError, match="Input X contains infinity"):
        blocks(executor, model.transform(there(X)))


def test_other_columns_than_fitted(executor):
    model = StandardScaler().fit(there(rows()))
    with pytest.raises(ValueError, match="X has 4 features, but StandardScaler is expecting 5"):
        model.transform(there(rows()[:, :4], (20, 4)))
    wrong = [executor.client.submit(send, rows()[:, :4])]
    with pytest.raises(ValueError, match="X has 4 features, but StandardScaler is expecting 5"):
        executor.client.gather(model.transform(wrong))


@pytest.mark.parametrize("model", [LogisticRegression(), Ridge()])
def test_a_scaler_in_front_of_a_linear_model(executor, model):
    X = np.nan_to_num(rows())
    y = (X[:, 0] > 5).astype(int)
    wanted = make_pipeline(StandardScaler(), type(model)()).fit(chunked(X), chunked(y, 20))
    found = make_pipeline(StandardScaler(), type(model)()).fit(there(X), chunked(y, 20))
    assert_allclose(found[-1].coef_, wanted[-1].coef_, rtol=1e-7)
    assert_array_equal(found.predict(there(X)).compute(), wanted.predict(chunked(X)).compute())
    score = wanted.score(chunked(X), chunked(y, 20))
    assert found.score(there(X), there(y, 20)) == pytest.approx(score, rel=1e-12)


def test_robust_scalers_sort_on_the_host_and_scale_on_the_device(executor):
    X = rows()
    scaler = RobustScaler().fit(there(X))
    wanted = sk.RobustScaler().fit(X)
    assert_allclose(scaler.center_, wanted.center_)
    found = blocks(executor, scaler.transform(there(X)))
    assert_allclose(np.concatenate([look(block) for block in found]), wanted.transform(X))


@pytest.mark.parametrize(
    "model",
    [SimpleImputer(), QuantileTransformer(n_quantiles=10), OrdinalEncoder(), OneHotEncoder()],
)
def test_other_preprocessors_refuse_blocks_on_a_device(executor, model):
    X = np.round(rows())
    model.fit(chunked(X, (20, D)))
    with pytest.raises(TypeError, match=r"transform of X with blocks of .*Remote.* on a device"):
        blocks(executor, model.transform(there(X)))


@on_scalers
@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1", "no_float64"])
def test_blocks_of_the_standard(scaler, device):
    dtype = np.float32 if device == "no_float64" else np.float64
    X = rows(dtype)
    model = new(scaler).fit(X[:30]).to_sklearn()
    block = xp.asarray(X, device=xp.Device(device))
    for method in ("transform", "inverse_transform"):
        with no_other_way_to_the_host():
            found = ScalerBlocks(model, method, None)(block)
            empty = ScalerBlocks(model, method, None)(block[:0, :])
        assert found.device == block.device and found.dtype == block.dtype
        assert_allclose(to_host(found), getattr(model, method)(X), **close(dtype))
        assert empty.shape == (0, D)
