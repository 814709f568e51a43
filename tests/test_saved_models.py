"""What a fitted model carries: declared attributes, public classes, and nothing of a cluster."""

import importlib
import inspect
import pickle
import pkgutil
import typing
import warnings

import dask.array as da
import numpy as np
import pytest

import daskml_exec
from daskml_exec import Executor, linear_model, neural_network
from daskml_exec.linear_model import (
    ElasticNetCV,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeCV,
)
from daskml_exec.neural_network import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 4))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0]
SHORT = {"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0}

MODELS = {
    "logistic": LogisticRegression(),
    "lbfgs": LogisticRegression(solver="lbfgs"),
    "averaging": LogisticRegression(solver="averaging", max_iter=3),
    "blocks of features": LogisticRegression(parallel="model"),
    "chosen": LogisticRegression(parallel="auto"),
    "path": LogisticRegressionCV(Cs=[0.1, 10.0], cv=2),
    "ridge": Ridge(),
    "chosen ridge": RidgeCV(),
    "chosen elastic net": ElasticNetCV(cv=2, alphas=5),
    "chosen lasso": LassoCV(cv=2, alphas=5),
    "least squares": LinearRegression(),
    "poisson": PoissonRegressor(),
    "classifier": MLPClassifier(**SHORT),
    "compressed": MLPClassifier(**SHORT, early_stopping=True, compression="fp16"),
    "blocks": MLPClassifier(**SHORT, parallel="model"),
    "regressor": MLPRegressor(**SHORT, solver="sgd", learning_rate="adaptive"),
    "replicas": MLPRegressor(**SHORT, parallel="hybrid"),
    "strategies": MLPRegressor(**SHORT, parallel="auto"),
}


def in_chunks(array):
    return da.from_array(array, chunks=(40, *array.shape[1:]))


def target(estimator):
    if isinstance(estimator, LogisticRegression | MLPClassifier):
        return (NUMBERS > 0).astype(int)
    return np.exp(NUMBERS)


@pytest.fixture(scope="module")
def fitted():
    with (
        warnings.catch_warnings(),
        Executor(processes=False, n_workers=2),
    ):
        warnings.simplefilter("ignore")
        models = {
            name: model.fit(in_chunks(X), in_chunks(target(model)))
            for name, model in MODELS.items()
        }
    return models


def public_names():
    """Names of all classes that a public module lists in its ``__all__``."""
    names = set()
    for module in pkgutil.walk_packages(daskml_exec.__path__, "daskml_exec."):
        if any(part.startswith("_") or part == "kernels" for part in module.name.split(".")):
            continue
        public = importlib.import_module(module.name)
        names |= {f"{module.name}.{name}" for name in getattr(public, "__all__", ())}
    return names


@pytest.mark.parametrize("name", MODELS)
def test_attributes_are_declared(fitted, name):
    model = fitted[name]
    declared = typing.get_type_hints(type(model))
    assert [name for name in vars(model) if name.endswith("_") and name not in declared] == []


@pytest.mark.parametrize("package", [linear_model, neural_network])
def test_arguments_with_names_are_literals(package):
    for name in package.__all__:
        estimator = getattr(package, name)
        if not hasattr(estimator, "fit"):
            continue
        hints = typing.get_type_hints(estimator.__init__)
        for argument in {"solver", "activation", "parallel", "outer"} & hints.keys():
            assert typing.get_origin(hints[argument]) is typing.Literal, (name, argument)
            default = inspect.signature(estimator).parameters[argument].default
            assert default in typing.get_args(hints[argument])


@pytest.mark.parametrize("name", MODELS)
def test_a_pickle_predicts_and_explains_without_a_cluster(fitted, name):
    model = fitted[name]
    frozen = pickle.dumps(model)
    assert b"distributed" not in frozen and b"dask." not in frozen
    again = pickle.loads(frozen)
    assert np.array_equal(again.predict(X), model.predict(X))
    assert str(again.explain()) == str(model.explain())
    assert again.history_ == model.history_


@pytest.mark.parametrize("name", MODELS)
def test_skops_finds_public_classes_alone(fitted, name):
    skops_io = pytest.importorskip("skops.io")
    model = fitted[name]
    data = skops_io.dumps(model)
    untrusted = skops_io.get_untrusted_types(data=data)
    assert set(untrusted) <= public_names()
    again = skops_io.loads(data, trusted=untrusted)
    assert np.array_equal(again.predict(X), model.predict(X))
    assert str(again.explain()) == str(model.explain())


def test_a_saved_stream_goes_on_as_if_it_had_not_been_saved():
    skops_io = pytest.importorskip("skops.io")
    with Executor(processes=False, n_workers=2):
        model = MLPClassifier(**SHORT)
        y = (NUMBERS > 0).astype(int)
        model.partial_fit(in_chunks(X), in_chunks(y), classes=[0, 1])
        data = skops_io.dumps(model)
        again = skops_io.loads(data, trusted=skops_io.get_untrusted_types(data=data))
        for each in (model, again):
            each.partial_fit(in_chunks(X), in_chunks(y))
    assert again.loss_curve_ == model.loss_curve_
    assert all(np.array_equal(a, b) for a, b in zip(again.coefs_, model.coefs_, strict=True))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # its own, of which there are many
@pytest.mark.parametrize("name", ["logistic", "classifier", "replicas"])
def test_mlflow_saves_and_loads(fitted, name, tmp_path):
    mlflow = pytest.importorskip("mlflow.sklearn")
    skops_io = pytest.importorskip("skops.io")
    model = fitted[name]
    trusted = skops_io.get_untrusted_types(data=skops_io.dumps(model))
    for directory, saved, arguments in (
        ("skops", model, {"serialization_format": "skops", "skops_trusted_types": trusted}),
        ("pickle", model, {"serialization_format": "pickle"}),
        ("sklearn", model.to_sklearn(), {}),
    ):
        path = str(tmp_path / directory)
        mlflow.save_model(saved, path, **arguments)
        assert np.array_equal(mlflow.load_model(path).predict(X), model.predict(X))
