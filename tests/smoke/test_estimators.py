"""Each estimator on each kind of input, once: what must work with every release that is supported.

These tests, and their neighbours, are marked `smoke`. They need pytest, pytest-timeout and
hypothesis beside the package itself, and run with the oldest releases that `pyproject.toml` allows
as well as with the newest.
"""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
import sklearn.linear_model
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.fixes import parse_version

from daskml_exec import Executor, open_model, save
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.estimator_kit import collection, computed
from tests.linear_model.toolbox import NAMES, as_futures

pytestmark = [
    pytest.mark.smoke,
    pytest.mark.filterwarnings(
        "ignore::sklearn.exceptions.ConvergenceWarning",
        "ignore:the partition that a row is in:UserWarning",
    ),
]

NETWORK = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0}
LINEAR = [
    LogisticRegression(),
    LogisticRegression(solver="lbfgs"),
    LogisticRegression(solver="averaging"),
    LinearRegression(),
    Ridge(),
    PoissonRegressor(),
]
NETWORKS = [MLPClassifier(**NETWORK), MLPRegressor(**NETWORK, solver="sgd")]


def as_pandas(X):
    return pd.DataFrame(X, columns=NAMES) if X.ndim == 2 else pd.Series(X)


KINDS = {
    "array": lambda executor, X: X,
    "float32": lambda executor, X: X.astype(np.float32) if X.ndim == 2 else X,
    "csr": lambda executor, X: sp.csr_array(X) if X.ndim == 2 else X,
    "frame": lambda executor, X: as_pandas(X),
    "dask array": lambda executor, X: collection(X),
    "dask csr": lambda executor, X: collection(sp.csr_matrix(X) if X.ndim == 2 else X),
    "dask frame": lambda executor, X: collection(as_pandas(X)),
    "futures": lambda executor, X: as_futures(executor, X),
}


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture(params=KINDS)
def data(request, executor):
    X, y = load_iris(return_X_y=True)
    kind = KINDS[request.param]
    return kind(executor, X), kind(executor, y)


def values(result):
    if isinstance(result, list):
        return np.concatenate([np.asarray(future.result()) for future in result])
    return computed(result)


@pytest.mark.parametrize("model", LINEAR, ids=repr)
def test_linear_models(model, data):
    X, y = load_iris(return_X_y=True)
    own = {"C", "alpha", "fit_intercept", "class_weight"}
    arguments = {k: v for k, v in model.get_params().items() if k in own}
    oracle = getattr(sklearn.linear_model, type(model).__name__)(**arguments)
    if hasattr(oracle, "tol"):
        oracle.set_params(tol=1e-10)
    if hasattr(oracle, "max_iter"):
        oracle.set_params(max_iter=10_000)
    oracle.fit(X, y)
    model.fit(*data)
    averaged = getattr(model, "solver", None) == "averaging"
    if not averaged:
        np.testing.assert_allclose(model.coef_, oracle.coef_, rtol=2e-3, atol=1e-3)
    assert model.score(*data) == pytest.approx(oracle.score(X, y), abs=0.05 if averaged else 1e-3)
    assert values(model.predict(data[0])).shape == (150,)
    assert len(model.history_) and model.explain()


@pytest.mark.parametrize("model", NETWORKS, ids=["MLPClassifier", "MLPRegressor"])
def test_networks(model, data):
    model.fit(*data)
    assert np.isfinite(model.score(*data))
    assert values(model.predict(data[0])).shape == (150,)
    assert len(model.history_) and model.explain()


@pytest.mark.parametrize(
    "model", [*LINEAR, LogisticRegression(C=np.inf), *NETWORKS], ids=lambda model: repr(model)[:40]
)
def test_to_sklearn(model):
    """The arguments are those of the installed release: its own fit takes them without warning."""
    X, y = load_iris(return_X_y=True)
    if getattr(model, "C", 1) == np.inf:  # such rows can be separated, and have no optimum
        y = np.tile([0, 1, 2], 50)
    model.fit(X, y)
    other = model.to_sklearn()
    np.testing.assert_allclose(other.predict(X), model.predict(X), rtol=1e-6)
    predictions = model.predict(X)
    other.fit(X, y)
    if model in LINEAR[:1] or getattr(model, "C", 1) == np.inf:
        assert np.mean(other.predict(X) == predictions) > 0.98


@pytest.mark.parametrize("model", NETWORKS, ids=["MLPClassifier", "MLPRegressor"])
def test_partial_fit(model):
    X, y = load_iris(return_X_y=True)
    options = {"classes": [0, 1, 2]} if isinstance(model, MLPClassifier) else {}
    for _ in range(2):
        model.partial_fit(collection(X), collection(y), **options)
    assert np.isfinite(model.score(X, y))


@pytest.mark.parametrize("model", [*LINEAR, *NETWORKS], ids=lambda model: repr(model)[:40])
def test_saved_and_opened(model, tmp_path):
    X, y = load_iris(return_X_y=True)
    save(model.fit(X, y), tmp_path / "model")
    opened = open_model(tmp_path / "model")
    np.testing.assert_array_equal(opened.predict(X), model.predict(X))
    assert str(opened.explain()) == str(model.explain())


@pytest.mark.parametrize("model", [LogisticRegression(), Ridge()], ids=repr)
def test_the_checks_of_this_release(model):
    """None is left out with any release: elsewhere all estimators meet those of the newest."""
    check_estimator(model, on_skip=None)


def test_within_scikit_learns_own_tools():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.9


def test_callbacks_of_scikit_learn_where_it_has_them():
    """scikit-learn has callbacks from 1.9 on, and so have we; below, there is nothing to set."""
    has_them = parse_version(sklearn.__version__).base_version >= "1.9"
    assert has_them == hasattr(sklearn.linear_model.LogisticRegression, "set_callbacks")
    assert has_them == hasattr(LogisticRegression, "set_callbacks")
    assert LogisticRegression(callbacks=[]).fit([[0.0], [1.0], [2.0]], [0, 1, 1]).n_iter_
