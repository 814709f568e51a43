"""Searches over networks, to which a row of weight zero is a row: rows of a split are copied."""

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import model_selection as sk
from sklearn.base import clone

from daskml_exec import Executor
from daskml_exec.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from daskml_exec.training import load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
LABELS = np.where(X @ [2.0, -1.0, 0.5] > 0, "yes", "no")
TARGET = X @ [2.0, -1.0, 0.5] + 100.0
GRID = {"alpha": [1e-4, 10.0]}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def network(kind):
    return kind((6,), max_iter=4, batch_size=16, random_state=0, learning_rate_init=0.05)


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.mark.parametrize(("kind", "y"), [(MLPClassifier, LABELS), (MLPRegressor, TARGET)])
def test_in_memory_it_is_a_loop(kind, y):
    found = GridSearchCV(network(kind), GRID, cv=sk.KFold(3)).fit(X, y).cv_results_
    for at, params in enumerate(found["params"]):
        model = clone(network(kind)).set_params(**params)
        wanted = sk.cross_val_score(model, X, y, cv=sk.KFold(3))
        scores = [found[f"split{k}_test_score"][at] for k in range(3)]
        np.testing.assert_allclose(scores, wanted, atol=1e-12)


def test_sparse_rows_are_copied_sparse():
    rows = sp.csr_matrix(np.where(X > 0.5, X, 0.0))
    found = GridSearchCV(network(MLPClassifier), GRID, cv=sk.KFold(3)).fit(rows, LABELS)
    wanted = sk.cross_val_score(found.best_estimator_, rows, LABELS, cv=sk.KFold(3))
    np.testing.assert_allclose(found.best_score_, wanted.mean(), atol=1e-12)


@pytest.mark.parametrize(("kind", "y"), [(MLPClassifier, LABELS), (MLPRegressor, TARGET)])
def test_on_a_cluster_it_is_a_loop_over_the_rows_of_splits(executor, kind, y):
    given = da.from_array(X, chunks=(50, -1)), da.from_array(y, chunks=(50,))
    cv = KFold(3)
    wanted = []
    for train, test in cv.split(*given):
        model = network(kind).fit(train(given[0]), train(given[1]))
        wanted.append(model.score(test(given[0]), test(given[1])))
    found = GridSearchCV(network(kind), GRID, cv=cv).fit(*given).cv_results_
    scores = [found[f"split{k}_test_score"][0] for k in range(3)]
    np.testing.assert_allclose(scores, wanted, atol=1e-12)
    target = "labels" if kind is MLPClassifier else "numbers"
    with load(*given, target=target) as data:
        before = [each.key for each in data.partitions.futures]
        scores = cross_val_score(network(kind), data, cv=cv)
        predicted = cross_val_predict(network(kind), data, cv=cv)
        assert [each.key for each in data.partitions.futures] == before
    np.testing.assert_allclose(scores, wanted, atol=1e-12)
    assert predicted.compute().shape == (120,)


@pytest.mark.parametrize("class_weight", ["balanced", {"yes": 2.0, "no": 1.0}])
def test_class_weights_are_those_of_the_rows_that_are_trained_on(class_weight):
    model = network(MLPClassifier).set_params(class_weight=class_weight)
    found = GridSearchCV(model, GRID, cv=sk.KFold(3)).fit(X, LABELS).cv_results_
    for at, params in enumerate(found["params"]):
        wanted = sk.cross_val_score(clone(model).set_params(**params), X, LABELS, cv=sk.KFold(3))
        scores = [found[f"split{k}_test_score"][at] for k in range(3)]
        np.testing.assert_allclose(scores, wanted, atol=1e-12)
