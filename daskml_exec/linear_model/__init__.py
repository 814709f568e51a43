"""Linear models with scikit-learn's objectives, trained over partitions."""

from daskml_exec.linear_model._logistic import LogisticRegression
from daskml_exec.linear_model._poisson import PoissonRegressor
from daskml_exec.linear_model._ridge import LinearRegression, Ridge

__all__ = ["LinearRegression", "LogisticRegression", "PoissonRegressor", "Ridge"]
