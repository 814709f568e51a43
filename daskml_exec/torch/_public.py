"""The names of `daskml_exec.torch`, which need PyTorch."""

from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.partitions import from_dataset, tokens
from daskml_exec.torch._any_loss import TorchEstimator
from daskml_exec.torch._classifier import TorchClassifier
from daskml_exec.torch._divergence import DivergenceError
from daskml_exec.torch._explain import Explanation
from daskml_exec.torch._layout import Layout, Slots
from daskml_exec.torch._load import load_samples
from daskml_exec.torch._regressor import TorchRegressor
from daskml_exec.torch._remembered import Remembered
from daskml_exec.torch.pipeline._explain import PipelineExplanation
from daskml_exec.torch.planning._choice import Choice, Way
from daskml_exec.training import History, RoundRecord, let_save
from daskml_exec.training.averaging import Batching, Buffers, Carry, Chain, Link, Model, Progress
from daskml_exec.training.compression import HalfChange, SparseChange

__all__ = [
    "DivergenceError",
    "Explanation",
    "TorchClassifier",
    "TorchEstimator",
    "TorchRegressor",
    "from_dataset",
    "load_samples",
    "tokens",
]

# Pickles, and errors, name the package that users know.
for _class in (DivergenceError, Explanation, TorchClassifier, TorchEstimator, TorchRegressor):
    _class.__module__ = "daskml_exec.torch"

let_save(
    (TorchClassifier, TorchEstimator, TorchRegressor),
    # Files hold their indices: a new one comes last.
    states=(
        History,
        RoundRecord,
        Progress,
        Remembered,
        Model,
        OptimiserState,
        Buffers,
        Layout,
        Slots,
        Chain,
        Carry,
        Link,
        HalfChange,
        SparseChange,
        Batching,
        Explanation,
        PipelineExplanation,
        Choice,
        Way,
    ),
    code=(
        "module",
        "loss",
        "criterion",
        "optimizer",
        "scheduler",
        "trainable",
        "param_groups",
        "stages",
        "augment",
        "scores",
    ),
)
