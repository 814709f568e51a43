"""scikit-learn's acceptance test, on one partition and on several."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec.torch import TorchClassifier, TorchRegressor
from tests.estimator_kit import over_cut_memory
from tests.torch.modules import DoubleHidden

# A check wants a weight of two to be a row twice, to within 1e-7: so it is in double precision,
# and where a step takes all rows.
FEW_STEPS = {"batch_size": 200, "lr": 0.1, "max_epochs": 30}
# The check of class weights sets `n_iter_no_change`, which means something beside a `tol` alone.
CLASSIFIER = TorchClassifier(DoubleHidden, tol=0.0, **FEW_STEPS)
REGRESSOR = TorchRegressor(DoubleHidden, **FEW_STEPS)

# Rounds of several partitions take milliseconds, not microseconds: fewer, and longer steps.
FEW_ROUNDS = {
    "batch_size": 200,
    "optimizer": "sgd",
    "sync_every": "epoch",
    "max_epochs": 10,
    "outer": "average",
}
SEVERAL = [
    TorchClassifier(DoubleHidden, lr=0.1, tol=0.0, **FEW_ROUNDS | {"max_epochs": 30}),
    TorchRegressor(DoubleHidden, lr=0.03, **FEW_ROUNDS),
]

pytestmark = pytest.mark.filterwarnings(
    "ignore:batch_size=200 is more than the:UserWarning",
    "ignore:the partition that a sample is in:UserWarning",
)


@parametrize_with_checks([CLASSIFIER, REGRESSOR])
def test_in_memory(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([over_cut_memory(estimator) for estimator in SEVERAL])
def test_in_memory_in_several_partitions(estimator, check):
    check(estimator)
