"""scikit-learn's acceptance test, on one partition, on several, and on Dask collections."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from tests.estimator_kit import over_cut_memory, over_dask

DEFAULTS = [LogisticRegression(), LinearRegression(), Ridge(), PoissonRegressor()]
LBFGS = [given(solver="lbfgs") for given in (LogisticRegression, Ridge, PoissonRegressor)]
AVERAGING = LogisticRegression(solver="averaging")


@parametrize_with_checks([*DEFAULTS, *LBFGS, AVERAGING])
def test_in_memory(estimator, check):
    check(estimator)


@parametrize_with_checks([over_cut_memory(estimator) for estimator in DEFAULTS])
def test_in_memory_in_several_partitions(estimator, check):
    check(estimator)


@parametrize_with_checks([over_dask(estimator) for estimator in DEFAULTS])
def test_over_dask_collections(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([over_cut_memory(AVERAGING), over_dask(AVERAGING)])
def test_averaging_in_several_partitions(estimator, check):
    check(estimator)
