"""Weights of classes: the same bits as with them in `sample_weight`."""

import dask.array as da
import numpy as np
import pytest

from daskml_exec.neural_network import MLPClassifier
from daskml_exec.partitions import Labels
from daskml_exec.training import load, open_model, save

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings(
        "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning",
    ),
]

RNG = np.random.default_rng(4)
X = RNG.standard_normal((300, 4))
Y = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, -2.0, 0.5, 0.0], [-3.0, 1.0])]
ROWS = RNG.uniform(0.5, 2.0, len(X))
FACTORS = {"a": 3.0, "c": 0.25}


def network(**arguments):
    return MLPClassifier((5,), random_state=3, max_iter=4, **arguments)


def factors_of(class_weight, weight):
    """Return what multiplies the weight of each row, by the formula."""
    if class_weight == "balanced":
        sums = np.bincount(np.searchsorted(["a", "b", "c"], Y), weight)  # to the last bit
        class_weight = dict(zip("abc", sums.sum() / (3 * sums), strict=True))
    return np.array([class_weight.get(label, 1.0) for label in Y])


def bits(model):
    return b"".join(piece.tobytes() for piece in (*model.coefs_, *model.intercepts_))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weight", [None, ROWS], ids=["alone", "with sample_weight"])
@pytest.mark.parametrize("class_weight", [FACTORS, "balanced"], ids=["dict", "balanced"])
def test_it_is_sample_weight(class_weight, weight, early_stopping):
    rows = np.ones(len(X)) if weight is None else weight
    given = rows * factors_of(class_weight, rows)
    arguments = {"early_stopping": early_stopping}
    asked = network(class_weight=class_weight, **arguments).fit(X, Y, weight)
    assert bits(asked) == bits(network(**arguments).fit(X, Y, given))
    assert bits(asked) != bits(network(**arguments).fit(X, Y, weight))


def test_over_partitions_and_of_a_data():
    chunked = da.from_array(X, chunks=(110, 4)), da.from_array(Y, chunks=90)
    asked = network(class_weight=FACTORS).fit(*chunked)
    given = da.from_array(factors_of(FACTORS, np.ones(len(X))), chunks=50)
    assert bits(asked) == bits(network().fit(*chunked, given))
    with load(*chunked, target=Labels(class_weight=FACTORS)) as data:
        assert bits(network(class_weight=FACTORS).fit(data)) == bits(asked)
        with pytest.raises(ValueError, match="class_weight='balanced', and X is a Data"):
            network(class_weight="balanced").fit(data)


def test_a_stream_takes_factors():
    asked, given = network(class_weight=FACTORS), network()
    for piece in (slice(0, 150), slice(150, 300)):
        weight = factors_of(FACTORS, np.ones(len(X)))[piece]
        asked.partial_fit(X[piece], Y[piece], classes=["a", "b", "c"])
        given.partial_fit(X[piece], Y[piece], classes=["a", "b", "c"], sample_weight=weight)
    assert bits(asked) == bits(given)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [("balanced", "cannot balance them"), ({"a": 0.0}, "weights above 0 in partial_fit")],
)
def test_a_stream_refuses(class_weight, message):
    with pytest.raises(ValueError, match=message):
        network(class_weight=class_weight).partial_fit(X, Y, classes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", "class_weight"),
        ({"d": 1.0}, "class_weight"),
        ({"a": -1.0}, "class_weight has -1 for the label 'a'"),
        ({"a": np.inf}, "class_weight has inf"),
        ({"a": 0.0, "b": 0.0}, "at least 2 classes"),
    ],
)
def test_what_cannot_be_a_weight(class_weight, message):
    with pytest.raises(ValueError, match=message):
        network(class_weight=class_weight).fit(X, Y)


def test_a_class_of_factor_zero_is_no_class():
    some = Y != "b"
    model = network(class_weight={"b": 0.0}).fit(X, Y)
    assert model.classes_.tolist() == ["a", "c"]
    assert set(model.predict(X[some])) <= {"a", "c"}


def test_scores_know_nothing_of_it_and_files_do(tmp_path):
    model = network(class_weight=FACTORS).fit(X, Y)
    assert model.score(X, Y) == pytest.approx(np.mean(model.predict(X) == Y))
    save(model, tmp_path / "model")
    opened = open_model(tmp_path / "model")
    assert opened.class_weight == FACTORS
    assert bits(opened) == bits(model)
    assert np.array_equal(model.to_sklearn().predict(X), model.predict(X))
