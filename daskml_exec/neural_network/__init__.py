"""Multi-layer perceptrons, trained over partitions."""

from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._classifier import MLPClassifier
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.neural_network._explain import BlockExplanation, Explanation
from daskml_exec.neural_network._regressor import MLPRegressor
from daskml_exec.neural_network._workload import Case, Workload
from daskml_exec.neural_network.planning import Calibration, Estimate, Strategies
from daskml_exec.training import History, RoundRecord, let_save, publish
from daskml_exec.training.averaging import Batching, Buffers, Carry, Chain, Link, Model, Progress
from daskml_exec.training.compression import HalfChange, SparseChange

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
let_save(
    (MLPClassifier, MLPRegressor),
    # Files hold their indices: a new one comes last.
    states=(
        History,
        RoundRecord,
        Progress,
        Explanation,
        BlockExplanation,
        Batching,
        BlockPlan,
        Case,
        Workload,
        Calibration,
        Chain,
        Carry,
        Link,
        Model,
        OptimiserState,
        HalfChange,
        SparseChange,
        Buffers,
    ),
)
