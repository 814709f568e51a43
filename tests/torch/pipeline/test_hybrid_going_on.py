"""What a fit of replicas leaves, how it goes on from there, and what it does not go with."""

import dask
import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor, open_model, save
from daskml_exec.torch import DivergenceError, TorchEstimator, TorchRegressor
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import (
    NUMBERS,
    ROWS,
    chain,
    distance,
    hybrid,
    lazy,
    squares,
    staged,
)

CHUNKS = (20, 13, 17)


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def fitted(**arguments):
    return hybrid("chain", **{"sync_every": 2, **arguments}).fit(*lazy("chain", CHUNKS))


def test_attributes():
    model = fitted()
    assert model.n_epochs_ == 3 and len(model.loss_curve_) == 3
    assert model.loss_curve_[-1] < model.loss_curve_[0] and not model.module_.training
    assert {record.step for record in model.history_} == {"train"}
    assert all(np.isfinite(record.loss) for record in model.history_)
    text = str(model.explain())
    assert "2 replicas of the pipeline, averaged every 2 steps" in text
    assert "6 samples each at most, of one partition, in each replica; 6 steps an epoch" in text
    assert "3 stages, 4 micro-batches, 1f1b" in text
    assert model.explain()._repr_html_()
    assert "replicas" not in str(staged("chain").fit(ROWS, NUMBERS).explain())


@pytest.mark.parametrize("arguments", [{}, {"optimizer": "sgd", "optimizer__momentum": 0.9}])
def test_partial_fit_goes_on_with_what_the_optimisers_remember(arguments):
    model = hybrid("chain", sync_every=2, **arguments)
    for _ in range(3):
        model.partial_fit(*lazy("chain", CHUNKS))
    assert bits(model) == bits(fitted(**arguments)) and model.n_epochs_ == 3


def test_goes_on_as_a_pipeline_and_from_one():
    arrays = lazy("chain", CHUNKS)
    model = hybrid("chain", sync_every=2).partial_fit(*arrays)
    first = model.loss_curve_[0]
    model.set_params(parallel="pipeline", sync_every="auto").partial_fit(*arrays)
    model.set_params(parallel="hybrid", n_replicas=3).partial_fit(*arrays)
    assert model.n_epochs_ == 3 and model.loss_curve_[2] < first
    # Those of the longest of two replicas, of a pipeline, and of the longest of three.
    assert model._remembered.model.buffers.largest.max() == 6 + 6 + 5


def test_warm_start_begins_with_the_weights_alone():
    model = fitted(warm_start=True, max_epochs=1)
    before = {name: each.clone() for name, each in model.state_dict_.items()}
    model.set_params(max_steps=1, optimizer="sgd", lr=0.0).fit(*lazy("chain", CHUNKS))
    for name, each in model.state_dict_.items():
        np.testing.assert_allclose(each.numpy(), before[name].numpy(), rtol=1e-15)


def test_callbacks_and_early_ends():
    seen = []

    def stop(event):
        seen.append(event.record.loss)
        return len(seen) == 2

    model = fitted(callbacks=[stop], max_epochs=50)
    assert [record.loss for record in model.history_] == seen and len(seen) == 2
    assert fitted(tol=1e9, n_iter_no_change=2, max_epochs=50).n_epochs_ == 4


def test_saved_and_opened(tmp_path):
    model, url = fitted(), str(tmp_path / "model.safetensors")
    save(model, url)
    opened = open_model(url, module=chain, loss=squares)
    assert bits(opened) == bits(model) and str(opened.explain()) == str(model.explain())
    opened.partial_fit(*lazy("chain", CHUNKS))
    assert bits(opened) == bits(fitted(max_epochs=4))


def test_a_regressor():
    arguments = {"parallel": "hybrid", "stages": 2, "max_epochs": 20, "lr": 0.01}
    model = TorchRegressor(chain, random_state=0, **arguments).fit(*lazy("chain", CHUNKS))
    assert model.score(ROWS, NUMBERS) > 0.8


@pytest.mark.parametrize("at", [3, 40])
def test_a_sample_that_is_not_finite_is_named_whichever_replica_has_it(at):
    X = ROWS.copy()
    X[at, 2] = np.inf
    model = hybrid("chain", sync_every=2)
    with pytest.raises(ValueError, match=f"X has inf in sample .*, sample {at} of all"):
        model.fit(da.from_array(X, chunks=(CHUNKS, 6)), lazy("chain", CHUNKS)[1])
    assert not hasattr(model, "module_")


@pytest.mark.parametrize("duration", ["1ms", "1h"])
def test_divergence(duration):
    with (
        dask.config.set({"daskml-exec.segment-duration": duration}),
        pytest.raises(DivergenceError, match=r"not finite|the loss is (inf|nan)"),
    ):
        fitted(optimizer="sgd", lr=1e30, sync_every=1)


def refused(message, **arguments):
    given = {"parallel": "hybrid", "stages": 2, "max_epochs": 1, "random_state": 0, **arguments}
    model = TorchEstimator(chain, loss=squares, **given)
    with pytest.raises(ValueError, match=message):
        model.fit(*lazy("chain", CHUNKS))
    assert not hasattr(model, "module_")


REFUSED = {
    "outer": ("nesterov", "replicas become their average; allowed are outer='auto' and"),
    "compression": ("fp16", "stages are averaged where they are, .*allowed is compression=None"),
    "rows_least": (3, "a replica's samples in a step are of one partition; allowed is"),
    "accumulate": (2, "micro_batches= says .*; allowed is accumulate=1"),
    "compile": (True, "stages are not compiled yet; allowed is compile=False"),
    "amp": ("float16", "stages have no common scale of losses yet; allowed are amp='bfloat16'"),
    "stages": (None, "allowed are a number from 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_replicas_do_not_go_with(name):
    value, message = REFUSED[name]
    refused(f"{name}={value!r} with parallel='hybrid'.*{message}", **{name: value})


def test_numbers_of_replicas():
    refused(r"n_replicas=4 with 3 partitions: each .* allowed are 2 to 3", n_replicas=4)
    refused("'n_replicas' parameter of TorchEstimator must be", n_replicas=1)
    refused(
        r"n_replicas=2 with parallel='data'.*allowed are n_replicas='auto', and parallel='hybrid'",
        parallel="data",
        stages=None,
        n_replicas=2,
    )
    refused(
        r"n_replicas=2 with parallel='pipeline': .*parallel='hybrid' has replicas; allowed is",
        parallel="pipeline",
        n_replicas=2,
    )
    with pytest.raises(ValueError, match=r"n_replicas=2 with 1 partition: .*partition has none"):
        hybrid("chain").fit(ROWS, NUMBERS)


def test_an_outer_average_is_what_it_is_by_default():
    assert distance(fitted(outer="average"), fitted()) == 0


def test_a_batch_that_no_partition_has():
    with pytest.warns(
        UserWarning, match=r"batch_size=48, of which each of 2 replicas has 24 .* 20"
    ):
        hybrid("chain", batch_size=48).fit(*lazy("chain", CHUNKS))
