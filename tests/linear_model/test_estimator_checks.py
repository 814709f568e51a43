"""scikit-learn's acceptance test, on one partition, on several, and on Dask collections."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec.linear_model import LogisticRegression
from tests.estimator_kit import over_cut_memory, over_dask

LBFGS = LogisticRegression()
AVERAGING = LogisticRegression(solver="averaging")


@parametrize_with_checks([LBFGS, AVERAGING])
def test_in_memory(estimator, check):
    check(estimator)


@parametrize_with_checks([over_cut_memory(LBFGS), over_cut_memory(AVERAGING)])
def test_in_memory_in_several_partitions(estimator, check):
    check(estimator)


@parametrize_with_checks([over_dask(LBFGS)])
def test_over_dask_collections(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([over_dask(AVERAGING)])
def test_averaging_over_dask_collections(estimator, check):
    check(estimator)
