"""Lists of futures: data that users placed on the cluster themselves."""

import itertools

import array_api_strict as xp
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import DataConversionWarning

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError, workers_now
from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.partitions import map_rows
from tests.partitions.toolbox import N, check, labels, load, rows, weights

CUTS = [0, 4, 4, 15, N]


def scattered(executor, data, kind=lambda piece: piece):
    pieces = [kind(data[a:b]) for a, b in itertools.pairwise(CUTS)]
    return executor.client.scatter(pieces, hash=False)


@pytest.mark.parametrize(
    "kind",
    [np.asarray, np.asfortranarray, sp.csr_matrix, sp.csc_array, pd.DataFrame],
)
@pytest.mark.parametrize("sequence", [list, tuple])
def test_futures_are_partitions(executor, kind, sequence):
    data = load(
        executor,
        sequence(scattered(executor, rows(), kind)),
        sequence(scattered(executor, labels())),
        sequence(scattered(executor, weights(), pd.Series)),
    )
    check(executor, data, rows(), labels(), weights())
    assert data.partitions.rows == (4, 0, 11, 8)


def test_futures_of_tasks_and_columns_of_other_kinds(executor):
    X = executor.client.map(lambda a, b: rows()[a:b], CUTS[:-1], CUTS[1:], pure=False)
    check(executor, load(executor, X, labels()), rows(), labels())
    check(executor, load(executor, X, da.from_array(labels(), chunks=5)), rows(), labels())
    y = executor.client.map(lambda a, b: labels()[a:b], CUTS[:-1], CUTS[1:], pure=False)
    check(executor, load(executor, da.from_array(rows(), chunks=(9, 2)), y), rows(), labels())


def test_dtypes_of_partitions_are_brought_to_the_wider_one(executor):
    client = executor.client
    X = client.scatter([rows(np.float32)[:10], rows()[10:]], hash=False)
    data = load(executor, X, labels())
    check(executor, data, rows(), labels())
    # An empty array is float64 by default, and has no say.
    X = client.scatter([np.empty((0, 4)), rows(np.float32)], hash=False)
    assert load(executor, X, labels()).partitions.dtype == np.float32


def test_frames_bring_their_names(executor):
    X = scattered(executor, pd.DataFrame(rows(), columns=list("abcd")))
    assert load(executor, X, labels()).partitions.feature_names == tuple("abcd")


def test_columns_that_are_numbers_are_no_names(executor):
    X = scattered(executor, pd.DataFrame(rows()))
    assert load(executor, X, labels()).partitions.feature_names is None


def test_columns_of_names_and_numbers_raise(executor):
    X = scattered(executor, pd.DataFrame(rows(), columns=["a", "b", 3, 4]))
    with pytest.raises(TypeError, match="only supported if all input features have string names"):
        load(executor, X, labels())


def test_frames_with_columns_in_another_order_raise(executor):
    frame = pd.DataFrame(rows(), columns=list("abcd"))
    X = executor.client.scatter([frame[:10], frame[10:][list("abdc")]], hash=False)
    with pytest.raises(ValueError, match=r"partition 1 of X has the columns \['a', 'b', 'd', 'c'"):
        load(executor, X, labels())


def test_widths_that_differ_raise(executor):
    X = executor.client.scatter([rows()[:10], rows()[10:, :3]], hash=False)
    with pytest.raises(ValueError, match="partition 1 of X has 3 columns, partition 0 has 4"):
        load(executor, X, labels())


@pytest.mark.parametrize("argument", ["X", "y", "sample_weight"])
def test_a_released_future_is_named(executor, argument):
    arguments = {
        "X": scattered(executor, rows()),
        "y": scattered(executor, labels()),
        "sample_weight": scattered(executor, weights()),
    }
    executor.client.cancel(arguments[argument][2])
    with pytest.raises(LostPartitionError, match=f"partition 2 of {argument} was lost"):
        load(executor, **arguments)


async def remove_worker(address, dask_scheduler):
    await dask_scheduler.remove_worker(address, stimulus_id="test", expected=True)


def test_data_that_was_scattered_to_a_lost_worker_is_named():
    with Executor(processes=False, n_workers=2) as executor:
        client = executor.client
        doomed, other = sorted(workers_now(client))
        X = [
            client.scatter(rows()[:10], workers=[other], hash=False),
            client.scatter(rows()[10:], workers=[doomed], hash=False),
        ]
        client.run_on_scheduler(remove_worker, doomed)
        with pytest.raises(LostPartitionError, match="partition 1 of X was lost"):
            load(executor, X, labels())


def test_mapped_futures_are_futures(executor):
    X = scattered(executor, rows())
    result = map_rows(lambda b: b[:, 0], X, meta=np.empty(0))
    found = executor.client.gather(result)
    assert [len(piece) for piece in found] == [4, 0, 11, 8]
    assert np.array_equal(np.concatenate(found), rows()[:, 0])


@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1", "no_float64"])
def test_arrays_on_a_device_stay_there_and_their_columns_come_to_the_host(executor, device):
    def there(piece):
        return xp.asarray(piece.astype(np.float32), device=xp.Device(device))

    data = load(
        executor,
        scattered(executor, rows(), there),
        scattered(executor, labels(), there),
        scattered(executor, weights(), there),
    )
    pieces = executor.client.gather(list(data.partitions.futures))
    assert data.partitions.dtype == np.float32 and data.partitions.rows == (4, 0, 11, 8)
    for piece in pieces:
        assert piece.X.device == xp.Device(device) and piece.X.dtype == xp.float32
        assert isinstance(piece.y, np.ndarray) and isinstance(piece.sample_weight, np.ndarray)


@pytest.mark.parametrize(
    ("device", "dtype"), [("CPU_DEVICE", np.float64), ("no_float64", np.float32)]
)
def test_integers_on_a_device_become_floats_there(executor, device, dtype):
    def there(piece):
        return xp.asarray(piece.astype(np.int32), device=xp.Device(device))

    data = load(executor, scattered(executor, rows(), there), labels())
    assert data.partitions.dtype == dtype
    for piece in executor.client.gather(list(data.partitions.futures)):
        assert piece.X.device == xp.Device(device)
        assert piece.X.dtype == getattr(xp, np.dtype(dtype).name)


def test_complex_numbers_on_a_device_raise(executor):
    X = executor.client.scatter([xp.ones((N, 2), dtype=xp.complex128)], hash=False)
    with pytest.raises(ValueError, match=r"Complex data not supported: X has .* in partition 0"):
        load(executor, X, labels())


def test_dtypes_on_a_device_are_brought_to_the_wider_one(executor):
    blocks = [xp.asarray(rows(np.float32)[:10]), xp.asarray(rows()[10:])]
    data = load(executor, executor.client.scatter(blocks, hash=False), labels())
    pieces = executor.client.gather(list(data.partitions.futures))
    assert [piece.X.dtype for piece in pieces] == [xp.float64, xp.float64]


def give(index):
    return np.random.default_rng(index).normal(size=(30, 3))


def fail(index):
    raise ZeroDivisionError("no data")


def test_what_an_executor_computes_is_data(executor):
    X = np.concatenate([give(i) for i in range(3)])
    y = (X[:, 0] > 0).astype(int)
    expected = LogisticRegression().fit(da.from_array(X, chunks=(30, 3)), y)
    job = executor.run(give, range(3))
    for given in (job, job.tasks, [executor.submit(give, i) for i in range(3)]):
        model = LogisticRegression().fit(given, executor.run(np.copy, np.split(y, 3)))
        assert np.array_equal(model.coef_, expected.coef_)
        assert model.score(given, y) == expected.score(X, y)
        found = executor.client.gather(model.predict(given))
        assert np.array_equal(np.concatenate(found), expected.predict(X))
    column = executor.run(lambda i: give(i)[:, :1], range(3))
    with pytest.warns(DataConversionWarning):
        assert Ridge().fit(job, column).intercept_.shape == (1,)


def test_what_computing_data_raises_is_raised(executor):
    for given in ([executor.submit(fail, 0)], executor.run(fail, range(2))):
        with pytest.raises(ZeroDivisionError, match="no data"):
            LogisticRegression().fit(given, [0, 1])


def test_one_future_is_no_list(executor):
    job = executor.run(give, range(1))
    for given in (executor.submit(give, 0), job.tasks[0], executor.client.scatter(give(0))):
        with pytest.raises(TypeError, match=r"X is a future; allowed is \[X\]"):
            LogisticRegression().fit(given, [0, 1])
