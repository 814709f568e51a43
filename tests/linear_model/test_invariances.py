"""Where the model is invariant, so is the fit: units, offsets, numbers of rows, sizes of weights.

A stopping rule, a threshold or a precision that is absolute where the model is not would show as
another model, or as a fit that does not converge: warnings are errors here.
"""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from tests.linear_model.oracles import relative
from tests.linear_model.toolbox import as_dask, as_futures

N, D = 150, 5
WAYS = {
    "newton": {"solver": "newton"},
    "lbfgs": {"solver": "lbfgs"},
    "averaging": {"solver": "averaging"},
    "blocks": {"parallel": "model", "n_blocks": 2},
}
KINDS = {
    "memory": np.asarray,
    "chunks": as_dask,
    "csr": sp.csr_array,
    "float32": lambda X: X.astype(np.float32),
}


def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) * (rng.random((N, D)) < 0.6) + [0, 1, 0, 0, 0]
    z = X @ [1.0, -1.0, 0.5, 0.0, 0.3]
    labels = np.digitize(z + rng.logistic(size=N), [-1.0, 1.0])
    return X, z + rng.normal(size=N), labels, rng.poisson(np.exp(0.3 * z)).astype(float)


X, NUMBERS, LABELS, COUNTS = rows()
WEIGHT = np.random.default_rng(1).exponential(size=N)
MODELS = {
    "ridge": (Ridge, {"alpha": 1.0}, NUMBERS),
    "least squares": (LinearRegression, {}, NUMBERS),
    "two classes": (LogisticRegression, {"C": 1.0}, (LABELS > 0).astype(int)),
    "three classes": (LogisticRegression, {"C": 1.0}, LABELS),
    "counts": (PoissonRegressor, {"alpha": 1e-2}, COUNTS),
}
CASES = [
    (model, way, kind)
    for model, way, kind in itertools.product(MODELS, WAYS, KINDS)
    if (way == "newton" and kind != "memory")
    or (way == "blocks" and kind == "memory")
    or (way == "lbfgs" and kind == "csr" and model != "least squares")
    or (way == "averaging" and kind == "chunks" and "classes" in model)
]
# Every way and kind with some model, and every model twice; the classes' and the counts' losses
# are met by "newton" in all kinds.
ALWAYS = [
    ("ridge", "newton", "chunks"),
    ("ridge", "newton", "float32"),
    ("ridge", "blocks", "memory"),
    ("least squares", "newton", "csr"),
    ("least squares", "blocks", "memory"),
    ("two classes", "newton", "csr"),
    ("two classes", "blocks", "memory"),
    ("three classes", "newton", "chunks"),
    ("three classes", "newton", "float32"),
    ("three classes", "averaging", "chunks"),
    ("counts", "newton", "chunks"),
    ("counts", "newton", "csr"),
    ("counts", "newton", "float32"),
]
ON_CASES = pytest.mark.parametrize(
    ("model", "way", "kind"),
    [c if c in ALWAYS else pytest.param(*c, marks=pytest.mark.slow) for c in CASES],
)
FREE = {"ridge": {"alpha": 0.0}, "two classes": {"C": np.inf}, "three classes": {"C": np.inf}}


def fit(model, way, kind, X=X, y=None, weight=None, **parameters):
    cls, own, target = MODELS[model]
    how = {k: v for k, v in WAYS[way].items() if not (k == "solver" and cls is LinearRegression)}
    single = {"tol": 1e-8} if kind == "float32" else {}
    estimator = cls(**{**own, **single, **how, **parameters})
    return estimator.fit(KINDS[kind](X), target if y is None else y, weight)


def same(found, expected, kind):
    tol = 1e-4 if kind == "float32" else 2e-6
    assert relative(found.coef_, expected.coef_) <= tol


@ON_CASES
def test_sizes_of_weights(model, way, kind):
    """With a penalty beside the sum of losses, its strength goes with them."""
    expected = fit(model, way, kind, weight=WEIGHT)
    for size in (1e-305, 1e39, 1e300):
        strength = {"ridge": {"alpha": size}, "counts": {}, "least squares": {}}
        strength |= {name: {"C": 1.0 / size} for name in ("two classes", "three classes")}
        same(fit(model, way, kind, weight=WEIGHT * size, **strength[model]), expected, kind)


@pytest.mark.parametrize(
    ("model", "way", "kind"),
    [
        c if c in ALWAYS else pytest.param(*c, marks=pytest.mark.slow)
        for c in CASES
        if c[0] in ("ridge", "least squares")
    ],
)
def test_level_and_unit_of_y(model, way, kind):
    expected = fit(model, way, kind)
    for level, unit in ((1e4, 1.0), (0.0, 1e-12), (-1e9, 1e3)):
        found = fit(model, way, kind, y=NUMBERS * unit + level)
        found.coef_ = found.coef_ / unit
        same(found, expected, kind)
        intercept = (found.intercept_ - level) / unit
        if kind != "float32":
            rounding = 1e-14 * abs(level) / unit
            assert intercept == pytest.approx(expected.intercept_, rel=1e-5, abs=rounding + 1e-6)


@pytest.mark.parametrize("way", ["newton", "lbfgs"])
def test_constant_targets_of_any_level(way):
    for level in (0.0, 1.0, 1.1e6, -1e-9, 3e12):
        for make in (np.asarray, as_dask):
            model = Ridge(solver=way).fit(make(X), np.full(N, level))
            assert model.intercept_ == pytest.approx(level, rel=1e-12)
            assert np.abs(model.coef_).max() <= 1e-12 * abs(level)


@pytest.mark.parametrize("way", ["newton", "lbfgs", "blocks"])
def test_unit_of_counts(way):
    """Counts are rates times an exposure: all the same one is an offset of the intercept."""
    expected = fit("counts", way, "memory")
    for exposure in (1e-6, 1e6):
        found = fit("counts", way, "memory", y=COUNTS * exposure, alpha=1e-2 * exposure)
        same(found, expected, "memory")
        assert found.intercept_ - np.log(exposure) == pytest.approx(expected.intercept_, rel=1e-4)


@ON_CASES
def test_units_of_columns_and_copies_of_rows(model, way, kind):
    """Without a penalty coefficients take on the inverse units, and copies change nothing."""
    if (model, way) == ("ridge", "lbfgs"):
        return  # without a penalty it looks for the least norm, which depends on the units
    parameters = FREE.get(model, {"alpha": 0.0} if model == "counts" else {})
    expected = fit(model, way, kind, **parameters)
    units = np.array([1e-7, 1.0, 1e6, 1.0, 1e3])
    found = fit(model, way, kind, X=X * units, **parameters)
    found.coef_ = found.coef_ * units
    same(found, expected, kind)
    y = np.concatenate([MODELS[model][2]] * 3)
    same(fit(model, way, kind, X=np.concatenate([X] * 3), y=y, **parameters), expected, kind)


def test_the_case_of_a_large_mean_and_sparse_columns(executor):
    rng = np.random.default_rng(0)
    S = sp.csr_array(rng.normal(size=(300, 1100)) * (rng.random((300, 1100)) < 0.02))
    y = S @ rng.normal(size=1100) + 0.1 * rng.normal(size=300)
    for model in (Ridge(), LinearRegression()):
        expected = model.fit(as_futures(executor, S), y).coef_
        assert relative(model.fit(as_futures(executor, S), y + 1e6).coef_, expected) <= 1e-6
