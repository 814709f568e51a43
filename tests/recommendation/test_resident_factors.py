"""Factors that stay on the Workers between half-steps, with the bits of those that come home."""

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskml_exec import Executor
from daskml_exec.executor import tuned
from tests.executor.rounds import until_released
from tests.recommendation.oracle import random_ratings
from tests.recommendation.test_als import als, triples


@pytest.fixture(scope="module")
def frame():
    return triples(random_ratings(np.random.default_rng(4), 600, 300, 0.03))


@pytest.fixture(scope="module")
def workers():
    with Executor(processes=False, n_workers=3) as executor:
        yield executor


@pytest.fixture
def resident():
    with dask.config.set({"daskml-exec.factors-on-driver-bytes": 1}):
        yield


def bits(model):
    losses = [record.loss for record in model.history_]
    return model.user_factors_.tobytes(), model.item_factors_.tobytes(), losses


@pytest.mark.parametrize(
    "settings", [{}, {"solver": "cg"}, {"nonnegative": True}, {"feedback": "explicit"}]
)
@pytest.mark.parametrize("n_blocks", [1, 5])
def test_the_same_bits(workers, frame, resident, settings, n_blocks):
    with dask.config.set({"daskml-exec.factors-on-driver-bytes": "1GiB"}):
        wanted = als(**settings).fit(frame)
    found = als(n_blocks=n_blocks, **settings).fit(frame)
    assert bits(found) == bits(wanted)
    assert found.n_iter_ == wanted.n_iter_
    pd.testing.assert_frame_equal(found.recommend([3, 7], 4), wanted.recommend([3, 7], 4))


def test_only_sums_travel(workers, frame, resident):
    moved = [record.nbytes for record in als(n_factors=3).fit(frame).history_]
    assert max(moved[:-1]) < 30_000


def test_it_converges_and_stops_as_it_does_on_the_driver(workers, frame, resident):
    settings = {"max_iter": 40, "tol": 1e-3}
    with dask.config.set({"daskml-exec.factors-on-driver-bytes": "1GiB"}):
        wanted = als(**settings).fit(frame)
    assert bits(als(**settings).fit(frame)) == bits(wanted)
    stopped = als(max_iter=9, callbacks=[lambda event: event.record.round == 2]).fit(frame)
    assert len(stopped.history_) == 3
    assert np.isfinite(stopped.user_factors_).all() and stopped.user_factors_.any()


def test_events_have_no_estimator(workers, frame, resident):
    def listen(event):
        with pytest.raises(RuntimeError, match="factors-on-driver-bytes"):
            _ = event.estimator

    als(callbacks=[listen]).fit(frame)


def test_copies_cut_the_chain(workers, frame, resident):
    counts = []

    def count(event):
        tasks = workers.client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        counts.append(tasks)

    wanted = bits(als(n_factors=2, max_iter=20).fit(frame))
    with tuned(cut_every=4, cut_bytes=0):
        found = als(n_factors=2, max_iter=20, callbacks=[count]).fit(frame)
    assert bits(found) == wanted
    assert max(counts) < counts[0] + 80
    until_released(workers.client, "alternating")


def test_warm_starts(workers, frame, resident):
    straight = als(max_iter=6).fit(frame)
    model = als(max_iter=3, warm_start=True).fit(frame).fit(frame)
    np.testing.assert_allclose(model.user_factors_, straight.user_factors_, rtol=1e-9, atol=1e-12)


def test_a_dask_dataframe(workers, frame, resident):
    lazy = dd.from_pandas(frame, npartitions=4, sort=False)
    assert bits(als().fit(lazy)) == bits(als().fit(frame))
