"""What both networks share: from arguments and partitions to rounds, and fitted attributes."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from daskml_exec.kernels.networks.batches import rows_trained_on
from daskml_exec.kernels.networks.layout import Layers, Layout, initial_parameters
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import SGD, Adam, Optimiser, init
from daskml_exec.neural_network._batching import batching
from daskml_exec.neural_network._block_explain import BlockExplanation
from daskml_exec.neural_network._block_fit import fit_blocks
from daskml_exec.neural_network._block_plan import BlockPlan, block_plan
from daskml_exec.neural_network._block_segments import BlockFit, BlockSegments
from daskml_exec.neural_network._compressed import CompressedRounds
from daskml_exec.neural_network._explain import Explanation
from daskml_exec.neural_network._layers import hidden_units
from daskml_exec.neural_network._model import Model
from daskml_exec.neural_network._outer import Outer, outer_rule
from daskml_exec.neural_network._parallel import (
    N_REPLICAS,
    default_n_blocks,
)
from daskml_exec.neural_network._predictions import OutputsOf
from daskml_exec.neural_network._problem import NetworkProblem, Target
from daskml_exec.neural_network._progress import Progress, Stopping
from daskml_exec.neural_network._rounds import NetworkFit, NetworkRounds
from daskml_exec.neural_network._target_spread import SORTED, explained_by_partition
from daskml_exec.partitions import Partitions, dealt
from daskml_exec.training import Callback, History, PartitionedEstimator, run_rounds
from daskml_exec.training.compression import codec_named

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Trained:
    """What training has given, however it was shared."""

    state: NetworkFit | BlockFit
    layers: Layers
    model: Model | None
    history: History
    explanation: Explanation | BlockExplanation
    spread: Any


class MLP(PartitionedEstimator):
    """Base of the networks; holds nothing of the cluster."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "solver": [StrOptions({"adam", "sgd"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean", StrOptions({"partitions"})],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "sync_every": [StrOptions({"auto", "epoch"}), Interval(Integral, 1, None, closed="left")],
        "compression": [str, None],
        "outer": [StrOptions({"auto", "average", "nesterov"})],
        "parallel": [StrOptions({"auto", "data", "model", "hybrid"})],
        "n_blocks": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "n_replicas": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left")],
        "callbacks": ["array-like", None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 1e-4,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        sync_every: Any = "auto",
        compression: str | None = None,
        outer: str = "auto",
        parallel: str = "data",
        n_blocks: Any = "auto",
        n_replicas: Any = "auto",
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

    def explain(self) -> Explanation | BlockExplanation:
        """Return how the last fit was planned, beside what it took: a text to print."""
        check_is_fitted(self, "coefs_")
        return self._explanation

    def _train(
        self,
        partitions: Partitions,
        target: Target,
        output: str,
        n_outputs: int,
        fitted: Callable[..., None],
        *,
        incremental: bool,
    ) -> None:
        """Run the rounds, and set what `fitted(estimator)` and they give."""
        try:
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
            if self.shuffle == "partitions":
                partitions = dealt(partitions, seed)
            problem = self._problem(partitions, target, output, n_outputs, seed)
            parallel = self.parallel
            train = self._train_whole if parallel == "data" else self._train_blocks
            trained = train(partitions, problem, fitted, incremental)
        finally:
            # A traceback that somebody keeps, as notebooks do, would keep the data on the cluster.
            partitions.release()
        state = trained.state
        fitted(self)
        _set_layers(self, problem.network, trained.layers)
        self._set_progress(state)
        self._model, self._progress = trained.model, state.progress
        self._explanation = trained.explanation
        self.history_ = trained.history
        self._warn_of_sorted(trained.spread, partitions)
        if not incremental and not state.progress.stopped and state.done:
            warnings.warn(
                f"{type(self).__name__} stopped after max_iter={self.max_iter} epochs, before the "
                f"{'score' if self.early_stopping else 'loss'} had stopped to improve by "
                f"tol={self.tol:g} for more than {self.n_iter_no_change} epochs: it has not "
                "converged. Raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _train_whole(
        self,
        partitions: Partitions,
        problem: NetworkProblem,
        fitted: Callable[..., None],
        incremental: bool,
    ) -> Trained:
        """Average local models of the whole network, round by round."""
        network = problem.network
        model = self._first_model(network, problem.seed, partitions.dtype, incremental)
        result = run_rounds(
            self._algorithm(problem),
            NetworkFit(model=model, **self._beginning(incremental)),
            partitions,
            callbacks=self._callbacks(),
            snapshot=lambda state: partial(
                _snapshot, self, fitted, network, network.layout.layers(state.model.parameters)
            ),
            name=type(self).__name__.lower(),
        )
        state = result.state
        best = state.progress.best_parameters if self.early_stopping else None
        return Trained(
            state=state,
            layers=network.layout.layers(state.model.parameters if best is None else best),
            model=state.model,
            history=result.history,
            explanation=Explanation(
                network,
                problem.batching,
                self.compression,
                self.shuffle == "partitions",
                result.history,
            ),
            spread=state.spread,
        )

    def _train_blocks(
        self,
        partitions: Partitions,
        problem: NetworkProblem,
        fitted: Callable[..., None],
        incremental: bool,
    ) -> Trained:
        """Train blocks of the network that stay on their workers."""
        layout = problem.network.layout
        segments = BlockSegments(
            problem, self._block_plan(partitions, problem), self._stopping(), partitions.dtype
        )
        outcome = fit_blocks(
            segments,
            BlockFit(**self._beginning(incremental)),
            partitions,
            layers=self._last_layers(layout) if self._goes_on(incremental) else None,
            callbacks=self._callbacks(),
            snapshot=partial(_snapshot, self, fitted, problem.network),
            name=type(self).__name__.lower(),
        )
        return Trained(
            state=outcome.state,
            layers=outcome.layers,
            model=None,
            history=outcome.history,
            explanation=BlockExplanation(problem.network, segments.plan, outcome.history),
            spread=None,
        )

    def _block_plan(self, partitions: Partitions, problem: NetworkProblem) -> BlockPlan:
        layout, rows = problem.network.layout, problem.batching.rows
        moments = problem.optimiser.n_moments
        n_blocks = self.n_blocks
        if n_blocks == "auto":
            state_bytes = (1 + moments) * layout.size * partitions.dtype.itemsize
            n_blocks = default_n_blocks(layout, state_bytes)
        n_replicas = 1
        if self.parallel == "hybrid":
            n_replicas = N_REPLICAS if self.n_replicas == "auto" else self.n_replicas
        batch = min(200, sum(rows)) if self.batch_size == "auto" else self.batch_size
        return block_plan(
            rows,
            batch,
            n_blocks=n_blocks,
            n_replicas=n_replicas,
            sync_every=self.sync_every,
            seed=problem.seed if problem.shuffle else None,
        )

    def _problem(
        self, partitions: Partitions, target: Target, output: str, n_outputs: int, seed: int
    ) -> NetworkProblem:
        """Return what partitions need to know, from the arguments and the data's shape."""
        units = hidden_units(self.hidden_layer_sizes)
        held_out = self.validation_fraction if self.early_stopping else 0.0
        rows = rows_trained_on(partitions.rows, held_out)
        self._require_validation(sum(partitions.rows) - sum(rows), sum(rows))
        return NetworkProblem(
            network=Network(
                Layout((partitions.n_features, *units, n_outputs)), self.activation, output
            ),
            optimiser=self._optimiser(),
            target=target,
            alpha=float(self.alpha),
            batching=batching(
                rows, self.batch_size, self.sync_every, linear_scaling=self.solver == "sgd"
            ),
            seed=seed,
            shuffle=bool(self.shuffle),
            validation_fraction=held_out,
            feature_names=partitions.feature_names,
        )

    def _goes_on(self, incremental: bool) -> bool:
        """Whether training starts from the weights of the last fit."""
        return hasattr(self, "coefs_") and bool(incremental or self.warm_start)

    def _first_model(
        self, network: Network, seed: int, dtype: np.dtype[Any], incremental: bool
    ) -> Model:
        """Return the model to start from: a new one, or the last one of the same shape."""
        layout = network.layout
        fresh = init(self._optimiser(), layout.size, dtype)
        if self._goes_on(incremental):
            parameters = layout.flat(*self._last_layers(layout)).astype(dtype, copy=False)
            if incremental and self._model is not None:
                last = self._model.optimiser
                alike = last.moments.dtype == dtype and last.moments.shape == fresh.moments.shape
                if alike:
                    return Model(parameters, last)
        else:
            parameters = initial_parameters(
                layout, seed=seed, logistic=self.activation == "logistic", dtype=dtype
            )
        return Model(parameters, fresh)

    def _last_layers(self, layout: Layout) -> Layers:
        """Return the weights of the last fit, which must have these shapes."""
        shapes = [coef.shape for coef in self.coefs_]
        if shapes != layout.shapes:
            raise ValueError(
                f"the weights of the last fit have the shapes {shapes}; this data and "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} need {layout.shapes}"
            )
        return Layers(self.coefs_, self.intercepts_)

    def _beginning(self, incremental: bool) -> dict[str, Any]:
        """Return the progress that training starts with, and where it ends."""
        progress = Progress(float(self.learning_rate_init))
        if incremental and hasattr(self, "coefs_"):
            rate = progress.learning_rate
            if self.solver == "sgd" and self.learning_rate != "constant":
                rate = self._progress.learning_rate
            progress = replace(self._progress, stopped=False, learning_rate=rate)
        return {
            "progress": progress,
            "max_iter": progress.epochs + 1 if incremental else self.max_iter,
        }

    def _stopping(self) -> Stopping:
        return Stopping(
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            by_score=self.early_stopping,
            schedule=self.learning_rate if self.solver == "sgd" else "constant",
            initial_rate=float(self.learning_rate_init),
        )

    def _algorithm(self, problem: NetworkProblem) -> NetworkRounds | CompressedRounds:
        stopping = self._stopping()
        codec = codec_named(self.compression)
        if len(problem.batching.rows) == 1:  # nothing is averaged, nothing travels
            return NetworkRounds(problem, stopping, Outer())
        rule = outer_rule(self.outer, problem.batching.sync_steps)
        rounds = NetworkRounds(problem, stopping, rule)
        if codec is None:
            return rounds
        return CompressedRounds(rounds, codec)

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

    def _set_progress(self, state: NetworkFit | BlockFit) -> None:
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

    def _warn_of_sorted(self, spread: Any, partitions: Partitions) -> None:
        if spread is None or len(partitions.rows) == 1:
            return
        share = explained_by_partition(spread, classes=hasattr(self, "classes_"))
        if share > SORTED:
            warnings.warn(
                f"the partition that a row is in says much of its target ({share:.0%} of what it "
                "could say), as where rows are sorted: averages of local models are then worse "
                "than the models. shuffle='partitions' deals the rows anew; where they must stay, "
                "a smaller sync_every may help",
                UserWarning,
                stacklevel=5,
            )

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

    def _copy_network(self, model: Any, *names: str) -> Any:
        """Copy fitted attributes to scikit-learn's model."""
        # Without these its training cannot go on.
        model._no_improvement_count = 0
        model._best_coefs = [coef.copy() for coef in self.coefs_]
        model._best_intercepts = [intercept.copy() for intercept in self.intercepts_]
        return self._copy_fitted(
            model,
            *names,
            "coefs_",
            "intercepts_",
            "n_layers_",
            "n_outputs_",
            "out_activation_",
            "n_iter_",
            "t_",
            "loss_",
            "loss_curve_",
            "best_loss_",
            "validation_scores_",
            "best_validation_score_",
        )

    def _sklearn_arguments(self) -> dict[str, Any]:
        """Return the arguments that scikit-learn's network has, too."""
        ours = {
            "sync_every",
            "compression",
            "outer",
            "parallel",
            "n_blocks",
            "n_replicas",
            "callbacks",
        }
        arguments = {k: v for k, v in self.get_params(deep=False).items() if k not in ours}
        arguments["shuffle"] = bool(self.shuffle)
        return arguments


def _set_layers(model: MLP, network: Network, layers: Layers) -> None:
    """Set the fitted attributes that predictions need."""
    model.coefs_ = [np.array(coef) for coef in layers.coefs]
    model.intercepts_ = [np.array(intercept) for intercept in layers.intercepts]
    model.n_layers_ = len(network.layout.units)
    model.n_outputs_ = network.layout.units[-1]
    model.out_activation_ = network.output_name


def _snapshot(estimator: MLP, fitted: Callable[..., None], network: Network, layers: Layers) -> MLP:
    """Return an estimator like this one, fitted with these weights."""
    other: MLP = estimator._like_this()
    fitted(other)
    _set_layers(other, network, layers)
    return other
