"""Samples that are sorted by label over the partitions are noticed."""

import warnings

import dask
import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor, open_model, save
from daskml_exec.torch import TorchClassifier, TorchRegressor
from tests.torch.modules import Hidden

RNG = np.random.default_rng(8)
X = RNG.standard_normal((400, 3)).astype(np.float32)
NUMBERS = X @ np.array([1.0, -2.0, 0.5], np.float32)
LABELS = {
    "two": (NUMBERS > 0.3).astype(int),
    "ten": np.digitize(NUMBERS, np.linspace(-3.0, 3.0, 9)),
    "words": np.where(NUMBERS > 0, "above", "below"),
}
MESSAGE = (
    r"the partition that a sample is in says much of its target \(\d+%.*Mix the samples over the "
    r"partitions before; where they must stay, a smaller sync_every"
)


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def chunks(array):
    return da.from_array(array, chunks=(70, *array.shape[1:]))


def classifier(**arguments):
    return TorchClassifier(Hidden, random_state=0, **arguments)


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("arguments", [{}, {"compression": "fp16"}, {"sync_every": "epoch"}])
def test_sorted_samples_are_told(name, weighted, arguments):
    order = np.argsort(LABELS[name], kind="stable")
    weight = RNG.exponential(size=len(X)) if weighted else None
    with pytest.warns(UserWarning, match=MESSAGE) as caught:
        classifier(**arguments).fit(chunks(X[order]), LABELS[name][order], weight)
    (warning,) = caught
    assert warning.filename == __file__


def test_sorted_samples_in_memory():
    order = np.argsort(LABELS["two"], kind="stable")
    with (
        dask.config.set({"daskml-exec.partition-bytes": X.nbytes // 3}),
        pytest.warns(UserWarning, match=MESSAGE),
    ):
        classifier().fit(X[order], LABELS["two"][order])


def test_a_sorted_stream_is_told_of_once(tmp_path):
    y = LABELS["two"]
    order = np.argsort(y, kind="stable")
    model = classifier()
    with pytest.warns(UserWarning, match=MESSAGE):
        model.partial_fit(chunks(X[order]), y[order], classes=[0, 1])
    model.partial_fit(chunks(X[order]), y[order])  # warnings are errors
    save(model, tmp_path / "model")
    open_model(tmp_path / "model", module=Hidden).partial_fit(chunks(X[order]), y[order])
    with pytest.warns(UserWarning, match=MESSAGE):
        model.fit(chunks(X[order]), y[order])


@pytest.mark.parametrize("name", LABELS)
def test_nothing_is_told_where_the_order_is_random(name):
    classifier(max_epochs=2).fit(chunks(X), LABELS[name])  # warnings are errors


def test_nothing_is_told_of_one_partition_or_of_numbers():
    order = np.argsort(NUMBERS, kind="stable")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier().fit(X[order], LABELS["two"][order])
        TorchRegressor(Hidden, random_state=0).fit(chunks(X[order]), NUMBERS[order])
