"""Multi-layer perceptrons, trained over partitions."""

from daskml_exec.neural_network._batching import Batching
from daskml_exec.neural_network._block_explain import BlockExplanation
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._classifier import MLPClassifier
from daskml_exec.neural_network._costs import Estimate
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.neural_network._explain import Explanation
from daskml_exec.neural_network._progress import Progress
from daskml_exec.neural_network._regressor import MLPRegressor
from daskml_exec.neural_network._strategies import Strategies
from daskml_exec.training import publish

__all__ = [
    "Batching",
    "BlockExplanation",
    "BlockPlan",
    "DivergenceError",
    "Estimate",
    "Explanation",
    "MLPClassifier",
    "MLPRegressor",
    "Progress",
    "Strategies",
]

publish(__name__, __all__)
