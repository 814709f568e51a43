"""What a calibration says, and when it is taken. How fast anything is decides no test."""

import pickle
from dataclasses import fields

import pytest

from daskml_exec import Executor
from daskml_exec.neural_network.planning import calibrate, calibrated


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def test_all_is_measured_once(executor):
    assert calibrated(executor) is None
    calibration = calibrate(executor)
    assert calibration.n_workers == 2
    for field in fields(calibration):
        assert getattr(calibration, field.name) > 0, field.name
    assert calibrate(executor) is calibration is calibrated(executor)
    with Executor(executor.client) as same:
        assert calibrate(same) is calibration


def test_it_is_plain_and_readable(executor):
    calibration = calibrate(executor)
    assert pickle.loads(pickle.dumps(calibration)) == calibration
    text = repr(calibration)
    assert text.startswith("Calibration of 2 workers\n")
    assert "GFLOP/s" in text and "GB/s" in text and " ms" in text


def test_messages_take_longer_the_more_they_say(executor):
    calibration = calibrate(executor)
    small, large, shared = (calibration.message_seconds(n, n, n_workers=2) for n in (1e3, 4e6, 4e8))
    assert calibration.round_seconds < small < large
    assert shared > small


def test_another_set_of_workers_is_measured_anew():
    with Executor(processes=False, n_workers=1) as executor:
        alone = calibrate(executor)
        assert alone.exchange_seconds is None and alone.exchange_bytes_per_second is None
        assert "none: one worker" in repr(alone)
        executor.client.cluster.scale(2)
        executor.client.wait_for_workers(2)
        assert calibrated(executor) is None
        assert calibrate(executor).n_workers == 2


def test_nothing_stays_on_the_workers(executor):
    calibrate(executor)
    held = executor.client.run(lambda dask_worker: list(dask_worker.data))
    assert all(not keys for keys in held.values())
