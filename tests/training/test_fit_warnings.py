"""What a fit has to say is said in the line that called it, whatever lies between."""

import warnings

import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from daskml_exec.training import FitWarning, warn_of

X = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 5.0, 0.2]
LABELS, COUNTS = np.arange(40) % 2, np.arange(40) % 7
NETWORK = {"hidden_layer_sizes": (4,), "max_iter": 1, "batch_size": 41, "random_state": 0}
MODELS = [
    (LogisticRegression(max_iter=1, solver="lbfgs"), LABELS),
    (LogisticRegression(C=np.inf), (X[:, 0] > 0).astype(int)),
    (Ridge(max_iter=1, solver="lbfgs"), COUNTS),
    (LinearRegression(max_iter=1, parallel="model"), COUNTS),
    (PoissonRegressor(max_iter=1, solver="lbfgs"), COUNTS),
    (MLPClassifier(**NETWORK), LABELS),
    (MLPClassifier(**NETWORK, parallel="model"), LABELS),
    (MLPRegressor(**NETWORK), COUNTS),
]


@pytest.fixture(scope="module")
def cluster():
    with Executor(processes=False, n_workers=2):
        yield


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("model", "y"), MODELS)
def test_a_fit_warns_in_the_line_of_its_caller(model, y):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert {warning.filename for warning in caught} == {__file__}
    assert len({str(warning.message) for warning in caught}) == len(caught)


@pytest.mark.parametrize(
    ("model", "y", "given"),
    [
        (MLPClassifier(**NETWORK), LABELS, {"classes": [0, 1]}),
        (MLPRegressor(**NETWORK), COUNTS, {}),
    ],
    ids=["classes", "numbers"],
)
def test_a_stream_warns_once_in_the_line_of_its_caller(model, y, given):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.partial_fit(X, y, **given)
        model.partial_fit(X, y)
    (warning,) = caught
    assert warning.filename == __file__ and "batch_size=41" in str(warning.message)


def test_a_warning_made_an_error_undoes_the_fit():
    model = MLPClassifier(**NETWORK)
    with pytest.raises(UserWarning, match="batch_size=41"):
        model.fit(X, LABELS)
    assert not hasattr(model, "coefs_") and model._told == ()


def test_each_warning_has_its_category():
    def fit():
        warn_of([FitWarning("one", "first"), FitWarning("other", "second", RuntimeWarning)])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    assert [(w.category, str(w.message)) for w in caught] == [
        (UserWarning, "first"),
        (RuntimeWarning, "second"),
    ]
