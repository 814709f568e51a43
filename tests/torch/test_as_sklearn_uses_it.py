"""What scikit-learn does with estimators: copies, searches, pipelines, pickles, scores."""

import pickle

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import TorchClassifier, TorchEstimator, TorchRegressor, load_samples
from tests.torch.modules import Hidden

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS = np.array(["no", "yes"])[(X[:, 0] + X[:, 1] > 0).astype(int)]
Y = X @ np.array([1, -2, 0.5, 0], np.float32)


def squares(module, batch):
    X, y, *weight = batch
    losses = (module(X)[:, 0] - y) ** 2
    if not weight:
        return losses.mean()
    return (losses * weight[0]).sum() / weight[0].sum(), weight[0].sum()


def absolute(module, batch):
    X, y = batch
    return {"closeness": (-(module(X)[:, 0] - y).abs().sum(), len(y)), "n": (1, 1)}


CASES = {
    "classifier": (TorchClassifier(Hidden, lr=0.05, max_epochs=5, random_state=0), LABELS),
    "regressor": (TorchRegressor(Hidden, lr=0.05, max_epochs=5, random_state=0), Y),
    "any": (
        TorchEstimator(Hidden, loss=squares, module__n_outputs=1, max_epochs=5, random_state=0),
        Y,
    ),
}
any_estimator = pytest.mark.parametrize(
    ("estimator", "y"), [pytest.param(*case, id=name) for name, case in CASES.items()]
)


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@any_estimator
def test_clones_have_the_arguments_that_are_handed_on(estimator, y):
    estimator = clone(estimator).set_params(module__width=3, optimizer__weight_decay=0.5)
    params = clone(estimator).get_params()
    assert (params["module__width"], params["optimizer__weight_decay"]) == (3, 0.5)
    assert params["module"] is Hidden
    fitted = clone(estimator).fit(X, y)
    assert fitted.module_.first.out_features == 3
    assert np.array_equal(clone(fitted).fit(X, y).predict(X), fitted.predict(X))


def test_an_argument_that_nothing_takes_is_refused_by_name():
    estimator = TorchClassifier(Hidden, widht=3)
    with pytest.raises(TypeError, match=r"argument 'widht'; allowed are .*module__\.\.\., optim"):
        estimator.fit(X, LABELS)
    with pytest.raises(ValueError, match="Invalid parameter 'widht'"):
        TorchClassifier(Hidden).set_params(widht=3)
    model = TorchClassifier(Hidden, module__width=3)
    with pytest.raises(ValueError, match="widht"):
        model.set_params(module__width=9, widht=3)
    assert model.module__width == 3


def test_columns_of_an_earlier_fit_are_forgotten():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = TorchRegressor(Hidden).fit(frame, Y)
    assert model.n_features_in_ == 4 and list(model.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="y must be numbers"):
        model.fit(torch.from_numpy(X[:, :3]), LABELS)
    assert model.n_features_in_ == 4 and list(model.feature_names_in_) == list("abcd")
    model.fit(torch.from_numpy(X[:, :3]), Y)
    assert model.n_features_in_ == 3 and not hasattr(model, "feature_names_in_")
    assert model.predict(X[:, :3]).shape == Y.shape
    model.set_params(module__n_features=4).fit((X,), Y)
    assert not hasattr(model, "n_features_in_")


def never(block):
    raise AssertionError("computed")


@any_estimator
@pytest.mark.parametrize("kind", ["array", "frame", "tensor", "loaded"])
def test_columns_are_remembered_of_any_rows_and_compared_without_a_look_at_them(
    estimator, y, kind, executor
):
    def given(rows):
        if kind == "frame":
            names = [f"c{i}" for i in range(rows.shape[1])]
            return dd.from_pandas(pd.DataFrame(rows, columns=names), npartitions=2)
        if kind == "tensor":
            return torch.from_numpy(rows.copy())
        lazy = da.from_array(rows, chunks=(30, rows.shape[1]))
        return lazy if kind == "array" else load_samples(lazy, y)

    X_given = given(X)
    y_given = da.from_array(y, chunks=30) if kind == "frame" else y
    model = clone(estimator).set_params(max_epochs=1)
    model.fit(X_given, None if kind == "loaded" else y_given)
    assert model.n_features_in_ == 4
    names = list(getattr(model, "feature_names_in_", []))
    assert names == (["c0", "c1", "c2", "c3"] if kind == "frame" else [])
    few = given(X[:, :3])
    if kind == "array":
        few = few.map_blocks(never, dtype=few.dtype, meta=few._meta)
    who = type(model).__name__
    message = f"X has 3 features, but {who} is expecting 4 features as input"
    if kind == "frame":
        message = "Feature names seen at fit time, yet now missing:\n- c3"
    beside = () if kind == "loaded" else (y_given,)
    for call in (
        lambda: model.predict(few),
        lambda: model.score(few, *beside),
        lambda: model.partial_fit(few, *beside),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    if kind != "loaded":
        assert len(np.asarray(model.predict(X_given))) == len(X)


def test_sequences_of_integers_have_no_columns():
    def entropy(module, batch):
        return nn.functional.cross_entropy(module(batch).mean(dim=1), batch[:, 0])

    ids = RNG.integers(0, 5, size=(20, 6))
    model = TorchEstimator(nn.Embedding(5, 5), loss=entropy, batch_size=8).fit(ids)
    assert not hasattr(model, "n_features_in_")
    assert model.predict(ids[:, :3]).shape == (20, 3, 5)


@any_estimator
def test_a_search_over_the_module_and_its_optimizer(estimator, y):
    grid = {"module__width": [2, 8], "optimizer__weight_decay": [0.0, 0.1], "batch_size": [10]}
    search = GridSearchCV(clone(estimator), grid, cv=2, error_score="raise")
    search.fit(X, y)
    assert search.best_estimator_.module_.first.out_features in (2, 8)
    assert len(set(search.cv_results_["mean_test_score"])) > 1


@any_estimator
def test_in_a_pipeline(estimator, y):
    pipeline = make_pipeline(StandardScaler(), clone(estimator)).fit(X * 10 + 3, y)
    assert np.isfinite(pipeline.score(X * 10 + 3, y))


@any_estimator
def test_pickles_predict_the_same_bits_and_go_on_with_them(estimator, y):
    fitted = clone(estimator).fit(X, y)
    other = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(other.predict(X), fitted.predict(X))
    assert other.score(X, y) == fitted.score(X, y)
    assert other.get_params() == fitted.get_params()
    more = {"classes": ["no", "yes"]} if isinstance(fitted, TorchClassifier) else {}
    one, two = (each.partial_fit(X, y, **more) for each in (fitted, other))
    assert np.array_equal(one.predict(X), two.predict(X))


def test_the_score_of_any_module_is_minus_its_loss():
    fitted = clone(CASES["any"][0]).fit(X, Y)
    outputs = fitted.predict(X)[:, 0]
    assert fitted.score(X, Y) == pytest.approx(-mean_squared_error(Y, outputs), rel=1e-5)
    weight = np.arange(60.0)
    expected = -mean_squared_error(Y, outputs, sample_weight=weight)
    assert fitted.score(X, Y, weight) == pytest.approx(expected, rel=1e-5)


def test_the_score_of_any_module_is_the_first_of_its_scores_wherever_samples_are(executor):
    fitted = clone(CASES["any"][0]).set_params(scores=absolute).fit(X, Y)
    expected = -np.abs(fitted.predict(X)[:, 0] - Y).mean()
    assert fitted.score(X, Y) == pytest.approx(expected, rel=1e-5)
    for rows in ((20, 0, 40), (7, 53)):
        there = da.from_array(X, chunks=(rows, 4)), da.from_array(Y, chunks=30)
        assert fitted.score(*there) == pytest.approx(expected, rel=1e-5)
        with load_samples(*there) as data:
            assert fitted.score(data) == pytest.approx(expected, rel=1e-5)


def test_the_score_needs_no_y_where_the_loss_does_not():
    def distance(module, X):
        return ((module(X) - X) ** 2).mean()

    fitted = TorchEstimator(nn.Linear(4, 4), loss=distance).fit(X)
    assert fitted.score(X) == pytest.approx(-((fitted.predict(X) - X) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        LABELS.tolist(),
        LABELS.astype(object),
        pd.Series(LABELS),
        pd.Series(LABELS, dtype="category"),
        dd.from_pandas(pd.Series(LABELS), npartitions=3),
        da.from_array(LABELS, chunks=25),
        da.from_array(LABELS.astype(object), chunks=25),
    ],
    ids=["list", "objects", "series", "categories", "dask_series", "dask_array", "dask_objects"],
)
def test_texts_are_labels_wherever_they_are(given, executor):
    data = da.from_array(X, chunks=(30, 4)) if hasattr(given, "dask") else X
    fitted = TorchClassifier(Hidden, lr=0.05, max_epochs=40, random_state=0).fit(data, given)
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert fitted.predict(X).dtype.kind == "U"
    assert fitted.score(data, given) == fitted.score(X, LABELS) > 0.9


def test_texts_are_no_targets_of_other_estimators():
    with pytest.raises(TypeError, match=r"y has dtype <U3; allowed are numbers.*TorchClassifier"):
        TorchEstimator(Hidden, loss=squares).fit(X, LABELS)
    with pytest.raises(ValueError, match="y must be numbers"):
        TorchRegressor(Hidden).fit({"X": X}, LABELS)
    with pytest.raises(TypeError, match=r"y has nan of float in sample 1, .* texts alone"):
        load_samples(X[:2], np.array(["no", np.nan], dtype=object))
    with pytest.raises(TypeError, match="X has dtype <U3; allowed are integers, real numbers"):
        load_samples(LABELS)


def test_a_state_dict_goes_back_into_the_users_own_module():
    fitted = clone(CASES["any"][0]).fit(X, Y)
    own = Hidden(4, 1)
    own.load_state_dict(fitted.state_dict_)
    with torch.no_grad():
        assert np.array_equal(own(torch.from_numpy(X)).numpy(), fitted.predict(X))
