"""scikit-learn's acceptance test, on one partition, on several, and on Dask collections."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.estimator_kit import over_cut_memory, over_dask

# As scikit-learn sets them for its own networks in this test, whose data is small and simple.
CLASSIFIER = MLPClassifier(max_iter=100)
REGRESSOR = MLPRegressor(max_iter=100)

# Rounds of several partitions take milliseconds, not microseconds: fewer, and longer steps. Steps
# of "adam" on parts of the rows are not what they are on all of them, so that a weight of two is
# not quite a row twice, as a check wants it.
FEW_ROUNDS = {
    "solver": "sgd",
    "outer": "average",
    "sync_every": "epoch",
    "max_iter": 10,
}
SEVERAL = [
    MLPClassifier(**FEW_ROUNDS, learning_rate_init=0.1),
    MLPRegressor(**FEW_ROUNDS, learning_rate_init=0.03),
]

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings(
        "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning",
        "ignore:the partition that a row is in:UserWarning",
    ),
]


@parametrize_with_checks([CLASSIFIER])
def test_in_memory(estimator, check):
    check(estimator)


@pytest.mark.slow  # it takes data, and trains, as the classifier does
@parametrize_with_checks([REGRESSOR])
def test_a_regressor_in_memory(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([over_cut_memory(estimator) for estimator in SEVERAL])
def test_in_memory_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([over_dask(SEVERAL[0])])
def test_over_dask_collections(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([over_dask(SEVERAL[1])])
def test_a_regressor_over_dask_collections(estimator, check):
    check(estimator)
