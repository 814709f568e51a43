"""Scores of samples with a module that is trained."""

import dask.array as da
import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import (
    TorchClassifier,
    TorchEstimator,
    TorchRegressor,
    from_dataset,
    load_samples,
)

X = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5], [0.0]], np.float32)).astype(np.float32)


def squares(module, batch):
    rows, targets = batch
    return ((module(rows) - targets) ** 2).mean()


def near(module, batch):
    rows, targets = batch
    right = (module(rows) - targets).abs() < 0.5
    return {"near": (right.sum(), len(rows)), "loss": (squares(module, batch), 1)}


def linear():
    return nn.Linear(4, 1)


def fitted(**options):
    return TorchEstimator(
        linear, loss=squares, lr=0.01, max_epochs=2, random_state=0, **options
    ).fit(X, Y)


def test_without_scores_it_is_the_negative_loss():
    model = fitted()
    with torch.no_grad():
        loss = squares(model.module_, (torch.from_numpy(X), torch.from_numpy(Y)))
    assert model.score(X, Y) == pytest.approx(-float(loss), rel=1e-5)


def test_the_first_score_counts():
    model = fitted(scores=near)
    expected = np.mean(np.abs(model.predict(X) - Y) < 0.5)
    assert model.score(X, Y) == pytest.approx(expected)


def test_it_is_the_same_from_partitions():
    model = fitted(scores=near)
    with load_samples(X, Y) as data:
        assert model.score(data) == pytest.approx(model.score(X, Y))
    with Executor(processes=False, n_workers=1):
        rows = da.from_array(X, chunks=(250, 4))
        assert model.score(rows, Y) == pytest.approx(model.score(X, Y))


def test_scores_that_are_no_sums_are_refused():
    model = fitted()
    model.scores = lambda module, batch: 0.5
    with pytest.raises(ValueError, match=r"scores returned 0\.5; allowed is a dict of \(sum, wei"):
        model.score(X, Y)


LABELS = (Y[:, 0] > 0).astype(int)


def classes():
    return nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (LABELS[:, None], r"y is int64\[1\]; allowed is one label per sample, a number, as the"),
        (LABELS.astype(str), r"y is <U\d+; allowed is one label per sample, a number, as the"),
        ((LABELS, LABELS), r"y\[0\] is int64 and y\[1\] is int64; allowed is one label"),
    ],
    ids=["column", "texts", "tree"],
)
def test_a_classifier_needs_labels_as_in_fit(y, message):
    model = TorchClassifier(classes).fit(X, LABELS)
    with pytest.raises(ValueError, match=message):
        model.score(X, y)


def test_a_classifier_of_texts_needs_texts():
    model = TorchClassifier(classes).fit(X, np.where(LABELS, "yes", "no"))
    assert 0 <= model.score(X, np.where(LABELS, "yes", "no").astype(object)) <= 1
    with pytest.raises(ValueError, match=r"y is int64; .* a text, as the classes \['no', 'yes'\]"):
        model.score(X, LABELS)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.hstack([Y, Y]), r"y is float32\[2\]; allowed is one number per sample, as in fit"),
        (Y[:, 0].astype(str), r"y is <U\d+; allowed is one number per sample"),
    ],
    ids=["two", "texts"],
)
def test_a_regressor_needs_targets_as_in_fit(y, message):
    model = TorchRegressor(linear).fit(X, Y[:, 0])
    with pytest.raises(ValueError, match=message):
        model.score(X, y)
    two = TorchRegressor(lambda: nn.Linear(4, 2)).fit(X, np.hstack([Y, Y]))
    with pytest.raises(ValueError, match=r"y is float32; allowed are 2 numbers per sample"):
        two.score(X, Y[:, 0])


@pytest.mark.parametrize(
    "model", [TorchClassifier(classes), TorchRegressor(classes)], ids=["classifier", "regressor"]
)
def test_a_score_needs_y(model):
    model.fit(X, LABELS if isinstance(model, TorchClassifier) else np.hstack([Y, Y]))
    with pytest.raises(ValueError, match=r"requires y to be passed.* allowed is one value per"):
        model.score(X)
    with load_samples(X) as data, pytest.raises(ValueError, match="y is None; allowed "):
        model.score(data)


class Pairs:
    """A Dataset of rows with the sign of their first number."""

    def __len__(self):
        return 60

    def __getitem__(self, i):
        return X[i], int(X[i, 0] > 0)


@pytest.mark.parametrize("kind", [TorchClassifier, TorchRegressor])
def test_the_items_of_a_dataset_may_have_y(kind):
    samples = from_dataset(Pairs, 2)
    module = classes if kind is TorchClassifier else linear
    with Executor(processes=False, n_workers=1):
        model = kind(module, random_state=0).fit(samples)
        assert model.score(samples) == pytest.approx(model.score(X[:60], (X[:60, 0] > 0) * 1))
