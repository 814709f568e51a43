"""What a search by successive halving needs of estimators: to go on, epoch by epoch."""

from typing import Any, Protocol

from daskml_exec.executor import Executor
from daskml_exec.partitions import Data
from daskml_exec.training._fit_warnings import FitWarning


class TrainsInEpochs(Protocol):
    """An estimator that can be trained for an epoch, kept, and trained on as if it had not ended.

    So many calls of `_one_epoch_more` give the same bits as as many of `partial_fit` on the same
    rows, whenever they are made, and wherever: all that training goes on with is in the
    estimator, which can be pickled.
    """

    loss_curve_: list[float]
    """The loss of each epoch so far."""

    def _rows_for_epochs(
        self, X: Any, y: Any, sample_weight: Any, executor: Executor | None
    ) -> Data:
        """Return rows loaded and checked as `fit` does it, to train estimators like this one on.

        Without an Executor they are in memory, and stay there. A `Data` is lent.
        """

    def _one_epoch_more(self, data: Data) -> list[FitWarning]:
        """Train for one epoch more on what `_rows_for_epochs` has returned, or parts of it.

        What there is to warn of is returned. If it raises, the estimator is of no more use.
        """
