"""How a fit was planned, beside what it took."""

import dask.array as da
import numpy as np
import pytest
from torch import nn

from daskml_exec import Executor, open_model, save
from daskml_exec.torch import TorchClassifier

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(400, 6)).astype(np.float32), RNG.integers(0, 2, 400)


def normed():
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def fitted(chunk, **options):
    with Executor(processes=False, n_workers=1):
        model = TorchClassifier(normed, batch_size=20, sync_every=8, random_state=0, **options)
        return model.fit(da.from_array(X, chunks=(chunk, 6)), Y)


def said(model, what):
    [line] = [line for line in str(model.explain()).splitlines() if line.startswith(what)]
    return " ".join(line.split())


def test_it_says_how_samples_and_steps_were_shared():
    model = fitted(200)
    assert said(model, "module") == "module Sequential, 46 parameters of float32, AdamW, on cpu"
    assert said(model, "data") == "data 400 samples to train on in 2 partitions"
    assert said(model, "steps") == (
        "steps 32 samples each, 16 per partition; 13 steps an epoch; learning rate x 1.26, since "
        "16 samples per partition at least are more than were asked for"
    )
    assert said(model, "averages") == "averages every 8 steps, 2 an epoch, uncompressed"


def test_it_says_what_becomes_of_each_role():
    model = fitted(200)
    assert said(model, "parameters") == "parameters 6 46 184 B averaged"
    assert said(model, "statistics") == "statistics 2 8 64 B averaged in float64"
    assert said(model, "moments") == "moments 12 92 368 B averaged"
    assert said(model, "counters").endswith("the largest")


@pytest.mark.parametrize(
    ("options", "parameters", "moments"),
    [
        ({"optimizer_state": "reset"}, "184 B averaged", "- forgotten"),
        ({"optimizer_state": "local"}, "184 B averaged", "- kept on Workers"),
        ({"compression": "fp16"}, "100 B averaged, in fp16", "- kept on Workers"),
    ],
)
def test_what_does_not_travel_has_no_bytes(options, parameters, moments):
    model = fitted(200, **options)
    assert parameters in said(model, "parameters")
    assert moments in said(model, "moments")


def test_nothing_travels_of_one_partition():
    model = fitted(400)
    assert said(model, "averages") == "averages none: one partition"
    assert said(model, "parameters") == "parameters 6 46 - goes on"


def test_frozen_parameters_are_told_of():
    model = fitted(200, trainable="2.*")
    assert "10 parameters of float32, 36 frozen ones" in said(model, "module")


def test_it_is_the_same_in_a_file_and_a_notebook(tmp_path):
    model = fitted(200)
    save(model, str(tmp_path / "model"))
    opened = open_model(str(tmp_path / "model"), module=normed)
    assert str(opened.explain()) == str(model.explain())
    assert "<th>averages</th><td>every 8 steps" in model.explain()._repr_html_()
