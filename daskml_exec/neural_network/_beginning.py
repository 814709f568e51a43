"""What happens, and is told, before a network's first round."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.kernels.networks.compiled_updates import compile_updates
from daskml_exec.kernels.networks.optimisers import Adam
from daskml_exec.neural_network._problem import NetworkProblem
from daskml_exec.neural_network._strategies import Strategies
from daskml_exec.partitions import Partition, Partitions
from daskml_exec.training import compile_ahead


def opening(problem: NetworkProblem, strategies: Strategies, beginning: Mapping[str, Any]) -> str:
    """Return what there is to train, and on how much, in words."""
    layout, rows = problem.network.layout, problem.batching.rows
    plan = strategies.block_plan or problem.batching
    epochs = beginning["max_iter"] - beginning["progress"].epochs
    return (
        f"layers {'-'.join(map(str, layout.units))}, {layout.size:,} parameters; "
        f"{sum(rows):,} rows to train on in {len(rows):,} partition{'s' * (len(rows) != 1)}; "
        f"at most {epochs:,} epoch{'s' * (epochs != 1)} of {plan.steps_per_epoch:,} steps, "
        f"parallel={strategies.chosen.parallel!r}"
    )


def prepare(
    problem: NetworkProblem, partitions: Partitions, *, say: Callable[[str], object]
) -> None:
    """Have compiled what steps call, and say so if it is to be."""
    if isinstance(problem.optimiser, Adam):
        dtype = partitions.dtype
        compile_ahead(partitions, partial(_compile, dtype), f"updates of {dtype}", say=say)


def _compile(dtype: np.dtype[Any], partition: Partition) -> None:
    if is_host(partition.X):
        compile_updates(dtype)
