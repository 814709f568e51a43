"""Weights of classes: the same bits as with them in `sample_weight`."""

import dask.array as da
import numpy as np
import pytest
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import TorchClassifier, load_samples

RNG = np.random.default_rng(4)
X = RNG.standard_normal((240, 4)).astype(np.float32)
Y = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, -2.0, 0.5, 0.0], [-3.0, 1.0])]
ROWS = RNG.uniform(0.5, 2.0, len(X))
FACTORS = {"a": 3.0, "c": 0.25}
BALANCED = {label: len(Y) / (3 * (label == Y).sum()) for label in "abc"}


def linear():
    return nn.Linear(4, 3)


def classifier(**arguments):
    return TorchClassifier(linear, lr=0.01, max_epochs=2, random_state=0, **arguments)


def of_rows(factors):
    return np.array([factors.get(label, 1.0) for label in Y])


def bits(model):
    return b"".join(each.numpy().tobytes() for each in model.state_dict_.values())


def test_it_is_sample_weight():
    arguments = {"validation_fraction": 0.2}
    asked = classifier(class_weight=FACTORS, **arguments).fit(X, Y, ROWS)
    given = classifier(**arguments).fit(X, Y, ROWS * of_rows(FACTORS))
    assert bits(asked) == bits(given)
    assert asked.validation_scores_ == pytest.approx(given.validation_scores_, rel=1e-6)
    balanced = classifier(class_weight="balanced").fit(X, Y)
    assert bits(balanced) == bits(classifier().fit(X, Y, of_rows(BALANCED)))


def test_over_partitions_and_of_a_data():
    with Executor(processes=False, n_workers=2):
        chunked = da.from_array(X, chunks=(110, 4)), da.from_array(Y, chunks=110)
        with load_samples(*chunked) as data:
            asked = classifier(class_weight=FACTORS).fit(data)
        assert bits(asked) == bits(classifier().fit(*chunked, of_rows(FACTORS)))


def test_a_stream():
    asked, given = classifier(class_weight=FACTORS), classifier()
    for _ in range(2):
        asked.partial_fit(X, Y, classes=["a", "b", "c"])
        given.partial_fit(X, Y, classes=["a", "b", "c"], sample_weight=of_rows(FACTORS))
    assert bits(asked) == bits(given)
    with pytest.raises(ValueError, match="cannot balance them"):
        classifier(class_weight="balanced").partial_fit(X, Y, classes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", "class_weight"),
        ({"d": 1.0}, "class_weight"),
        ({"a": -1.0}, "class_weight has -1"),
        ({"a": 0.0}, "as the module has an output for each class"),
    ],
)
def test_what_cannot_be_a_weight(class_weight, message):
    with pytest.raises(ValueError, match=message):
        classifier(class_weight=class_weight).fit(X, Y)


def test_a_criterion_that_does_not_know_each_sample():
    def mean(outputs, y):
        return nn.functional.cross_entropy(outputs, y)

    with pytest.raises(ValueError, match="reduction='none'"):
        classifier(criterion=mean, class_weight=FACTORS).fit(X, Y)
