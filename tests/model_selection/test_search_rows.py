"""Rows of splits in place: as if only they had been loaded; with groups, and with weights."""

import time

import dask.array as da
import numpy as np
import pytest
from sklearn import linear_model as sklinear
from sklearn import model_selection as sk
from sklearn.datasets import load_iris

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.model_selection import GridSearchCV, GroupKFold, KFold
from daskml_exec.partitions import Labels, rows_to_train_on, with_folds
from daskml_exec.training import load
from daskml_exec.training.folds._rows import OneOf

RNG = np.random.default_rng(0)
X, CODES = load_iris(return_X_y=True)
ORDER = RNG.permutation(len(X))
X, SPECIES = X[ORDER], np.array(["setosa", "versicolor", "virginica"])[CODES[ORDER]]
WEIGHT = RNG.exponential(size=len(X))
GROUPS = RNG.integers(0, 9, size=len(X))
FOLDS = (RNG.permutation(len(X)) % 3).astype(np.uint16)
EXACT = sklinear.LogisticRegression(solver="newton-cholesky", tol=1e-12)
C = {"C": [0.01, 1.0]}


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def rows_on(given, chunks=(40, 0, 110)):
    return da.from_array(given, chunks=(chunks, *given.shape[1:]))


@pytest.mark.parametrize(
    ("copied", "class_weight", "weight"),
    [
        (False, None, None),
        (True, None, WEIGHT),
        (False, "balanced", WEIGHT),
        (True, "balanced", None),
        (False, {"setosa": 2.0}, WEIGHT),
    ],
)
def test_they_are_as_if_only_they_had_been_loaded(executor, copied, class_weight, weight):
    wanted = FOLDS != 1
    alone = None if weight is None else weight[wanted]
    target = Labels(class_weight=class_weight)
    model = LogisticRegression(class_weight=class_weight)
    with load(rows_on(X), SPECIES, weight, target="labels") as data:
        with with_folds(data, lambda found: FOLDS) as folded:
            chosen = OneOf(1, others=True)
            with rows_to_train_on(folded, chosen, class_weight=class_weight, copied=copied) as some:
                assert sum(some.rows) == (wanted.sum() if copied else len(X))
                found = model.fit(some).coef_
            assert len(executor.client.gather(list(folded.partitions.futures))) == 3
        assert not data.weighted or weight is not None
    with load(X[wanted], SPECIES[wanted], alone, target=target) as data:
        np.testing.assert_allclose(found, model.fit(data).coef_, atol=1e-7)


def test_classes_are_those_of_the_rows():
    folds = np.where(SPECIES == "setosa", 0, 1).astype(np.uint16)
    with (
        load(rows_on(X), SPECIES, target="labels") as data,
        with_folds(data, lambda found: folds) as folded,
    ):
        with rows_to_train_on(folded, OneOf(0, others=True)) as some:
            assert some.classes.tolist() == ["versicolor", "virginica"]
        with pytest.raises(ValueError, match="at least 2 classes"):
            rows_to_train_on(folded, OneOf(0))


def test_groups_are_in_one_fold():
    theirs = sk.GridSearchCV(EXACT, C, cv=sk.GroupKFold(3), scoring="neg_log_loss")
    theirs.fit(X, SPECIES, groups=GROUPS)
    search = GridSearchCV(LogisticRegression(), C, cv=GroupKFold(3), scoring="neg_log_loss")
    for groups in (GROUPS, da.from_array(GROUPS, chunks=70)):
        search.fit(rows_on(X), SPECIES, groups=groups)
        wanted = theirs.cv_results_["split2_test_score"]
        np.testing.assert_allclose(search.cv_results_["split2_test_score"], wanted, atol=1e-8)


@pytest.mark.skipif(
    not hasattr(sk.GridSearchCV, "_check_scorers_accept_sample_weight"),
    reason="scikit-learn's searches score without weights before 1.9",
)
def test_weights_of_a_data_count():
    theirs = sk.GridSearchCV(EXACT, C, cv=sk.KFold(3), scoring="neg_log_loss")
    theirs.fit(X, SPECIES, sample_weight=WEIGHT)
    with load(rows_on(X), SPECIES, WEIGHT, target="labels") as data:
        search = GridSearchCV(LogisticRegression(), C, cv=KFold(3), scoring="neg_log_loss")
        search.fit(data)
    wanted = theirs.cv_results_["mean_test_score"]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], wanted, atol=1e-8)


def test_nothing_stays_on_the_cluster(executor):
    search = GridSearchCV(LogisticRegression(), C, cv=3)
    given = rows_on(X)
    search.fit(given, SPECIES)

    def held(dask_scheduler):
        ours = ("partition", "split")
        return [key for key in dask_scheduler.tasks if any(name in str(key) for name in ours)]

    deadline = time.monotonic() + 20
    while (left := executor.client.run_on_scheduler(held)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
