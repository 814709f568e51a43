"""What linear models of a numeric target share."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.kernels.distributions import Distribution, Gaussian
from daskml_exec.linear_model._glm import GLM
from daskml_exec.linear_model._parallel import DATA
from daskml_exec.linear_model._plan import Plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters, Penalty
from daskml_exec.linear_model._scores import ColumnOf, MarginsOf, MeansOf
from daskml_exec.metrics import metric
from daskml_exec.metrics._of_models import d2
from daskml_exec.metrics._scorers import Scoring, scoring_of
from daskml_exec.partitions import Numbers, is_matrix, levelled
from daskml_exec.training.folds import Searched


@dataclass(frozen=True)
class Shapes:
    """Which fitted attributes have an axis for the only target."""

    coef_matrix: bool = False
    intercept_array: bool = False


class LinearRegressor(RegressorMixin, GLM):
    """Base of the linear models with one numeric target."""

    _distribution: ClassVar[Distribution] = Gaussian()
    coef_: NDArray[Any]
    intercept_: np.floating[Any] | NDArray[Any]
    n_iter_: int

    def predict(self, X: Any) -> Any:
        """Return the prediction for each row.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n,), of a `LinearRegression` of y of shape (n, 1) like this y
            A NumPy array for data in memory; lazily, a Dask array with the row chunks of X for a
            Dask array, a Dask series with the index of X for a Dask dataframe; a list of futures
            for a list of futures; a Dask array, begun with at once, for a `Data`.
        """
        check_is_fitted(self)
        prediction, columns = self._prediction(), None
        if self.coef_.ndim == 2:
            prediction, columns = ColumnOf(prediction), range(1)
        return self._map(prediction, X, columns, self.coef_.dtype, floating=True)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the coefficient of determination of the predictions, R².

        For a Dask collection, a list of futures or a `Data`, which has its own y and weights, the
        Workers sum, and only sums travel.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : as in `fit`, optional
            Their targets; None beside a `Data`.
        sample_weight : as in `fit`, optional
            Their weights; None means ones.

        Returns
        -------
        float
            At most 1.
        """
        return self._score(X, y, sample_weight)

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        return RegressorMixin.score(self, X, y, sample_weight)

    def _score_on_cluster(self, executor: Executor, X: Any, y: Any, sample_weight: Any) -> float:
        predict, labels = self._prediction(), self._labels_of_columns()
        return d2(executor, predict, X, y, sample_weight, self._distribution, labels)

    def _as_searched(self) -> Searched | None:
        if self.parallel != DATA:
            return None
        if isinstance(self._distribution, Gaussian):
            return Searched(Numbers(several=False), scoring_of("r2"))
        explained = Scoring("score", metric("d2_tweedie", power=1), "predict", 1)
        return Searched(Numbers(several=False), explained)

    def _prediction(self) -> Callable[[Any], Any]:
        coef, intercept = np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_)
        return MeansOf(MarginsOf(coef, intercept, type(self).__name__), self._distribution)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        penalty: Penalty,
        plan_of: Callable[..., Plan],
        shapes: Shapes | None = None,
    ) -> Any:
        """Train; `shapes` is of the attributes for y of shape (n, 1)."""
        executor: Any = self._check_arguments(X, y, sample_weight)
        X, scaling = self._unscaled(X, penalty)
        y = as_dask_futures(y)
        as_matrix = shapes is not None and y is not None and is_matrix(y)
        shapes = shapes if shapes is not None and as_matrix else Shapes()
        inputs = self._inputs(executor, X, y, sample_weight, y_numeric=True, multi_output=False)
        choice = self._choose(executor, inputs[0])
        family = self._distribution
        target = Numbers(distribution=family, several=False)
        problem = GLMProblem(family, penalty, self.fit_intercept)
        with ExitStack() as stack:
            data = stack.enter_context(self._loaded(executor, inputs, target, self._cut(choice)))
            partitions = data.partitions
            if isinstance(family, Gaussian) and self.fit_intercept:
                partitions = stack.enter_context(levelled(partitions, data.settled))
            set_fitted = partial(
                set_regressor, dtype=partitions.dtype, level=partitions.form.level, shapes=shapes
            )
            scaling = scaling and scaling.of_rows(weighted=data.weighted)
            return self._run(problem, partitions, choice, plan_of, set_fitted, scaling)


def set_regressor(
    model: LinearRegressor, parameters: Parameters, *, dtype: Any, level: float, shapes: Shapes
) -> None:
    """Set the attributes of a fitted model; `level` is what was taken from each target."""
    coef, intercept = parameters.coef.astype(dtype), dtype.type(parameters.intercept[0] + level)
    model.coef_ = coef if shapes.coef_matrix else coef[0]
    as_array = shapes.intercept_array and model.fit_intercept
    model.intercept_ = np.array([intercept]) if as_array else intercept
