"""A Worker that dies between two fits changes no bit of what is learned."""

import os
import signal

import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.preprocessing import (
    LabelEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    SimpleImputer,
    TargetEncoder,
)
from tests.preprocessing.kit import fingerprint


def block(like, block_info):
    rng = np.random.default_rng(block_info[None]["chunk-location"][0])
    return rng.integers(0, 9, size=like.shape).astype(float) + (like * 0)


def learned(X):
    y = X[:, 0] % 3
    models = [
        OneHotEncoder().fit(X),
        OrdinalEncoder().fit(X),
        RobustScaler().fit(X),
        QuantileTransformer(n_quantiles=50).fit(X),
        SimpleImputer(strategy="median").fit(X),
        SimpleImputer(strategy="most_frequent").fit(X),
        LabelEncoder().fit(y),
    ]
    target = TargetEncoder()
    crossed = target.fit_transform(X, y).compute()
    return [*map(fingerprint, [*models, target]), crossed.tobytes()]


@pytest.mark.slow
def test_a_lost_worker_changes_nothing():
    with Executor(n_workers=2) as executor:
        rows = da.map_blocks(block, da.ones((4000, 4), chunks=(500, 4)), dtype=float)
        X = executor.client.persist(rows)
        before = learned(X)
        os.kill(executor.workers()[0].pid, signal.SIGKILL)
        assert learned(X) == before
    with Executor(processes=False, n_workers=1):
        assert learned(rows) == before
