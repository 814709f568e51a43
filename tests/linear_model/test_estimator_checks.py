"""scikit-learn's acceptance test, on one partition, on several, and on Dask collections."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

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
from tests.estimator_kit import over_cut_memory, over_dask

DEFAULTS = [LogisticRegression(), LinearRegression(), Ridge(), PoissonRegressor(), ElasticNet()]
LBFGS = LogisticRegression(solver="lbfgs")
AVERAGING = LogisticRegression(solver="averaging")
WITH_L1 = [LogisticRegression(l1_ratio=0.5), PoissonRegressor(l1_ratio=0.5), Lasso()]

# Two folds, as some checks have three rows.
CHOSEN = [
    LogisticRegressionCV(Cs=[0.1, 10.0], cv=2),
    ElasticNetCV(cv=2, alphas=5),
    LassoCV(cv=2, alphas=5),
    RidgeCV(),
    RidgeCV(cv=2),
]


@parametrize_with_checks(DEFAULTS)
def test_in_memory(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([*WITH_L1, *map(over_cut_memory, WITH_L1), over_dask(ElasticNet())])
def test_with_a_share_of_l1(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [*CHOSEN, *map(over_cut_memory, (CHOSEN[0], *CHOSEN[3:])), *map(over_dask, CHOSEN[:2])]
)
def test_with_a_choice_of_the_penalty(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([LBFGS, AVERAGING])
def test_the_other_solvers(estimator, check):
    check(estimator)


# Of each form the classifier. Regressors take data as it does, and which one trains by what is in
# the other tests of this folder, in every form.
@parametrize_with_checks([over_cut_memory(LogisticRegression())])
def test_in_memory_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([over_dask(LogisticRegression())])
def test_over_dask_collections(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        *(given(solver="lbfgs") for given in (Ridge, PoissonRegressor)),
        *(over_cut_memory(given()) for given in (LinearRegression, Ridge, PoissonRegressor)),
        *(over_dask(given()) for given in (LinearRegression, Ridge, PoissonRegressor)),
    ]
)
def test_the_other_regressors(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([over_cut_memory(AVERAGING), over_dask(AVERAGING)])
def test_averaging_in_several_partitions(estimator, check):
    check(estimator)
