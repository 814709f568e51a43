"""Successive halving over PyTorch modules: a rung is a state."""

import dask
import dask.array as da
import numpy as np
import pytest
from torch import nn

from daskml_exec import Executor
from daskml_exec.model_selection import HyperbandSearchCV, SuccessiveHalvingSearchCV
from daskml_exec.torch import TorchClassifier, TorchRegressor, load_samples

RNG = np.random.default_rng(5)
X = RNG.standard_normal((200, 4)).astype(np.float32)
NUMBERS = (X @ [1.0, -2.0, 0.5, 0.0]).astype(np.float32)
Y = np.array(["a", "b", "c"])[np.digitize(NUMBERS, [-1.0, 1.0])]
HELD, ROWS, LABELS = (X[:50], Y[:50]), X[50:], Y[50:]


def perceptron(n_features, n_outputs, width=4, dropout=0.0):
    return nn.Sequential(
        nn.Linear(n_features, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, n_outputs)
    )


DRAWN = {"module__width": [2, 8, 32], "lr": [1e-3, 1e-2], "module__dropout": [0.0, 0.3]}


def halved(**arguments):
    model = TorchClassifier(perceptron, batch_size=64, random_state=0)
    plan = {"max_epochs": 4, "factor": 2, "random_state": 1, "validation": HELD}
    return SuccessiveHalvingSearchCV(model, DRAWN, **plan | arguments)


def bits(model):
    return b"".join(each.numpy().tobytes() for each in model.state_dict_.values())


def facts(search):
    told = [(r.epochs, r.candidate, r.score, r.loss) for r in search.history_]
    return told, search.best_params_, bits(search.best_estimator_)


def test_a_rung_is_a_state_wherever_it_is_trained():
    search = halved().fit(ROWS, LABELS)
    for number, record in {r.candidate: r for r in search.history_}.items():
        model = TorchClassifier(perceptron, batch_size=64, random_state=0)
        model.set_params(**search.cv_results_["params"][number])
        for _ in range(record.epochs):
            model.partial_fit(ROWS, LABELS, classes=["a", "b", "c"])
        assert model.score(*HELD) == record.score
        if number == search.best_index_:
            assert bits(model) == bits(search.best_estimator_)
    chunked = da.from_array(ROWS, chunks=(40, 4)), da.from_array(LABELS, chunks=40)
    for n_workers in (1, 2):
        with Executor(processes=False, n_workers=n_workers):
            assert facts(halved().fit(ROWS, LABELS)) == facts(search)
            assert facts(halved().fit(*chunked)) == facts(search)


def test_large_samples_are_trained_over_all_partitions():
    chunked = da.from_array(ROWS, chunks=(40, 4)), da.from_array(LABELS, chunks=40)
    found = []
    with dask.config.set({"daskml-exec.search-copied-bytes": 0}):
        for n_workers in (1, 2):
            with Executor(processes=False, n_workers=n_workers), load_samples(*chunked) as data:
                search = halved().fit(data)
                found.append(facts(search))
                assert search.history_[0].score == halved().fit(*chunked).history_[0].score
                model = TorchClassifier(perceptron, batch_size=64, random_state=0)
                model.set_params(**search.best_params_)
                for _ in range(int(search.cv_results_["epochs"][search.best_index_])):
                    model.partial_fit(data, classes=["a", "b", "c"])
                assert bits(model) == bits(search.best_estimator_)
    assert found[0] == found[1]


def test_trees_of_samples():
    def two(n_features=None, n_outputs=3, width=4):
        return Two(width, n_outputs)

    tree, held = {"left": ROWS[:, :2], "right": ROWS[:, 2:]}, {"left": X[:50, :2]}
    held["right"] = X[:50, 2:]
    model = TorchClassifier(two, random_state=0)
    search = HyperbandSearchCV(model, {"module__width": [2, 4, 8, 16]}, max_epochs=3)
    search.set_params(random_state=0, validation=(held, Y[:50])).fit(tree, LABELS)
    assert search.best_score_ == search.score(held, Y[:50])
    with pytest.raises(ValueError, match="of which no rows can be held out"):
        search.set_params(validation=None).fit(tree, LABELS)


class Two(nn.Module):
    def __init__(self, width, n_outputs):
        super().__init__()
        self.left, self.right = nn.Linear(2, width), nn.Linear(2, width)
        self.out = nn.Linear(width, n_outputs)

    def forward(self, left, right):
        return self.out(self.left(left) + self.right(right))


def test_what_a_module_cannot_be_given():
    with pytest.raises(ValueError, match="module__depth"):
        halved().set_params(param_distributions={"module__depth": [1, 2]}, n_candidates=2).fit(
            ROWS, LABELS
        )
    with pytest.raises(ValueError, match="'lrate'"):
        halved().set_params(param_distributions={"lrate": [1, 2]}).fit(ROWS, LABELS)


def test_regressors():
    model = TorchRegressor(perceptron, random_state=0)
    search = HyperbandSearchCV(model, DRAWN, max_epochs=3, random_state=0, scoring="r2")
    search.fit(X, NUMBERS)
    assert search.predict(X).shape == (200,)
    assert search.n_candidates_ == 5
