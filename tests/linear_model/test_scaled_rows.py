"""A scaler in front of a linear model is part of the model: the same margins, and no scaled row."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.partitions import scaled_of
from daskml_exec.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler
from tests.estimator_kit import collection
from tests.tiers import each_value

TIGHT = {"tol": 1e-12, "max_iter": 500}
MODELS = {
    "binary": LogisticRegression(C=0.3, **TIGHT),
    "lbfgs": LogisticRegression(C=0.3, solver="lbfgs", **TIGHT),
    "averaging": LogisticRegression(C=0.3, solver="averaging", **TIGHT),
    "ridge": Ridge(alpha=2.0, **TIGHT),
    "poisson": PoissonRegressor(alpha=0.1, **TIGHT),
}
SCALERS = {
    "standard": StandardScaler(),
    "scale": StandardScaler(with_mean=False),
    "centre": StandardScaler(with_std=False),
    "range": MinMaxScaler((-1, 2)),
    "largest": MaxAbsScaler(),
}


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def rows(n=300, d=6):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) * np.logspace(-2, 3, d) + np.linspace(-5, 50, d)
    X[:, 1] = 3.0  # scaled by one
    z = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9)
    return X, z @ rng.normal(size=d) + rng.normal(size=n)


def target(name, numbers):
    if name in ("binary", "lbfgs", "averaging"):
        return numbers > 0
    if name == "softmax":
        return np.digitize(numbers, [-1, 1])
    return np.exp(np.clip(numbers, -3, 3)) if name == "poisson" else numbers


def margins(model, X):
    if hasattr(model, "decision_function"):
        return model.decision_function(X)
    found = model.predict(X)
    return np.log(found) if "Poisson" in type(model[-1]).__name__ else found


def both(model, scaler, X, y, lazy):
    """Return a pipeline that was fitted on what is lazy, and one on scaled rows in memory."""
    pipeline = make_pipeline(clone(scaler), clone(model)).fit(lazy, collection(y))
    in_memory = make_pipeline(clone(scaler), clone(model)).fit(X, y)
    return pipeline, in_memory


def require_folded(pipeline):
    assert "no scaled row was made" in str(pipeline[-1].explain())


@each_value(name=MODELS, scaler=SCALERS)
def test_margins_are_those_of_scaled_rows(name, scaler, executor):
    X, numbers = rows()
    y = target(name, numbers)
    lazy = da.from_array(X, chunks=((0, 120, 7, 173), 6))
    pipeline, in_memory = both(MODELS[name], SCALERS[scaler], X, y, lazy)
    require_folded(pipeline)
    tolerance = 1e-6 if name in ("averaging", "lbfgs", "poisson") else 1e-10
    assert_allclose(margins(pipeline, X), margins(in_memory, X), rtol=tolerance, atol=tolerance)
    assert_allclose(margins(pipeline, lazy), margins(pipeline, X), rtol=1e-9, atol=1e-9)


def test_several_classes(executor):
    X, numbers = rows()
    y = target("softmax", numbers)
    pipeline, in_memory = both(
        MODELS["binary"], SCALERS["standard"], X, y, da.from_array(X, chunks=(90, 6))
    )
    require_folded(pipeline)
    assert_allclose(margins(pipeline, X), margins(in_memory, X), atol=1e-9)


@pytest.mark.parametrize("name", ["binary", "ridge"])
@pytest.mark.parametrize("sparse", [False, True])
def test_fewer_rows_than_columns(name, sparse, executor):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 90)) * np.logspace(-1, 1, 90)
    X[rng.random(X.shape) < 0.5] = 0.0
    y = target(name, X @ rng.normal(size=90))
    given = sp.csr_array(X) if sparse else X
    lazy = collection(given) if sparse else da.from_array(X, chunks=(15, 90))
    pipeline, in_memory = both(MODELS[name], SCALERS["scale"], given, y, lazy)
    require_folded(pipeline)
    assert pipeline[-1].explain().regime == "span of the rows" or name == "ridge"
    assert_allclose(margins(pipeline, given), margins(in_memory, given), rtol=1e-8, atol=1e-8)


def test_sparse_rows_stay_sparse(executor):
    rng = np.random.default_rng(0)
    X = sp.random_array((200, 30), density=0.2, format="csr", rng=rng)
    y = X @ rng.normal(size=30) > 0
    pipeline, in_memory = both(MODELS["binary"], SCALERS["scale"], X, y, collection(X))
    require_folded(pipeline)
    assert "sparse" in str(pipeline[-1].explain())
    assert_allclose(margins(pipeline, X), margins(in_memory, X), atol=1e-9)


def test_frames(executor):
    X, numbers = rows()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    y = numbers > 0
    lazy = dd.from_pandas(frame.assign(y=y), npartitions=3)
    pipeline = make_pipeline(StandardScaler(), clone(MODELS["binary"])).fit(
        lazy[list("abcdef")], lazy["y"]
    )
    require_folded(pipeline)
    in_memory = make_pipeline(StandardScaler(), clone(MODELS["binary"])).fit(X, y)
    assert_allclose(
        margins(pipeline, lazy[list("abcdef")]).compute(), margins(in_memory, X), atol=1e-9
    )
    assert list(pipeline[-1].feature_names_in_) == list("abcdef")


def test_two_scalers(executor):
    X, numbers = rows()
    lazy = da.from_array(X, chunks=(90, 6))
    steps = MinMaxScaler(), StandardScaler(), MODELS["ridge"]
    pipeline = make_pipeline(*map(clone, steps)).fit(lazy, collection(numbers))
    assert "MinMaxScaler and StandardScaler" in str(pipeline[-1].explain())
    in_memory = make_pipeline(*map(clone, steps)).fit(X, numbers)
    assert_allclose(margins(pipeline, X), margins(in_memory, X), rtol=1e-9)


def test_features_in_blocks(executor):
    X, numbers = rows()
    lazy = da.from_array(X, chunks=(90, 2))
    model = LogisticRegression(parallel="model", C=0.3, **TIGHT)
    pipeline, in_memory = both(model, SCALERS["standard"], X, numbers > 0, lazy)
    require_folded(pipeline)
    assert_allclose(margins(pipeline, X), margins(in_memory, X), atol=1e-6)


def test_a_warm_start_goes_on_where_it_was(executor):
    X, numbers = rows()
    lazy, y = da.from_array(X, chunks=(90, 6)), collection(numbers > 0)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(warm_start=True, solver="lbfgs"))
    cold = pipeline.fit(lazy, y)[-1].n_iter_[0]
    assert pipeline.fit(lazy, y)[-1].n_iter_[0] < cold


@pytest.mark.parametrize(
    "model", [LogisticRegression(C=np.inf), Ridge(alpha=0.0), Ridge(fit_intercept=False)]
)
def test_what_cannot_be_folded_is_scaled(model, executor):
    X, numbers = rows()
    y = numbers > 0 if isinstance(model, LogisticRegression) else numbers
    pipeline, in_memory = both(model, SCALERS["standard"], X, y, da.from_array(X, chunks=(90, 6)))
    assert "scaled" not in str(pipeline[-1].explain())
    assert_allclose(margins(pipeline, X), margins(in_memory, X), rtol=1e-4, atol=1e-4)


def test_what_is_made_of_scaled_rows_is_not_taken_for_them(executor):
    X, _ = rows()
    scaled = StandardScaler().fit_transform(da.from_array(X, chunks=(90, 6)))
    assert scaled_of(scaled) is not None
    for other in (scaled + 1, scaled[:50], scaled.persist(), scaled.rechunk((50, 6))):
        assert scaled_of(other) is None
    clipped = MinMaxScaler(clip=True).fit_transform(da.from_array(X, chunks=(90, 6)))
    assert scaled_of(clipped) is None


def test_what_is_not_finite_is_found_in_the_source(executor):
    X, numbers = rows()
    X[200, 2] = np.nan
    lazy = da.from_array(X, chunks=(90, 6))
    with pytest.raises(ValueError, match=r"NaN in partition 2, column 2 \(row 20 of"):
        make_pipeline(StandardScaler(), LogisticRegression()).fit(lazy, collection(numbers > 0))


def test_what_the_scaler_knows_is_not_asked_again(executor):
    """The first round of the model has the columns' moments from the scaler's."""
    X, _ = rows()
    lazy, other = (da.from_array(X * factor, chunks=(90, 6)) for factor in (1, 2))
    scaler = StandardScaler().fit(lazy)
    assert scaled_of(scaler.transform(lazy)).moments is not None
    assert scaled_of(scaler.transform(other)).moments is None
    assert scaled_of(scaler.partial_fit(other).transform(other)).moments is None
    weighted = StandardScaler().fit(lazy, sample_weight=np.ones(300))
    assert scaled_of(weighted.transform(lazy)).moments is None
    gaps = da.where(lazy > 100, np.nan, lazy)
    assert scaled_of(StandardScaler().fit_transform(gaps)).moments is None


@pytest.mark.parametrize("weights", [None, "rows", "classes"])
def test_weights_of_rows_and_classes(weights, executor):
    X, numbers = rows()
    y = numbers > 0
    w = np.random.default_rng(2).random(300) if weights == "rows" else None
    model = LogisticRegression(class_weight="balanced" if weights == "classes" else None, **TIGHT)
    steps = {"logisticregression__sample_weight": w}
    found = make_pipeline(StandardScaler(), clone(model)).fit(
        da.from_array(X, chunks=(90, 6)), collection(y), **steps
    )
    wanted = make_pipeline(StandardScaler(), clone(model)).fit(X, y, **steps)
    require_folded(found)
    assert_allclose(margins(found, X), margins(wanted, X), rtol=1e-8, atol=1e-8)
