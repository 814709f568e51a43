"""Run the rounds of a network over partitions in plain Python, as an oracle for the cluster."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from daskml_exec.executor import fold
from daskml_exec.kernels.networks.batches import rows_trained_on
from daskml_exec.kernels.networks.layout import Layout, initial_parameters
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import Adam, init
from daskml_exec.neural_network._problem import Classes, NetworkProblem, Numbers
from daskml_exec.partitions import Partition
from daskml_exec.training.averaging import (
    SEEN,
    AveragedSteps,
    AveragingState,
    CompressedSteps,
    Model,
    Progress,
    Stopping,
    batching,
    outer_rule,
)
from daskml_exec.training.compression import codec_named

ADAM = Adam(0.9, 0.999, 1e-8)


def cut(X, y, sample_weight=None, *, bounds) -> list[Partition]:
    """Return partitions between these row indices."""
    return [
        Partition(
            index,
            start,
            X[start:stop],
            y[start:stop],
            None if sample_weight is None else sample_weight[start:stop],
        )
        for index, (start, stop) in enumerate(pairwise(bounds))
    ]


@dataclass
class Plain:
    """A network's fit without Dask: `state` after the last round, `failure` if it has failed."""

    algorithm: Any
    partitions: list[Partition]
    state: AveragingState
    failure: ValueError | None = None

    def round(self) -> AveragingState:
        """Run one round."""
        query = self.algorithm.ask(self.state)
        if query.carries:
            results = [
                query.partial(p, carry)
                for p, carry in zip(self.partitions, self.carries, strict=True)
            ]
            self.carries = [None if query.last else carry for _, carry in results]
            partials = [value for value, _ in results]
        else:
            partials = [query.partial(p) for p in self.partitions]
        total = fold(partials, query.combine)
        try:
            self.state, self.measured = self.algorithm.tell(self.state, query, total)
        except ValueError as error:
            self.failure = error
        return self.state

    def run(self) -> AveragingState:
        """Run all rounds."""
        while self.failure is None and self.algorithm.ask(self.state) is not None:
            self.round()
        return self.state

    def __post_init__(self) -> None:
        self.carries: list[Any] = [None] * len(self.partitions)


def plain(
    partitions,
    *,
    hidden=(8,),
    activation="relu",
    n_classes=None,
    optimiser=ADAM,
    alpha=1e-4,
    batch_size: Any = "auto",
    sync_every: Any = "epoch",
    learning_rate=1e-3,
    max_iter=3,
    shuffle=True,
    seed=0,
    compression=None,
    outer="average",
    validation_fraction=0.0,
    parameters=None,
    linear_scaling=False,
    tol=0.0,
    n_iter_no_change=np.inf,
    schedule="constant",
) -> Plain:
    """Return a fit that is to be run; `compression` is a codec or its name."""
    X = partitions[0].X
    outputs = 1 if n_classes in (None, 2) else n_classes
    output = "identity" if n_classes is None else "logistic" if n_classes == 2 else "softmax"
    layout = Layout((X.shape[1], *hidden, outputs))
    if parameters is None:
        parameters = initial_parameters(
            layout, seed=seed, logistic=activation == "logistic", dtype=X.dtype
        )
    rows = rows_trained_on([p.X.shape[0] for p in partitions], validation_fraction)
    problem = NetworkProblem(
        network=Network(layout, activation, output),
        optimiser=optimiser,
        target=Numbers() if n_classes is None else Classes(n_classes),
        alpha=alpha,
        batching=batching(rows, batch_size, sync_every, linear_scaling=linear_scaling),
        seed=seed,
        shuffle=shuffle,
        validation_fraction=validation_fraction,
    )
    stopping = Stopping(
        tol=tol,
        n_iter_no_change=n_iter_no_change,
        by_score=validation_fraction > 0,
        schedule=schedule,
        initial_rate=learning_rate,
    )
    rule = outer_rule(outer, problem.batching)
    algorithm: Any = AveragedSteps(problem, stopping, rule, SEEN)
    codec = codec_named(compression) if isinstance(compression, str) else compression
    if codec is not None:
        algorithm = CompressedSteps(algorithm, codec)
    model = Model(parameters, init(optimiser, layout.size, parameters.dtype))
    return Plain(algorithm, partitions, AveragingState(model, Progress(learning_rate), max_iter))
