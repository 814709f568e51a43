"""Results of a Data where no Executor and no Client says where to compute."""

import pickle
from functools import partial

import dask.array as da
import numpy as np

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.partitions import from_dataset, load_samples, map_samples, tokens
from daskml_exec.training import load

IDS = np.arange(10)


def test_windows_and_datasets_are_computed_without_an_executor():
    windows = map_samples(np.negative, tokens(da.from_array(IDS, chunks=5), 4))
    np.testing.assert_array_equal(windows.compute(), [-IDS[:4], -IDS[3:7], -IDS[6:]])
    found = map_samples(np.negative, from_dataset(partial(np.arange, 5.0), 2))
    np.testing.assert_array_equal(found.compute(scheduler="sync"), -np.arange(5.0))


def test_predictions_of_loaded_rows_outlive_them():
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = X[:, 0] > 0
    rows = da.from_array(X, chunks=(20, 3))
    with load(rows, y, target="labels") as data:
        model = LogisticRegression().fit(data)
        lazily = model.predict(data)
    np.testing.assert_array_equal(lazily.compute(), model.predict(X))
    with Executor(processes=False, n_workers=1):
        np.testing.assert_array_equal(lazily.compute(), model.predict(X))


def test_what_was_computed_travels():
    with load_samples(da.from_array(IDS, chunks=5), executor=Executor.current()) as data:
        found = map_samples(np.negative, data)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.compute(), -IDS)
