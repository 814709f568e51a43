"""What cannot be trained is refused, in words: which argument, what came, what is allowed."""

import functools
import importlib
import logging
import re
import subprocess
import sys
import threading

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import (
    DivergenceError,
    TorchClassifier,
    TorchEstimator,
    TorchRegressor,
    load_samples,
    tokens,
)
from tests.torch.modules import Hidden

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = X @ np.array([1, -1, 2], np.float32)
LABELS = (Y > 0).astype(int)
IDS = RNG.integers(0, 5, size=(40, 3))


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def squares(module, batch):
    X, y = batch
    return ((module(X)[:, 0] - y) ** 2).mean()


def any_of(module=None, *, loss=squares, **arguments):
    """Return an estimator that trains, where nothing is wrong with the arguments."""
    module = functools.partial(nn.Linear, 3, 1) if module is None else module
    given = {"batch_size": 8, "rows_least": 4, "random_state": 0}
    return TorchEstimator(module, loss=loss, **given | arguments)


def classifier(module=Hidden, **arguments):
    return TorchClassifier(module, **{"batch_size": 8, "random_state": 0} | arguments)


def on_cluster(array, rows):
    return da.from_array(array, chunks=(rows, *array.shape[1:]))


# Modules


class Fails(nn.Module):
    """Fails where it is called after so many calls."""

    def __init__(self, after=0):
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.after = after

    def forward(self, X):
        self.after -= 1
        if self.after < 0:
            raise KeyError("nowhere")
        return self.linear(X)


class Locked(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(3, 1)
        self.encoder.lock = threading.Lock()

    def forward(self, X):
        return self.encoder(X)


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.last = nn.Linear(3, 1, dtype=torch.float64)

    def forward(self, X):
        return self.last(self.first(X).double())


def frozen():
    return nn.Linear(3, 1).requires_grad_(False)


MODULES = {
    "no_parameters": (nn.Identity(), ValueError, "module=Identity: it has no parameters"),
    "all_frozen": (frozen(), ValueError, "module=Linear: all parameters of it are frozen"),
    "dtypes": (Mixed(), ValueError, r"torch.float32 of 'first.bias', torch.float64 of 'last.bias'"),
    "complex": (nn.Linear(3, 1, dtype=torch.complex64), ValueError, r"torch.complex64; allowed"),
    "half": (
        nn.Linear(3, 1, dtype=torch.bfloat16),
        ValueError,
        r"module.float\(\); amp='bfloat16'",
    ),
    "no_module": (3, TypeError, "module=3; allowed are a class of torch.nn.Module"),
    "returns_none": (dict, TypeError, "module returned a dict; allowed are callables that return"),
    "fails": (Fails(), KeyError, "nowhere"),
}


@pytest.mark.parametrize(("module", "error", "message"), MODULES.values(), ids=MODULES.keys())
def test_a_module_that_cannot_be_trained(module, error, message):
    with pytest.raises(error, match=message):
        any_of(module).fit(X, Y)


def test_options_of_an_instance():
    with pytest.raises(TypeError, match="an instance of Linear, and module__width is given"):
        any_of(nn.Linear(3, 1), module__width=3).fit(X, Y)


def test_a_module_that_fails_before_training_says_what_it_was_given():
    with pytest.raises(KeyError) as caught:
        any_of(Fails()).fit(X, Y)
    assert (
        "on 2 samples, before training began; batch is (float32[2, 3], float32[2])"
        in (caught.value.__notes__[0])
    )


def test_a_module_that_fails_on_a_worker_shows_the_workers_traceback_once(executor, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(KeyError, match="nowhere") as caught:
        any_of(Fails(after=1), rows_least=1).fit(on_cluster(X, 20), on_cluster(Y, 20))
    told = "".join(caught.value.__notes__)
    assert "in training on partition" in told
    assert told.count("in forward") <= 1
    assert not [line for line in caplog.messages if "Worker" in line or "Compute Failed" in line]
    assert not executor.events.workers_lost


@pytest.mark.parametrize("place", ["memory", "cluster"])
def test_a_module_that_cannot_be_pickled_names_the_attribute(place, request):
    given = (X, Y)
    if place == "cluster":
        request.getfixturevalue("executor")
        given = on_cluster(X, 20), on_cluster(Y, 20)
    with pytest.raises(TypeError, match=r"module.encoder.lock cannot be (sent|copied)"):
        any_of(Locked).fit(*given)


class Unsent:
    """A function that holds what cannot be pickled."""

    def __init__(self, function):
        self.function, self.lock = function, threading.Lock()

    def __call__(self, *given, **options):
        return self.function(*given, **options)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("param_groups", lambda named: [{"params": list(named.values())}]),
        ("optimizer", torch.optim.SGD),
        ("scheduler", lambda step, total: 1.0),
        ("augment", lambda sample, generator: sample),
    ],
)
def test_an_argument_that_cannot_be_pickled_is_named(name, function):
    with pytest.raises(TypeError, match=f"^{name} cannot be sent to Workers"):
        any_of(**{name: Unsent(function)}).fit(X, Y)


class OfAPackage:
    """What can be made here, and not where it is unpickled."""

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return importlib.import_module, ("only_here",)


def test_a_module_of_a_package_that_workers_lack(executor):
    module = nn.Linear(3, 1)
    module.tokenizer = OfAPackage()
    with pytest.raises(ModuleNotFoundError, match="only_here") as caught:
        any_of(module).fit(on_cluster(X, 20), on_cluster(Y, 20))
    told = "".join(caught.value.__notes__)
    assert "the package 'only_here' is not installed there; allowed are workers with" in told


SCRIPT = """
import dask.array as da, numpy as np, torch
from daskml_exec import Executor
from daskml_exec.torch import TorchEstimator

class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)
    def forward(self, X):
        return self.linear(X) * 2

def loss(module, batch):
    X, y = batch
    return ((module(X)[:, 0] - y) ** 2).mean()

if __name__ == "__main__":
    X = np.random.default_rng(0).normal(size=(40, 3))
    with Executor(n_workers=1):
        fitted = TorchEstimator(Own, loss=loss, batch_size=8)
        fitted.fit(da.from_array(X, chunks=(20, 3)), da.from_array(X[:, 0], chunks=20))
        predicted = fitted.predict(da.from_array(X, chunks=(20, 3)))
        print("predicted", predicted.compute().shape)
"""


@pytest.mark.slow
def test_a_module_of_a_script_travels_by_value(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=120
    )
    assert found.stdout == "predicted (40, 1)\n", found.stderr


@pytest.mark.parametrize("place", ["memory", "cluster"])
def test_lazy_modules_get_their_shapes_of_the_first_samples(place, request):
    given = (X, Y)
    if place == "cluster":
        request.getfixturevalue("executor")
        given = on_cluster(X, 20), on_cluster(Y, 20)
    module = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(1))
    fitted = any_of(module).fit(*given)
    assert fitted.module_[0].weight.shape == (4, 3)
    assert fitted.module_[1].num_batches_tracked > 0
    assert isinstance(module[0], nn.LazyLinear)  # the user's own stays as it was


def test_trainable_names_no_parameter():
    with pytest.raises(ValueError, match=r"trainable has 'head\.\*', which no .* weight, bias"):
        any_of(trainable="head.*").fit(X, Y)


# Losses


def raises_not_at_first(bad):
    """Return a loss that is right on two samples, on which it is tried before training."""

    def loss(module, batch):
        return squares(module, batch) if len(batch[0]) == 2 else bad(module, batch)

    return loss


LOSSES = {
    "vector": (
        lambda module, batch: (module(batch[0])[:, 0] - batch[1]) ** 2,
        r"loss returned a tensor of torch.float32 of shape \(\d+,\); allowed is a mean.*mean\(\)",
    ),
    "int": (lambda module, batch: 3, "loss returned a int; allowed is a mean over the batch"),
    "float": (lambda module, batch: 0.5, "loss returned a float; allowed is a mean"),
    "counts": (
        lambda module, batch: (module(batch[0]) > 0).sum(),
        "loss returned a tensor of torch.int64",
    ),
    "none": (lambda module, batch: None, "loss returned a NoneType; allowed is a mean"),
    "detached": (
        lambda module, batch: squares(module, batch).detach(),
        "loss returned a tensor without a gradient, as of .item",
    ),
    "does_not_depend": (
        lambda module, batch: (batch[0] ** 2).mean(),
        "does not depend on trainable parameters; allowed is a mean",
    ),
}


@pytest.mark.parametrize("late", [False, True], ids=["at_once", "in_training"])
@pytest.mark.parametrize(("loss", "message"), LOSSES.values(), ids=LOSSES.keys())
def test_a_loss_that_is_no_mean(loss, message, late):
    with pytest.raises(ValueError, match=message):
        any_of(loss=raises_not_at_first(loss) if late else loss).fit(X, Y)


def test_a_loss_that_is_nan_says_where_and_has_the_last_good_weights(executor):
    def loss(module, batch):
        return squares(module, batch) + (np.nan if 17 in batch[1] else 0.0)

    y = np.arange(40.0, dtype=np.float32)
    with pytest.raises(DivergenceError) as caught:
        any_of(loss=loss, shuffle=False, sync_every=1, rows_least=1).fit(
            on_cluster(X, 20), on_cluster(y, 20)
        )
    message = str(caught.value)
    assert "the loss is nan in step 4 of epoch 0, partition 0, of 4 samples between 16 and 19" in (
        message
    )
    assert "Lower lr" in message
    assert {"weight", "bias"} == set(caught.value.state_dict)
    assert all(each.isfinite().all() for each in caught.value.state_dict.values())


@pytest.mark.parametrize("place", [None, "executor"])
def test_a_loss_that_is_infinite_before_any_step_is_not_for_want_of_a_lower_rate(place, request):
    def loss(module, batch):
        return squares(module, batch) - torch.log(0 * batch[1].abs().sum())

    given = (X, Y)
    if place is not None:
        request.getfixturevalue(place)
        given = (on_cluster(X, 10), on_cluster(Y, 10))
    model = any_of(loss=loss)
    with pytest.raises(DivergenceError, match="the loss is inf in step 0 of epoch 0") as caught:
        model.fit(*given)
    message = str(caught.value)
    assert "No step has been taken yet" in message and "first weights" in message
    assert "Lower lr" not in message
    # In a later call steps have been taken, and may have gone too far.
    model.set_params(loss=squares).partial_fit(*given)
    with pytest.raises(DivergenceError, match="Lower lr"):
        model.set_params(loss=loss).partial_fit(*given)


def test_a_loss_that_changes_its_batch_leaves_the_data_as_they_are(executor):
    def loss(module, batch):
        X, y = batch
        found = squares(module, (X.clone(), y.clone()))
        X.zero_()
        y.fill_(np.nan)
        return found

    mine, yours = X.copy(), Y.copy()
    before = any_of(max_epochs=3).fit(X, Y).predict(X)
    assert np.array_equal(any_of(loss=loss, max_epochs=3).fit(mine, yours).predict(X), before)
    with load_samples(on_cluster(mine, 20), on_cluster(yours, 20)) as data:
        one, two = (any_of(loss=loss, max_epochs=3).fit(data).predict(X) for _ in range(2))
    assert np.array_equal(one, two)
    assert np.array_equal(mine, X)
    assert np.array_equal(yours, Y)


# Data


@pytest.mark.parametrize("place", ["memory", "cluster"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite(place, bad, request):
    wrong = X.copy()
    wrong[27, 1] = bad
    given = ({"X": wrong}, Y)
    if place == "cluster":
        request.getfixturevalue("executor")
        given = {"X": on_cluster(wrong, 20)}, on_cluster(Y, 20)

    def loss(module, batch):
        return squares(module, (batch[0]["X"], batch[1]))

    with pytest.raises(ValueError, match=rf"X\['X'\] has {bad} in sample .* sample 27 of all"):
        any_of(loss=loss).fit(*given)


def test_numbers_of_y_that_are_not_finite():
    wrong = Y.copy()
    wrong[3] = np.nan
    with pytest.raises(ValueError, match="y has nan in sample 3"):
        any_of().fit(X, wrong)


class Words(nn.Module):
    def __init__(self, n_outputs=2, sparse=False):
        super().__init__()
        self.words = nn.Embedding(5, 4, sparse=sparse)
        self.last = nn.Linear(4, n_outputs)

    def forward(self, X):
        return self.last(self.words(X).mean(dim=1))


SEEN = []
FiveWords = functools.partial(Words, 5)


def next_word(module, batch):
    SEEN.append(len(batch))
    return nn.functional.cross_entropy(module(batch[:, :-1]), batch[:, -1])


@pytest.mark.parametrize("place", ["memory", "cluster"])
def test_ids_that_an_embedding_has_not(place, request):
    wrong = IDS.copy()
    wrong[31, 2] = 7
    given = (wrong, LABELS)
    if place == "cluster":
        request.getfixturevalue("executor")
        given = on_cluster(wrong, 20), on_cluster(LABELS, 20)
    with pytest.raises(IndexError) as caught:
        classifier(Words).fit(*given)
    told = str(caught.value) + "".join(caught.value.__notes__)
    assert re.search(
        r"embedding 'words' has num_embeddings=5 and got the id 7; allowed are 0 to 4", told
    ), told


def test_labels_outside_of_the_classes():
    fitted = classifier().partial_fit(X, LABELS, classes=[0, 1])
    wrong = LABELS.copy()
    wrong[5] = 3
    with pytest.raises(ValueError, match=r"y has the label 3, .* among the classes \[0, 1\]"):
        fitted.partial_fit(X, wrong)


def test_codes_outside_of_the_outputs():
    def loss(module, batch):
        return nn.functional.cross_entropy(module(batch[0]), batch[1])

    wrong = LABELS.copy()
    wrong[30] = 2
    with pytest.raises(IndexError, match="Target 2 is out of bounds") as caught:
        any_of(nn.Linear(3, 2), loss=loss).fit(X, wrong)
    assert "in training on partition 0, epoch 0" in "".join(caught.value.__notes__)


def test_one_class():
    with pytest.raises(ValueError, match=r"y has one class, 0; a classifier needs two at least"):
        classifier().fit(X, np.zeros(40, dtype=int))


SHAPES = {
    "module": (lambda: any_of(nn.Linear(4, 1)).fit(X, Y), RuntimeError, "cannot be multiplied"),
    "outputs_of_classes": (
        lambda: classifier(nn.Linear(3, 5)).fit(X, LABELS),
        ValueError,
        r"outputs of shape \(2, 5\) for 2 samples of 2 classes; allowed is one output per class",
    ),
    "outputs_of_numbers": (
        lambda: TorchRegressor(nn.Linear(3, 2), batch_size=8).fit(X, Y),
        ValueError,
        r"outputs of shape \(2, 2\) for y of shape \(2,\); allowed is one output per number",
    ),
    "no_tensor": (
        lambda: classifier(nn.LSTM(3, 2)).fit(X[:, None], LABELS),
        ValueError,
        "the module returned a tuple; allowed is a tensor",
    ),
    "lengths": (lambda: any_of().fit(X, Y[:7]), ValueError, "X has 40 samples, y has 7"),
    "lengths_of_a_tree": (
        lambda: any_of().fit({"a": X, "b": Y[:7]}, Y),
        ValueError,
        r"X\['a'\] has 40 samples, X\['b'\] has 7",
    ),
    "lengths_of_weights": (
        lambda: any_of().fit(X, Y, np.ones(3)),
        ValueError,
        "X has 40 samples, sample_weight has 3",
    ),
    "ragged": (
        lambda: any_of().fit([[1.0, 2.0], [3.0]], [1.0, 2.0]),
        ValueError,
        r"X is ragged: sample 1 has shape \(1,\), sample 0 has \(2,\); allowed is one shape",
    ),
    "complex": (lambda: any_of().fit(X.astype(complex), Y), TypeError, "X has dtype complex128"),
    "texts": (lambda: any_of().fit(X.astype(str), Y), TypeError, "X has dtype <U"),
    "no_axis": (lambda: any_of().fit(3.0, Y), TypeError, "X is a single number"),
    "empty_dict": (lambda: any_of().fit({}, Y), ValueError, "X is an empty dict"),
    "no_rows": (
        lambda: any_of().fit(X[:0], Y[:0]),
        ValueError,
        "X has 0 rows: training needs at least one sample",
    ),
}


@pytest.mark.parametrize(("fit", "error", "message"), SHAPES.values(), ids=SHAPES.keys())
def test_shapes_are_looked_at_before_training(fit, error, message):
    with pytest.raises(error, match=message):
        fit()


def test_shapes_that_differ_among_partitions(executor):
    pieces = [executor.client.scatter(piece) for piece in (X[:20], X[20:, :2])]
    labels = [executor.client.scatter(piece) for piece in (Y[:20], Y[20:])]
    with pytest.raises(ValueError, match=r"X has samples of shape \(2,\) in partition 1, and of"):
        any_of().fit(pieces, labels)


def test_partitions_without_samples(executor):
    chunks = (0, 15, 0, 25, 0)
    whole = da.from_array(X, chunks=(chunks, 3)), da.from_array(Y, chunks=(chunks,))
    fitted = any_of(max_epochs=2).fit(*whole)
    filled = any_of(max_epochs=2).fit(*(each.rechunk({0: (15, 25)}) for each in whole))
    assert np.isfinite(fitted.predict(X)).all()
    assert fitted.score(*whole) == pytest.approx(filled.score(X, Y), rel=0.2)
    none = da.from_array(X[:0], chunks=((0, 0), 3)), da.from_array(Y[:0], chunks=((0, 0),))
    with pytest.raises(ValueError, match="training needs at least one sample"):
        any_of().fit(*none)


def normed():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_one_row_with_batch_norm(executor):
    with pytest.raises(ValueError, match="more than 1 value per channel") as caught:
        any_of(normed, batch_size=1).fit(X[:1], Y[:1])
    assert "BatchNorm needs two samples at least in each step" in "".join(caught.value.__notes__)
    chunks = (1, 20, 19)
    given = da.from_array(X, chunks=(chunks, 3)), da.from_array(Y, chunks=(chunks,))
    with pytest.raises(ValueError, match="more than 1 value per channel") as caught:
        any_of(normed).fit(*given)
    told = "".join(caught.value.__notes__)
    assert "partition 0" in told
    assert "allowed are fewer partitions, or a larger batch_size" in told


def test_fewer_windows_than_partitions(executor):
    ids = da.from_array(np.arange(12) % 5, chunks=2)
    estimator = any_of(FiveWords, loss=next_word, batch_size=2)
    fitted = estimator.fit(tokens(ids, 6))
    assert fitted.history_
    with pytest.raises(ValueError, match="window=20 with an array of 12 tokens; allowed are"):
        any_of(FiveWords, loss=next_word).fit(tokens(ids, 20))


def test_chunks_along_features(executor):
    wrong = da.from_array(X, chunks=(20, 2))
    with pytest.raises(ValueError, match=r"X has 2 chunks along axis 1; .* rechunk\({1: -1}\)"):
        any_of().fit(wrong, on_cluster(Y, 20))


def test_chunks_of_unknown_sizes(executor):
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abc")), npartitions=2)
    y = dd.from_pandas(pd.Series(Y), npartitions=2)
    known = any_of().fit(on_cluster(X, 20), on_cluster(Y, 20))
    for given, rows in (
        ((frame, y), frame.compute()),
        ((frame.to_dask_array(), y.to_dask_array()), X),
    ):
        assert np.array_equal(any_of().fit(*given).predict(rows), known.predict(X))


def test_buffers_that_are_read_only_or_go_backwards_raise_no_warnings():
    expected = any_of().fit(X, Y).predict(X)
    locked = X.copy(), Y.copy()
    for each in locked:
        each.setflags(write=False)
    backwards = X[::-1].copy()[::-1], Y[::-1].copy()[::-1]
    for given in (locked, backwards, (np.asfortranarray(X), Y), (X.astype(">f4"), Y)):
        fitted = any_of().fit(*given)
        assert np.array_equal(fitted.predict(given[0]), expected)


# Optimisers and arguments


def half(module, batch):
    return {"half": 0.5}


ARGUMENTS = {
    "lbfgs": ({"optimizer": "LBFGS"}, "optimizer='LBFGS' calls the loss several times"),
    "lbfgs_class": ({"optimizer": torch.optim.LBFGS}, "calls the loss several times.*allowed are"),
    "sparse_adam": ({"optimizer": "sparse_adam"}, "optimizer='sparse_adam'; allowed are .*sgd"),
    "unknown": ({"optimizer": "adamm"}, "optimizer='adamm'; allowed are .*adamw"),
    "clip": ({"clip_norm": 0}, "'clip_norm' .* Got 0"),
    "sync": ({"sync_every": 0}, "'sync_every' .* Got 0"),
    "batch": ({"batch_size": 0}, "'batch_size' .* Got 0"),
    "accumulate": ({"accumulate": 0}, "'accumulate' .* Got 0"),
    "amp": ({"amp": "int8"}, "'amp' .*'bfloat16'.* Got 'int8'"),
    "device": ({"device": "tpu"}, "device='tpu'; allowed are 'auto', 'cpu', 'cuda'"),
    "steps": ({"max_steps": 0}, "'max_steps' .* Got 0"),
    "fraction": ({"validation_fraction": 1.0}, "'validation_fraction' .* Got 1.0"),
    "moments": ({"optimizer_state": "keep"}, "'optimizer_state' .* Got 'keep'"),
    "scores": (
        {"scores": half, "validation_fraction": 0.3},
        r"scores returned \{'half': 0.5\}; allowed is a dict of \(sum, weight\) by name",
    ),
    "nan_rate": (
        {"scheduler": lambda step, total: np.nan},
        r"scheduler returned nan for step=0, total=5; allowed are finite numbers from 0",
    ),
    "negative_rate": (
        {"scheduler": lambda step, total: 1.0 - step},
        r"scheduler returned -1.0 for step=2, total=5; allowed are",
    ),
    "groups": (
        {"param_groups": lambda named: [{"params": [named["bias"]]}]},
        "param_groups must return each trainable parameter once; it left out weight",
    ),
    "codec": ({"compression": "zip"}, "compression='zip' is not supported: give None, 'fp16'"),
    "augmented": (
        {"augment": lambda sample, generator: sample[: generator.integers(1, 4)]},
        "augment returned samples of different shapes",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_an_argument_that_is_not_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        any_of(**arguments).fit(X, Y)


def test_an_optimizer_that_is_none():
    with pytest.raises(TypeError, match=r"optimizer returned a dict; allowed is a torch.optim"):
        any_of(optimizer=lambda params, lr: {}).fit(X, Y)


SIGNATURES = {
    "optimizer": (lambda params: None, r"optimizer\(params, lr=\.\.\.\)"),
    "scheduler": (lambda step: 1.0, r"scheduler\(step, total\)"),
    "augment": (lambda sample: sample, r"augment\(sample, generator\)"),
    "scores": (lambda outputs: {}, r"scores\(module, batch\)"),
    "loss": (lambda batch: None, r"loss\(module, batch\)"),
    "param_groups": (lambda module, named: [], r"param_groups\(parameters\)"),
}


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("place", [None, "executor"])
def test_functions_that_cannot_be_called_as_they_are(name, place, request):
    function, allowed = SIGNATURES[name]
    given = (X, Y)
    if place is not None:
        request.getfixturevalue(place)
        given = (on_cluster(X, 20), on_cluster(Y, 20))
    with pytest.raises(TypeError) as caught:
        any_of(**{name: function}, validation_fraction=0.2).fit(*given)
    notes = "\n".join(caught.value.__notes__)
    assert re.search(rf"{name}=.*; allowed is what can be called as {allowed}", notes)


def test_options_that_nobody_takes():
    given = {
        r"optimizer__momentum=0.9, which Adam cannot .* allowed are optimizer__betas": {
            "optimizer": "adam",
            "optimizer__momentum": 0.9,
        },
        r"module__widht=4, which Hidden cannot be given so; allowed are module__": {
            "module": Hidden,
            "module__widht": 4,
        },
        r"unexpected keyword argument 'epochs', where 'max_epochs' may be meant; .* module__": {
            "epochs": 3
        },
    }
    for message, arguments in given.items():
        with pytest.raises(TypeError, match=message):
            any_of(**arguments).fit(X, Y)


def test_a_patience_without_anything_that_is_waited_for():
    with pytest.raises(ValueError, match=r"n_iter_no_change=3 with tol=None, .* tol=0\.0 or more"):
        any_of(n_iter_no_change=3).fit(X, Y)
    any_of(n_iter_no_change=np.inf).fit(X, Y)


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.MSELoss])
def test_a_criterion_is_no_loss_of_module_and_batch(loss):
    with pytest.raises(TypeError, match=r"loss=.* compares outputs with y; .* as criterion"):
        any_of(loss=loss).fit(X, Y)


@pytest.mark.parametrize("given", [lambda X: X, lambda X: torch.utils.data.DataLoader(X)])
def test_a_dataset_is_read_on_workers(given):
    dataset = torch.utils.data.TensorDataset(torch.zeros(3, 3), torch.zeros(3))
    with pytest.raises(TypeError, match=r"X is a .*; allowed is from_dataset\(make, n_partitions"):
        any_of().fit(given(dataset))
    with pytest.raises(TypeError, match=r"X is a .*; allowed is from_dataset\(make, n_partitions"):
        any_of().fit(X, Y).predict(given(dataset))


def test_scores_and_augmentation_are_tried_before_training():
    def trained(event):
        raise AssertionError(event)

    message = "scores returned 3; allowed is a dict"
    with pytest.raises(ValueError, match=message) as caught:
        any_of(scores=lambda module, batch: 3, callbacks=[trained]).fit(X, Y)
    assert "before training began; batch is (float32[2, 3], " in "".join(caught.value.__notes__)
    with pytest.raises(TypeError, match="augment returned a NoneType; allowed is a sample"):
        any_of(augment=lambda sample, generator: None, callbacks=[trained]).fit(X, Y)
    with pytest.raises(TypeError, match="augment returned a NoneType; allowed is a sample"):
        any_of(augment=lambda sample, generator: sample if generator.random() < 0.9 else None).fit(
            X, Y
        )
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        any_of(augment=lambda sample, generator: sample[:2], callbacks=[trained]).fit(X, Y)
    assert "batch is (float32[2, 2], " in "".join(caught.value.__notes__)


@pytest.mark.parametrize("scheduler", [torch.optim.lr_scheduler.StepLR, "cosine"])
def test_a_scheduler_is_a_function_of_step_and_total(scheduler):
    with pytest.raises(TypeError, match=r"scheduler=.* called as scheduler\(step, total\)"):
        any_of(scheduler=scheduler).fit(X, Y)


def test_many_small_partitions_are_told_of(executor):
    message = "2 partitions take 16 samples each per step, 32 in all where batch_size asks for 8"
    with pytest.warns(UserWarning, match=f"{message}: an epoch has 2 .* a smaller rows_least"):
        any_of(rows_least=None).fit(on_cluster(X, 20), on_cluster(Y, 20))


def test_errors_inside_of_functions_are_not_taken_for_their_signatures():
    def augment(sample, generator):
        return sample + None

    with pytest.raises(TypeError, match="NoneType") as caught:
        any_of(augment=augment).fit(X, Y)
    assert "allowed is what can be called" not in "".join(caught.value.__notes__)


def test_batches_larger_than_the_data_are_clipped_with_a_warning():
    with pytest.warns(UserWarning, match="batch_size=64 is more than the 40 samples there are"):
        large = any_of(batch_size=64).fit(X, Y)
    assert np.array_equal(large.predict(X), any_of(batch_size=40).fit(X, Y).predict(X))


def test_the_least_batch_is_of_samples_and_not_of_tokens(executor, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SEEN", [])
    ids = on_cluster(IDS, 10)
    TorchEstimator(FiveWords, loss=next_word, batch_size=8, random_state=0).fit(ids)
    assert max(SEEN) == 2  # of each of four partitions
    SEEN.clear()
    TorchEstimator(FiveWords, loss=next_word, batch_size=8, rows_least=5).fit(ids)
    assert max(SEEN) == 5


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("compression", [None, "fp16", "topk:0.1"])
def test_gradients_that_are_sparse(optimizer, compression, executor):
    arguments = {"optimizer": optimizer, "lr": 0.1, "compression": compression}
    make = [
        classifier(Words, module__sparse=sparse, max_epochs=2, **arguments)
        for sparse in (True, False)
    ]
    for given in ((IDS, LABELS), (on_cluster(IDS, 20), on_cluster(LABELS, 20))):
        found = [each.fit(*given).predict_proba(IDS) for each in make]
        assert np.isfinite(found[0]).all()
        np.testing.assert_allclose(*found, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
@pytest.mark.parametrize("arguments", [{"optimizer": "adamw"}, {"clip_norm": 1.0}])
def test_sparse_gradients_where_dense_ones_are_needed(arguments):
    estimator = classifier(Words, module__sparse=True, **{"optimizer": "sgd"} | arguments)
    with pytest.raises((RuntimeError, ValueError), match="sparse") as caught:
        estimator.fit(IDS, LABELS)
    told = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "allowed are optimizer='sgd' and 'adagrad' with clip_norm=None, or sparse=False" in told


@pytest.mark.parametrize("make", [TorchClassifier, TorchRegressor])
def test_no_y(make):
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        make(Hidden).fit(X)
    with pytest.raises(ValueError, match="y must be "), load_samples(X) as data:
        make(Hidden).fit(data)


@pytest.mark.parametrize("name", ["y", "sample_weight"])
@pytest.mark.parametrize("what", ["fit", "partial_fit", "score"])
def test_columns_beside_a_data(name, what):
    given = {name: np.ones(len(X))}
    with load_samples(X, LABELS) as data:
        for model in (any_of().fit(X, Y), classifier().fit(X, LABELS)):
            with pytest.raises(
                ValueError,
                match=rf"X is a Data, and {name} is given beside it; allowed is None, as a Data "
                r"has its own: load_samples\(",
            ):
                getattr(model, what)(data, **given)


def test_weights_of_zero_are_samples_that_are_not_there():
    weight = np.ones(40)
    weight[::3] = 0
    left = weight > 0
    # All samples of a step are there in one order or another: sums are the same but for rounding.
    one = classifier(batch_size=40).fit(X, LABELS, weight)
    two = classifier(batch_size=26).fit(X[left], LABELS[left])
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X), atol=1e-6)
    with pytest.raises(
        ValueError, match=r"sample_weight has -0.5 in row 0 .* allowed are finite values from 0"
    ):
        classifier().fit(X, LABELS, weight - 0.5)
    with pytest.raises(ValueError, match="all sample weights are zero"):
        classifier().fit(X, LABELS, np.zeros(40))
    with pytest.raises(ValueError, match="sample_weight"):
        classifier().fit(X, LABELS, np.full(40, np.nan))


def test_weights_beside_a_criterion_that_has_none_per_sample():
    def criterion(outputs, y):
        return nn.functional.cross_entropy(outputs, y)

    with pytest.raises(ValueError, match=r"sample_weight with criterion=.*; allowed are torch's"):
        classifier(criterion=criterion).fit(X, LABELS, np.ones(40))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(6, 2)

    def forward(self, one, other):
        return self.last(torch.cat([one, other], dim=1))


@pytest.mark.parametrize("given", [(X, X), {"one": X, "other": X}], ids=["tuple", "dict"])
def test_a_classifier_of_several_inputs(given):
    fitted = classifier(Two, max_epochs=20, lr=0.05).fit(given, LABELS)
    assert fitted.score(given, LABELS) > 0.9
    assert fitted.predict_proba(given).shape == (40, 2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'third'"):
        classifier(Two).fit({"one": X, "third": X}, LABELS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU for modules to be on")
def test_a_module_on_a_gpu_comes_back():
    any_of(nn.Linear(3, 1).cuda(), device="cpu").fit(X, Y)
