"""Linear models with scikit-learn's objective, trained over partitions."""

from daskml_exec.linear_model._logistic import LogisticRegression

__all__ = ["LogisticRegression"]
