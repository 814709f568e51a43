"""Every estimator into a file, and back; what is refused, and what damage is found."""

import hashlib
import json
import pickle
import struct
import subprocess
import sys
import uuid
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as to_safetensors
from sklearn.base import clone

import daskml_exec
from daskml_exec import Executor, open_model, save
from daskml_exec.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeCV,
)
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from daskml_exec.training import _saved_models, let_save
from daskml_exec.training._model_files import from_bytes, to_bytes
from tests.test_saved_models import NUMBERS, SHORT, X, in_chunks, target

MODELS = {
    "logistic": LogisticRegression(),
    "weighted": LogisticRegression(class_weight={0: 1.0, 1: 2.5}, C=np.inf, tol=1e-3),
    "averaging": LogisticRegression(solver="averaging", max_iter=3),
    "blocks of features": LogisticRegression(parallel="model"),
    "chosen C": LogisticRegressionCV(Cs=[0.1, 10.0], l1_ratios=[0.0, 0.5], cv=2),
    "chosen ridge": RidgeCV(),
    "chosen lasso": LassoCV(alphas=4, cv=2),
    "chosen elastic net": ElasticNetCV(alphas=4, cv=2),
    "ridge": Ridge(alpha=np.float32(0.1)),
    "least squares": LinearRegression(fit_intercept=False),
    "poisson": PoissonRegressor(),
    "lasso": Lasso(alpha=0.1),
    "elastic net": ElasticNet(alpha=0.1, l1_ratio=0.3),
    "classifier": MLPClassifier(**SHORT),
    "list": MLPClassifier([5, np.int64(3)], max_iter=2, random_state=0, n_iter_no_change=np.inf),
    "compressed": MLPClassifier(**SHORT, early_stopping=True, compression="fp16"),
    "blocks": MLPClassifier(**SHORT, parallel="model"),
    "regressor": MLPRegressor(**SHORT, solver="sgd", learning_rate="adaptive"),
    "replicas": MLPRegressor(**SHORT, parallel="hybrid"),
    "strategies": MLPRegressor(**SHORT, parallel="auto"),
}


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings(), Executor(processes=False, n_workers=2):
        warnings.simplefilter("ignore")
        return {
            name: clone(model).fit(in_chunks(X), in_chunks(target(model)))
            for name, model in MODELS.items()
        }


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}/model.safetensors"


def again(model, url):
    save(model, url)
    return open_model(url)


def in_memory(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)


def same(a, b):
    """Whether attributes are equal, in their types too, and arrays to the bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray) and a.dtype != object:
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, np.ndarray):
        return b.dtype == object and same(a.tolist(), b.tolist())
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("name", MODELS)
def test_every_estimator_comes_back(fitted, name, url):
    model = fitted[name]
    opened = again(model, url)
    assert type(opened) is type(model)
    assert opened.get_params() == model.get_params()
    assert list(vars(opened)) == list(vars(model))
    assert all(same(value, vars(opened)[key]) for key, value in vars(model).items())
    assert opened.predict(X).tobytes() == model.predict(X).tobytes()
    assert opened.history_ == model.history_
    assert str(opened.explain()) == str(model.explain())
    assert opened.score(X, target(model)) == model.score(X, target(model))


def test_all_estimators_are_among_them():
    public = [
        getattr(module, name)
        for module in (daskml_exec.linear_model, daskml_exec.neural_network)
        for name in module.__all__
    ]
    estimators = {each for each in public if hasattr(each, "fit")}
    assert estimators == {type(model) for model in MODELS.values()}


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (MLPClassifier, {"random_state": 0}),
        (MLPRegressor, {"random_state": 0}),
        (MLPClassifier, {"random_state": 1, "solver": "sgd", "learning_rate": "invscaling"}),
        (MLPRegressor, {"solver": "sgd", "nesterovs_momentum": False}),
        (MLPClassifier, {}),
    ],
)
def test_partial_fit_goes_on_as_if_there_had_been_no_file(estimator, options, url):
    if "random_state" not in options:  # it moves on with each call
        options = options | {"random_state": np.random.RandomState(7)}
    first = {"classes": [0, 1]} if estimator is MLPClassifier else {}
    model = estimator((5,), **options)
    y = target(model)
    with Executor(processes=False, n_workers=2):
        model.partial_fit(in_chunks(X), in_chunks(y), **first)
        opened = again(model, url)
        for each in (model, opened):
            for _ in range(2):
                each.partial_fit(in_chunks(X), in_chunks(y))
    assert opened.loss_curve_ == model.loss_curve_ and len(model.loss_curve_) == 3
    assert same(opened.coefs_, model.coefs_) and same(opened._remembered, model._remembered)


def test_a_warm_start_goes_on_too(url):
    model = in_memory(LogisticRegression(warm_start=True, max_iter=2), X, NUMBERS > 0)
    opened = again(model, url)
    for each in (model, opened):
        in_memory(each, X, NUMBERS > 0)
    assert same(opened.coef_, model.coef_)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, 1]),
        np.array([True, False]),
        np.array(["größer", "no"]),
        np.array(["one", "two"], object),
        np.array([1.0, 2.0], np.float32),
        np.array(["2024-01-01", "2025-01-01"], "M8[ns]"),
    ],
    ids=str,
)
def test_labels_of_every_kind(labels, url):
    y = labels[(NUMBERS > 0).astype(int)]
    for model in (LogisticRegression(), MLPClassifier(**SHORT)):
        in_memory(model, X, y)
        opened = again(model, url)
        assert same(opened.classes_, model.classes_)
        assert same(opened.predict(X), model.predict(X))


def test_names_of_columns(url):
    frame = pd.DataFrame(X, columns=["a", "b", "größe", "d"])
    model = in_memory(Ridge(), frame, NUMBERS)
    opened = again(model, url)
    assert same(opened.feature_names_in_, model.feature_names_in_)
    with pytest.raises(ValueError, match="feature names should match"):
        opened.predict(frame.rename(columns={"a": "z"}))


def test_sparse_coefficients(url):
    model = in_memory(LogisticRegression(), X, NUMBERS > 0).sparsify()
    opened = again(model, url)
    assert sp.issparse(opened.coef_)
    assert same(opened.predict_proba(X), model.predict_proba(X))
    assert same(opened.densify().coef_, model.densify().coef_)


def test_one_target_with_an_axis(url):
    model = in_memory(LinearRegression(), X, NUMBERS[:, None])
    opened = again(model, url)
    assert opened.coef_.shape == (1, 4) and same(opened.predict(X), model.predict(X))


def test_what_is_not_fitted(url):
    model = LogisticRegression(C=0.5, class_weight="balanced")
    opened = again(model, url)
    assert opened.get_params() == model.get_params() and not hasattr(opened, "coef_")


def test_what_was_opened_is_the_users_own(url):
    opened = again(in_memory(Ridge(), X, NUMBERS), url)
    opened.coef_[:] = 0
    assert not opened.predict(X).std()


def test_callbacks_are_left_out(url):
    seen = []
    model = in_memory(Ridge(callbacks=[seen.append]), X, NUMBERS)
    opened = again(model, url)
    assert seen and model.callbacks is not None and opened.callbacks is None


def test_notes_and_names_of_arrays_are_read_without_the_package(tmp_path):
    from safetensors import safe_open

    path = tmp_path / "model.safetensors"
    save(in_memory(MLPClassifier(**SHORT), X, NUMBERS > 0), path, notes={"from": ["a", 1.5]})
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["notes"]) == {"from": ["a", 1.5]}
        assert json.loads(file.metadata()["estimator"]) == "MLPClassifier"
        assert {"classes_", "coefs_[0]", "coefs_[1]", "intercepts_[0]"} < set(file.keys())
        assert file.get_tensor("coefs_[0]").shape == (4, 5)
    assert open_model(str(path)).n_iter_ == 2 and open_model(path).n_iter_ == 2


@pytest.mark.slow
def test_it_is_opened_in_another_process(tmp_path):
    path = tmp_path / "model.safetensors"
    model = in_memory(MLPRegressor(**SHORT), X, NUMBERS)
    save(model, path)
    code = (
        "import sys, numpy, daskml_exec\n"
        "assert 'daskml_exec.linear_model' not in sys.modules\n"
        f"model = daskml_exec.open_model({str(path)!r})\n"
        "print(model.coefs_[0].tobytes().hex())"
    )
    root = Path(daskml_exec.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == model.coefs_[0].tobytes().hex()


def test_a_package_whose_estimators_were_not_imported_is_named(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save(Ridge(), path)
    monkeypatch.setattr(_saved_models, "_KNOWN", {})  # as it is before estimators are imported
    with pytest.raises(ValueError, match=r"class 'Ridge'; known are none, before a package") as it:
        _saved_models.open_model(path)
    assert "daskml_exec.open_model knows all of this package" in str(it.value)


@pytest.mark.slow
def test_the_engine_imports_no_package_of_estimators():
    code = "from daskml_exec.training import _saved_models\nassert not _saved_models._KNOWN"
    root = Path(daskml_exec.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


class Odd(Ridge):
    pass


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (object(), "model is of builtins.object; allowed are .*LinearRegression, Logi"),
        (Odd(), r"model is of .*Odd; allowed are .*LinearRegression, LogisticRegre"),
        (
            LogisticRegression(class_weight={0: print}),
            r"^LogisticRegression\.parameters\.class_weight\[0\]\[1\] is a builtin_function_or_m",
        ),
        (
            MLPClassifier(random_state=np.random.RandomState(np.random.PCG64(0))),
            r"^MLPClassifier\.parameters\.random_state is a numpy.random.mtrand.RandomState",
        ),
        (
            MLPClassifier(hidden_layer_sizes={3}),
            r"hidden_layer_sizes is a set; allowed are None, .* lists, arrays of such objects, ",
        ),
    ],
)
def test_what_cannot_be_saved_is_named(model, message, url):
    with pytest.raises(TypeError, match=message):
        save(model, url)


def test_attributes_that_would_be_lost_are_named(url):
    model = in_memory(Ridge(), X, NUMBERS)
    model.remark_ = "mine"
    with pytest.raises(TypeError, match=r"\['remark_'\], which Ridge does not declare"):
        save(model, url)


def test_labels_that_are_no_plain_data_are_named(url):
    model = in_memory(LogisticRegression(), X, NUMBERS > 0)
    model.classes_ = np.array([pd.Timestamp("2024"), pd.Timestamp("2025")], object)
    with pytest.raises(TypeError, match=r"classes_.items\[0\] is a pandas.*Timestamp; allowed"):
        save(model, url)


@pytest.mark.parametrize("notes", [{"a": {1}}, {"a": np.float32(1)}, {"a": float("nan")}])
def test_notes_are_of_what_json_can_hold(notes, url):
    with pytest.raises(TypeError, match=r"notes=.* is not what JSON can hold"):
        save(Ridge(), url, notes=notes)


@pytest.mark.parametrize(("notes", "kind"), [("hi", "str"), ([("a", 1)], "list"), (0, "int")])
def test_notes_are_a_mapping(notes, kind, url):
    with pytest.raises(TypeError, match=rf"notes=.* is a {kind}; allowed are None, and a mapping"):
        save(Ridge(), url, notes=notes)


def test_two_classes_of_one_name():
    ridge = type("Ridge", (), {})
    with pytest.raises(
        ValueError, match=r"has the name of <class 'daskml_exec.linear_model.Ridge'"
    ):
        let_save((ridge,), states=())


# -- files that are not whole, or not ours ---------------------------------------------------------


@pytest.fixture(scope="module")
def written():
    """The bytes of a file, and where its arrays begin."""
    import fsspec

    url = f"memory://{uuid.uuid4().hex}/model.safetensors"
    save(in_memory(LogisticRegression(), X, NUMBERS > 0), url)
    data = fsspec.url_to_fs(url)[0].cat_file(url)
    return data, 8 + int.from_bytes(data[:8], "little")


@pytest.fixture
def opening(tmp_path):
    def call(data):
        path = tmp_path / "model.safetensors"
        path.write_bytes(data)
        return open_model(path)

    return call


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"PK\x03\x04" + bytes(100),
        pickle.dumps({"coef_": [1.0]}),
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 12) + b'{"a": [1, 2]',
        struct.pack("<Q", 200_000) + b'{"a":' * 40_000,
        to_safetensors({"coef_": np.zeros(3)}),
        to_safetensors({"coef_": np.zeros(3)}, {"format": "pt"}),
    ],
    ids=lambda data: repr(data[:8]),
)
def test_what_save_did_not_write(opening, data):
    with pytest.raises(ValueError, match=r"cannot open .*: it is no file that `save` wrote"):
        opening(data)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_model(tmp_path / "nothing.safetensors")


def test_a_newer_format(opening, written, monkeypatch):
    monkeypatch.setattr("daskml_exec.training._model_files.FORMAT_VERSION", 2)
    newer = to_bytes({}, {"daskml_exec_version": "9.1"})
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"format 2, written by daskml_exec \"9.1\"; .* up to 1: "):
        opening(newer)


def test_a_file_that_was_cut_off(opening, written):
    data, begin = written
    with pytest.raises(ValueError, match=r"it is damaged: it has .* bytes in .*, it was cut off"):
        opening(data[:-1])
    with pytest.raises(ValueError, match="it is damaged: it was cut off within its header"):
        opening(data[: begin - 1])
    with pytest.raises(ValueError, match=r"it is damaged: it has .* bytes in place of"):
        opening(data + b"\0")


def test_an_array_that_was_changed(opening, written):
    data, begin = written
    changed = data[:begin] + bytes([data[begin] ^ 1]) + data[begin + 1 :]
    with pytest.raises(ValueError, match=r"it is damaged: array '\w+' has {'bytes': \d+, 'sha256'"):
        opening(changed)


def test_json_that_was_changed(opening, written):
    data, _ = written
    assert data.count(b"max_iter") == 1
    with pytest.raises(ValueError, match="it is damaged: what it says about the model"):
        opening(data.replace(b"max_iter", b"mux_iter"))
    with pytest.raises(ValueError, match="it is damaged: its header is no longer JSON"):
        opening(data.replace(b"max_iter", b"max\niter"))


@given(st.data())
def test_no_single_bit_can_change_unnoticed(written, data):
    whole, _ = written
    at = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(whole)
    changed[at] ^= 1 << bit
    with pytest.raises(ValueError):
        from_bytes(bytes(changed), release="1")


def forged(written, change):
    """A file with another content, and hashes that are right."""
    arrays, about = from_bytes(written[0], release="1")
    about = {key: value for key, value in about.items() if not key.startswith("format")}
    change(arrays, about)
    return to_bytes(arrays, about)


def content(about):
    return about["state"]["tree"]["dict"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, about: about.update(estimator="Other"), "of the class 'Other'; known are .*Lin"),
        (lambda _, about: about.update(estimator=["Ridge"]), r"of the class \['Ridge'\]; known"),
        (lambda _, about: about.pop("estimator"), "of the class None; known are"),
        (lambda _, about: about.pop("state"), "does not fit this release"),
        (lambda arrays, _: arrays.pop("coef_"), "there is no array 'coef_'"),
        (lambda arrays, _: arrays.update(more=np.zeros(2)), "has no place for: more"),
        (lambda _, about: content(about).pop("parameters"), "it has no parameters of Logistic"),
        (lambda _, about: content(about).update(predict=1), r"has no attributes \['predict'\]"),
        (lambda _, about: content(about).update(_parameter_constraints=1), "has no attributes"),
        (
            lambda _, about: content(about)["parameters"]["dict"].update(penalty="l1"),
            r"LogisticRegression has no parameters \['penalty'\]",
        ),
        (
            lambda _, about: about["state"]["fields"].update({"0": ["records"]}),
            r"state class 0, History, has the fields \['records', 'n_partitions'\]; what was kept",
        ),
    ],
)
def test_a_content_that_does_not_fit(opening, written, change, message):
    with pytest.raises(ValueError, match=rf"^cannot open .*{message}"):
        opening(forged(written, change))


def test_a_parameter_that_is_newer_than_the_file_has_its_default(opening, written):
    def older(_, about):
        del content(about)["parameters"]["dict"]["n_blocks"]

    assert opening(forged(written, older)).n_blocks == "auto"


def test_hashes_are_of_the_bytes():
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    data = to_bytes({"a": array, "empty": np.zeros((0, 2)), "point": np.array(1.0)}, {})
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    sums = json.loads(header["__metadata__"]["arrays"])
    assert sums["a"] == {"bytes": 12, "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
    arrays, _ = from_bytes(data, release="1")
    assert {name: each.shape for name, each in arrays.items()} == {
        "a": (2, 3),
        "empty": (0, 2),
        "point": (),
    }
