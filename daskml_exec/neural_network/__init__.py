"""Multi-layer perceptrons, trained over partitions."""

from daskml_exec.neural_network._classifier import MLPClassifier
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.neural_network._regressor import MLPRegressor

__all__ = ["DivergenceError", "MLPClassifier", "MLPRegressor"]
