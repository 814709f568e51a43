"""What is wrong with data on a cluster is told once, by the driver, first partition first."""

import logging

import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError
from daskml_exec.linear_model import LogisticRegression

X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.arange(60) % 2


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        (np.where(np.arange(60) >= 20, np.nan, Y), None, "y contains NaN .* row 0 of partition 2"),
        (X[:, 0], None, "Unknown label type: continuous"),
        (
            Y,
            np.where(np.arange(60) >= 15, -1.0, 1.0),
            "sample_weight has -1 in row 5 of partition 1",
        ),
    ],
)
def test_workers_log_no_failure(y, weight, message, caplog):
    chunks = da.from_array(X, chunks=(10, 3))
    with Executor(processes=False, n_workers=2), pytest.raises(ValueError, match=message):
        LogisticRegression().fit(chunks, da.from_array(y, chunks=10), weight)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_data_persisted_on_a_cluster_that_is_closed_is_said_to_be_gone():
    with Executor(processes=False, n_workers=1):
        rows = da.from_array(X, chunks=(10, 3)).persist()
    with (
        Executor(processes=False, n_workers=1),
        pytest.raises(LostPartitionError, match=r"through another Client .* is closed"),
    ):
        LogisticRegression().fit(rows, Y)
