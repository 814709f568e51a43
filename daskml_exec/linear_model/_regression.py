"""What linear models of a numeric target share."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.linear_model._family import Family, Gaussian
from daskml_exec.linear_model._glm import GLM
from daskml_exec.linear_model._parallel import MODEL
from daskml_exec.linear_model._plan import Plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters, Penalty
from daskml_exec.linear_model._scores import ColumnOf, MarginsOf
from daskml_exec.partitions import is_matrix, r2, regression_data, regression_grid


@dataclass(frozen=True)
class Shapes:
    """Which fitted attributes have an axis for the only target."""

    coef_matrix: bool = False
    intercept_array: bool = False


class LinearRegressor(RegressorMixin, GLM):
    """Base of the linear models with one numeric target."""

    coef_: NDArray[Any]
    intercept_: np.floating[Any] | NDArray[Any]
    n_iter_: int

    def predict(self, X: Any) -> Any:
        """Return the prediction for each row.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        array of shape (n,), of a `LinearRegression` of y of shape (n, 1) like this y
            A NumPy array for data in memory; lazily, a Dask array with the row chunks of X for a
            Dask array, a Dask series with the index of X for a Dask dataframe; a list of futures
            for a list of futures.
        """
        check_is_fitted(self)
        prediction, columns = self._prediction(), None
        if self.coef_.ndim == 2:
            prediction, columns = ColumnOf(prediction), range(1)
        return self._map(prediction, X, columns, self.coef_.dtype, floating=True)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination of the predictions, R².

        For a Dask collection or a list of futures the Workers sum, and only sums travel.
        """
        return self._score(X, y, sample_weight)

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        return RegressorMixin.score(self, X, y, sample_weight)

    def _score_on_cluster(self, executor: Executor, X: Any, y: Any, sample_weight: Any) -> float:
        return r2(executor, self._prediction(), X, y, sample_weight, self._labels_of_columns())

    def _prediction(self) -> Callable[[Any], Any]:
        return MarginsOf(
            np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_), type(self).__name__
        )

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        family: Family,
        penalty: Penalty,
        plan_of: Callable[..., Plan],
        y_min: float | None = None,
        shapes: Shapes | None = None,
    ) -> Any:
        """Train, and return the last state; `shapes` is of the attributes for y of shape (n, 1)."""
        executor = self._check_arguments(y)
        y = as_dask_futures(y)
        shapes = shapes if shapes is not None and is_matrix(y) else Shapes()
        X, y, sample_weight, names = self._inputs(
            executor, X, y, sample_weight, y_numeric=True, multi_output=False
        )
        choice = self._choose(executor, X)
        partitions: Any
        levelled = isinstance(family, Gaussian) and self.fit_intercept
        arguments: dict[str, Any] = {
            "feature_names": names,
            "y_min": y_min,
            "levelled": levelled,
        }
        if choice.parallel == MODEL:
            partitions = regression_grid(
                executor, X, y, sample_weight, n_blocks=self.n_blocks, **arguments
            )
        else:
            partitions = regression_data(executor, X, y, sample_weight, **arguments)
        self._learn_features(X, partitions)
        problem = GLMProblem(family, penalty, self.fit_intercept, partitions.feature_names)
        fitted = partial(
            _set_fitted, dtype=partitions.dtype, level=partitions.form.level, shapes=shapes
        )
        return self._run(problem, partitions, choice, plan_of, fitted)


def _set_fitted(
    model: LinearRegressor, parameters: Parameters, *, dtype: Any, level: float, shapes: Shapes
) -> None:
    coef, intercept = parameters.coef.astype(dtype), dtype.type(parameters.intercept[0] + level)
    model.coef_ = coef if shapes.coef_matrix else coef[0]
    as_array = shapes.intercept_array and model.fit_intercept
    model.intercept_ = np.array([intercept]) if as_array else intercept
