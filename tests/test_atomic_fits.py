"""A fit that raises, for whatever reason, leaves the estimator as it was."""

import warnings
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from daskml_exec import Executor
from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.tiers import each_value

pytestmark = pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")

ESTIMATORS = {
    "logistic": LogisticRegression(),
    "logistic on a grid": LogisticRegression(parallel="model"),
    "logistic that goes on": LogisticRegression(warm_start=True),
    "ridge": Ridge(),
    "least squares": LinearRegression(),
    "poisson": PoissonRegressor(),
    "classifier": MLPClassifier((4,), max_iter=2, random_state=0),
    "classifier in blocks": MLPClassifier((4,), max_iter=2, random_state=0, parallel="model"),
    "classifier that goes on": MLPClassifier((4,), max_iter=2, random_state=0, warm_start=True),
    "regressor": MLPRegressor((4,), max_iter=2, random_state=0),
}


@pytest.fixture(scope="module", autouse=True)
def threads():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def data(columns=4, seed=0):
    X = np.random.default_rng(seed).normal(size=(60, columns))
    return X, (X[:, 0] > 0).astype(int)


def frame(columns):
    X, y = data(columns, seed=1)
    return pd.DataFrame(X, columns=[f"c{i}" for i in range(columns)]), y


def fitted(estimator: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return type(estimator)(**estimator.get_params()).fit(*data())


def raising(error: BaseException):
    def callback(event: Any) -> None:
        raise error

    return callback


def with_nan(columns):
    X, y = data(columns, seed=1)
    X[3, 1] = np.nan
    return X, y


def lazily(X, y):
    return da.from_array(X, chunks=(20, X.shape[1])), da.from_array(y, chunks=20)


CAUSES = {
    "nan": with_nan(4),
    "nan, fewer columns": with_nan(3),
    "nan, more columns on the cluster": lazily(*with_nan(5)),
    "lengths": (data()[0], data()[1][:-1]),
    "an infinite target": (frame(3)[0], np.where(data()[1] > 0, np.inf, 0.0)),
}


@each_value(name=ESTIMATORS, cause=CAUSES)
def test_data_that_are_refused(name, cause):
    model = fitted(ESTIMATORS[name])
    before = dict(vars(model))
    for method in ("fit", "partial_fit"):
        if hasattr(model, method):
            with pytest.raises(ValueError, match=r"."):
                getattr(model, method)(*CAUSES[cause])
            assert_same(model, before)


@each_value(name=ESTIMATORS, error=[KeyboardInterrupt, ValueError])
def test_what_a_callback_raises(name, error):
    """In the middle of a fit, where an interrupt comes as well."""
    model = fitted(ESTIMATORS[name])
    columns = 4 if model.get_params().get("warm_start") else 3
    model.set_params(callbacks=[raising(error("of the user"))])
    before = dict(vars(model))
    with pytest.raises(error):
        model.fit(*frame(columns))
    assert_same(model, before)


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(max_iter=1, solver="lbfgs"), MLPRegressor((4,), max_iter=1)],
    ids=["linear", "network"],
)
def test_a_warning_that_is_an_error(model):
    before = dict(vars(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            model.fit(*data())
    assert_same(model, before)


def assert_same(model, before):
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
