"""What both networks share: from arguments and partitions to rounds, and fitted attributes."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Executor
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.batches import rows_trained_on
from daskml_exec.kernels.networks.layout import Layers, Layout
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import SGD, Adam, Optimiser
from daskml_exec.neural_network._arguments import (
    CONSTRAINTS,
    Activation,
    Auto,
    Codec,
    OuterRule,
    Parallel,
    Schedule,
    Solver,
    hidden_units,
    require_parallel_arguments,
)
from daskml_exec.neural_network._block_steps import BlocksState
from daskml_exec.neural_network._explain import BlockExplanation, Explanation
from daskml_exec.neural_network._fits import (
    FittedNetwork,
    Remembered,
    Training,
    going_on,
    new_model,
    opening,
    planned,
    prepare,
    train_blocks,
    train_whole,
)
from daskml_exec.neural_network._predictions import OutputsOf
from daskml_exec.neural_network._problem import NetworkProblem, Target
from daskml_exec.neural_network._weights import weighed
from daskml_exec.neural_network._workload import case_of
from daskml_exec.neural_network.planning import Strategies, measured, strategies_of
from daskml_exec.partitions import Partitions, dealt
from daskml_exec.training import Callback, FitWarning, History, PartitionedEstimator, Reached
from daskml_exec.training.averaging import (
    SEEN,
    AveragedSteps,
    AveragingState,
    Chain,
    CompressedSteps,
    Model,
    Outer,
    Progress,
    Stopping,
    batching,
    outer_rule,
)
from daskml_exec.training.compression import codec_named


@dataclass(frozen=True)
class Prepared:
    """What a fit trains on, and what it learns from the data before.

    Attributes
    ----------
    partitions : Partitions
    target : Target
    output : str
        Activation of the outputs.
    n_outputs : int
    set_fitted : callable
        ``set_fitted(estimator)`` sets the attributes that the targets give.
    weighted : bool
        Whether rows have weights.
    """

    partitions: Any
    target: Target
    output: str
    n_outputs: int
    set_fitted: Callable[..., None]
    weighted: bool


class MLP(PartitionedEstimator):
    """Base of the networks; holds nothing of the cluster."""

    _told: tuple[str, ...] = ()
    """What was warned of in the stream of `partial_fit`, each in a word."""

    coefs_: list[Array]
    intercepts_: list[Array]
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    n_features_in_: int
    feature_names_in_: Array
    history_: History
    _explanation: Explanation | BlockExplanation
    _progress: Progress
    _remembered: Remembered | None
    """By the optimiser, for `partial_fit` to go on; None if that went with the fit."""
    _chain: Chain | None
    """Of compressed rounds, for `partial_fit` to go on."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Activation = "relu",
        *,
        solver: Solver = "adam",
        alpha: float = 1e-4,
        batch_size: int | Auto = "auto",
        learning_rate: Schedule = "constant",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        shuffle: bool | Literal["partitions"] = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        sync_every: int | Literal["auto", "epoch"] = "auto",
        compression: Codec = None,
        outer: OuterRule = "auto",
        parallel: Parallel = "data",
        n_blocks: int | Auto = "auto",
        n_replicas: int | Auto = "auto",
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.sync_every = sync_every
        self.compression = compression
        self.outer = outer
        self.parallel = parallel
        self.n_blocks = n_blocks
        self.n_replicas = n_replicas
        self.callbacks = callbacks

    def explain(
        self, X: Any = None, y: Any = None, sample_weight: Any = None
    ) -> Explanation | BlockExplanation | Strategies:
        """Return how the last fit was planned, beside what it took.

        With data, return what each strategy would cost on it, and which one `fit` would follow,
        without training. The cluster is then measured, once for each set of workers, which takes
        a second or two. The predictions of a fit have seconds only if that was done before, or if
        ``parallel="auto"`` needed it.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`, optional
            Data that a fit is to be planned for.

        Returns
        -------
        Explanation, BlockExplanation or Strategies
            A text to print, and in notebooks tables.
        """
        if X is None:
            check_is_fitted(self, "coefs_")
            return self._explanation
        other = self._like_this()
        with other._prepared(X, y, sample_weight) as prepared:
            problem = other._problem(prepared, seed=0)
            partitions = prepared.partitions
            case = case_of(other.get_params(deep=False), partitions, problem, incremental=False)
            return strategies_of(measured(case, partitions, always=True))

    def _prepared(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool = False
    ) -> AbstractContextManager[Prepared]:
        """Check arguments and data, and have the data on the workers."""
        raise NotImplementedError

    def _check_arguments(self, X: Any, y: Any, sample_weight: Any) -> Executor | None:
        executor = super()._check_arguments(X, y, sample_weight)
        require_parallel_arguments(self.get_params(deep=False))
        return executor

    @property
    def _needs_workers(self) -> bool:
        return self.shuffle == "partitions" or super()._needs_workers

    def _train(self, prepared: Prepared, *, incremental: bool) -> list[FitWarning]:
        """Train as planned, set what that gives, and return what there is to say of it."""
        partitions = prepared.partitions
        try:
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
            if self.shuffle == "partitions":
                partitions = dealt(partitions, seed)
            problem = self._problem(replace(prepared, partitions=partitions), seed)
            if prepared.weighted:
                problem = weighed(problem, partitions)
            told = self._told if incremental and self._goes_on(incremental) else ()
            fitted = self._fitted(partitions, problem, prepared.set_fitted, incremental)
        finally:
            # A traceback that somebody keeps, as notebooks do, would keep the data on the cluster.
            partitions.release()
        state = fitted.state
        prepared.set_fitted(self)
        _set_layers(self, problem.network, fitted.layers)
        self._set_progress(state)
        # What early stopping keeps is in the fitted attributes.
        self._progress = replace(state.progress, best=None)
        self._remembered, self._chain = fitted.remembered, fitted.chain
        self._explanation = fitted.explanation
        self.history_ = fitted.history
        new = [each for each in fitted.warnings if each.about not in told]
        self._told = (*told, *(each.about for each in new))
        return new

    def _fitted(
        self,
        partitions: Partitions,
        problem: NetworkProblem,
        set_fitted: Callable[..., None],
        incremental: bool,
    ) -> FittedNetwork:
        case = case_of(self.get_params(deep=False), partitions, problem, incremental=incremental)
        case, parallel, blocks = planned(case, partitions)
        progress = self._first_progress(incremental)
        epochs = 1 if incremental else self.max_iter
        plan = opening(problem, parallel, blocks, epochs)
        callbacks = self._listeners(plan, Reached("epoch", 0, epochs))
        prepare(problem, partitions, say=self._say)
        training = Training(
            problem=problem,
            partitions=partitions,
            case=case,
            stopping=self._stopping(),
            progress=progress,
            max_iter=progress.epochs + epochs,
            callbacks=callbacks,
            snapshot=partial(_snapshot, self, set_fitted, problem.network),
            name=type(self).__name__,
            goes_on=incremental,
        )
        if blocks is not None:
            layout = problem.network.layout
            layers = self._last_layers(layout) if self._goes_on(incremental) else None
            return train_blocks(training, blocks, layers)
        model = self._first_model(problem, partitions.dtype, incremental)
        last = self._remembered if self._goes_on(incremental) and incremental else None
        return train_whole(
            training,
            self._algorithm(problem, incremental),
            model,
            last,
            self._chain if last is not None else None,
            compression=self.compression,
            dealt=self.shuffle == "partitions",
        )

    def _problem(self, prepared: Prepared, seed: int) -> NetworkProblem:
        """Return what partitions need to know, from the arguments and the data's shape."""
        partitions = prepared.partitions
        units = hidden_units(self.hidden_layer_sizes)
        held_out = self.validation_fraction if self.early_stopping else 0.0
        rows = rows_trained_on(partitions.rows, held_out)
        self._require_validation(sum(partitions.rows) - sum(rows), sum(rows))
        return NetworkProblem(
            network=Network(
                Layout((partitions.n_features, *units, prepared.n_outputs)),
                self.activation,
                prepared.output,
            ),
            optimiser=self._optimiser(),
            target=prepared.target,
            alpha=float(self.alpha),
            batching=batching(
                rows,
                self.batch_size,
                self.sync_every,
                linear_scaling=self.solver == "sgd",
                epochs=self.max_iter,
            ),
            seed=seed,
            shuffle=bool(self.shuffle),
            validation_fraction=held_out,
        )

    def _goes_on(self, incremental: bool) -> bool:
        """Whether training starts from the weights of the last fit."""
        return hasattr(self, "coefs_") and bool(incremental or self.warm_start)

    def _first_model(
        self, problem: NetworkProblem, dtype: np.dtype[Any], incremental: bool
    ) -> Model:
        """Return the model to start from: a new one, or the last one of the same shape."""
        if not self._goes_on(incremental):
            return new_model(problem, dtype)
        layers = self._last_layers(problem.network.layout)
        return going_on(problem, dtype, layers, self._remembered if incremental else None)

    def _last_layers(self, layout: Layout) -> Layers:
        """Return the weights of the last fit, which must have these shapes."""
        shapes = [coef.shape for coef in self.coefs_]
        if shapes != layout.shapes:
            raise ValueError(
                f"the weights of the last fit have the shapes {shapes}; this data and "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} need {layout.shapes}"
            )
        return Layers(self.coefs_, self.intercepts_)

    def _first_progress(self, incremental: bool) -> Progress:
        """Return the progress that training starts with."""
        progress = Progress(float(self.learning_rate_init))
        if not (incremental and hasattr(self, "coefs_")):
            return progress
        rate = progress.learning_rate
        if self.solver == "sgd" and self.learning_rate != "constant":
            rate = self._progress.learning_rate
        return replace(self._progress, stopped=False, learning_rate=rate)

    def _stopping(self) -> Stopping:
        return Stopping(
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            by_score=self.early_stopping,
            schedule=self.learning_rate if self.solver == "sgd" else "constant",
            initial_rate=float(self.learning_rate_init),
        )

    def _algorithm(
        self, problem: NetworkProblem, incremental: bool
    ) -> AveragedSteps | CompressedSteps:
        stopping = self._stopping()
        codec = codec_named(self.compression)
        if len(problem.batching.rows) == 1:  # nothing is averaged, nothing travels
            return AveragedSteps(problem, stopping, Outer(), SEEN)
        rule = outer_rule(self.outer, problem.batching)
        steps = AveragedSteps(problem, stopping, rule, SEEN)
        return steps if codec is None else CompressedSteps(steps, codec, incremental)

    def _optimiser(self) -> Optimiser:
        if self.solver == "adam":
            return Adam(self.beta_1, self.beta_2, self.epsilon)
        return SGD(self.momentum, self.nesterovs_momentum)

    def _require_validation(self, held_out: int, trained_on: int) -> None:
        if self.early_stopping and (held_out < 2 or trained_on < 1):
            raise ValueError(
                f"validation_fraction={self.validation_fraction:g} of the data is {held_out} rows, "
                f"and {trained_on} remain to train on; at least 2 rows must be held out, and 1 "
                "remain"
            )

    def _set_progress(self, state: AveragingState | BlocksState) -> None:
        progress = state.progress
        self.n_iter_ = progress.epochs
        self.t_ = progress.samples
        self.loss_curve_ = list(progress.loss_curve)
        # A callback may have stopped the fit within the first epoch.
        so_far = state.loss / state.weight if state.weight else np.inf
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else so_far
        scored = bool(self.early_stopping)
        self.validation_scores_ = list(progress.scores) if scored else None
        self.best_validation_score_ = progress.best_score if scored else None
        self.best_loss_ = None if scored else progress.best_loss

    def _outputs(self) -> OutputsOf:
        layout = Layout((self.n_features_in_, *(len(b) for b in self.intercepts_)))
        network = Network(layout, self.activation, self.out_activation_)
        return OutputsOf(network, layout.flat(self.coefs_, self.intercepts_), type(self).__name__)

    def _refuse_early_stopping(self) -> None:
        if self.early_stopping:
            raise ValueError(
                "early_stopping=True: partial_fit does not support early_stopping; it trains for "
                "one epoch"
            )


def _set_layers(model: MLP, network: Network, layers: Layers) -> None:
    """Set the fitted attributes that predictions need."""
    model.coefs_ = [np.array(coef) for coef in layers.coefs]
    model.intercepts_ = [np.array(intercept) for intercept in layers.intercepts]
    model.n_layers_ = len(network.layout.units)
    model.n_outputs_ = network.layout.units[-1]
    model.out_activation_ = network.output_name


def _snapshot(
    estimator: MLP, set_fitted: Callable[..., None], network: Network, layers: Layers
) -> MLP:
    """Return an estimator like this one, fitted with these weights."""
    other: MLP = estimator._like_this()
    set_fitted(other)
    _set_layers(other, network, layers)
    return other
