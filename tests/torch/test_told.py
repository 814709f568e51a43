"""What a module is told of the data, also where it is made again."""

import dask.array as da
import numpy as np
from torch import nn

from daskml_exec import Executor, open_model, save
from daskml_exec.torch import TorchEstimator


def through(n_features, width=2):
    return nn.Sequential(nn.Linear(n_features, width), nn.Linear(width, n_features))


def difference(module, rows):
    return nn.functional.mse_loss(module(rows), rows)


def test_a_file_remembers_how_many_numbers_rows_have(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    with Executor(processes=False, n_workers=1):
        model = TorchEstimator(through, loss=difference, random_state=0)
        model.fit(da.from_array(X, chunks=(30, 5)))
    save(model, str(tmp_path / "model"))
    opened = open_model(str(tmp_path / "model"), module=through, loss=difference)
    assert np.array_equal(opened.predict(X), model.predict(X))
