"""What a fit says of how it was planned, over data of several kinds."""

import re

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from tests.linear_model.oracles import features, targets
from tests.linear_model.toolbox import as_csr, as_dask, as_frame


def problem(kind="logistic", n=90, d=4, K=2):
    rng = np.random.default_rng(0)
    X = features(rng, n, d)
    return X, targets(rng, X, kind, K)


KINDS = [np.asarray, sp.csr_array, as_dask, as_csr, as_frame]
CASES = [
    (LogisticRegression(), "logistic", "hessian"),
    (LogisticRegression(solver="lbfgs"), "logistic", "gradients"),
    (LogisticRegression(solver="averaging"), "logistic", "averaging"),
    (PoissonRegressor(), "poisson", "hessian"),
    (Ridge(), "ridge", "normal equations"),
    (Ridge(solver="lbfgs"), "ridge", "gradients"),
    (LinearRegression(), "ridge", "normal equations"),
]


# What is said of the data depends on its kind, what of the plan on the case.
@pytest.mark.parametrize(
    ("kind", "model", "target", "regime"),
    [*((kind, *CASES[0]) for kind in KINDS), *((as_csr, *case) for case in CASES[1:])],
)
def test_it_says_data_regime_reason_and_rounds(kind, model, target, regime):
    X, y = problem(target)
    model.fit(kind(X), y)
    explanation = model.explain()
    assert explanation.regime == regime
    data, said, *others = str(explanation).splitlines()
    sparse = kind in (sp.csr_array, as_csr)
    partitions = model.history_.n_partitions
    assert data.startswith(f"data      90 rows x 4 columns, {'sparse' if sparse else 'dense'}, ")
    assert data.endswith(f" kB in {partitions} partition{'s' if partitions > 1 else ''}")
    assert said == f"regime    {regime}: {explanation.reason}"
    if "lbfgs" in repr(model) or "averaging" in repr(model):
        assert explanation.reason == "the solver was named"
    assert others[0].split() == [
        "measured",
        "rounds",
        "seconds",
        "moved",
    ]  # so few rows are not sampled
    steps = [line.split()[0] for line in others[1:]]
    assert steps == [*dict.fromkeys(record.step for record in model.history_), "all"]
    counts = [int(line.split()[1]) for line in others[1:]]
    assert sum(counts[:-1]) == counts[-1] == len(model.history_)
    assert repr(explanation) == str(explanation)


def test_a_pooled_sample_is_told():
    X, y = problem(n=20_000, K=3)
    model = LogisticRegression().fit(X, y)
    explanation = model.explain()
    assert 0 < explanation.pool_share < 1 and explanation.hessian_share == 1.0
    lines = str(explanation).splitlines()
    assert lines[0].endswith("3 outputs")
    assert re.fullmatch(r"sample    2,000 rows on the driver \(\d+ kB\)", lines[2])


def test_wide_sparse_rows_go_by_products():
    rng = np.random.default_rng(0)
    X = sp.random_array((1100, 3000), density=0.01, format="csr", rng=rng)
    y = (X @ rng.normal(size=3000) > 0).astype(int)
    explanation = LogisticRegression(C=10.0).fit(X, y).explain()
    assert explanation.regime == "hessian-vector products"
    assert "is larger than 1,000 x 1,000" in explanation.reason
    assert explanation.hessian_share == 0.0 and explanation.pool_share == 1.0
    assert Ridge().fit(X, y).explain().regime == "gradients"


def test_a_plan_is_the_same_whatever_runs_it(executor):
    X, y = problem(n=500)
    plans = set()
    for data in (X, as_dask(X), as_frame(X)):
        model = LogisticRegression().fit(data, y)
        plans.add((model.explain().regime, model.explain().reason))
    assert len(plans) == 1
