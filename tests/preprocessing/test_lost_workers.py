"""A Worker that dies between two fits, or two questions, changes no bit of what is learned."""

import os
import signal

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from daskml_exec import Executor
from daskml_exec.preprocessing import (
    ColumnTransformer,
    LabelEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    SimpleImputer,
    StandardScaler,
    TargetEncoder,
)
from daskml_exec.training._rows import RowsAnswerer
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


def piece(number):
    rng = np.random.default_rng(number)
    sizes = np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300))
    return pd.DataFrame({"size": sizes, "word": rng.choice(["a", "b", "c"], 300)})


@pytest.mark.slow
def test_a_worker_lost_between_two_steps_changes_nothing(monkeypatch):
    rows = dd.from_map(piece, range(6), meta=piece(0)[:0])
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    given = [("numbers", numbers, ["size"]), ("words", OneHotEncoder(), ["word"])]

    def fitted():
        model = ColumnTransformer(given).fit(rows)
        steps = [each for _, each in model.named_transformers_["numbers"].steps]
        return [fingerprint(each) for each in (*steps, model.named_transformers_["words"])]

    with Executor(n_workers=2) as executor:
        before, answer = fitted(), RowsAnswerer.answer
        pids = [executor.workers()[0].pid]

        def answer_and_kill(self, query):
            found = answer(self, query)
            while pids:
                os.kill(pids.pop(), signal.SIGKILL)
            return found

        monkeypatch.setattr(RowsAnswerer, "answer", answer_and_kill)
        assert fitted() == before
        assert not pids
