"""What the estimators of modules share: from samples to a fitted module, and what it gives."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from daskml_exec.executor import Executor, Query, require_same_code
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import Data, Partition, Pieces, load_samples, map_samples
from daskml_exec.torch._arguments import (
    CONSTRAINTS,
    options_of,
    require_prefixes,
    require_scheduler,
    require_stopping_that_counts,
)
from daskml_exec.torch._divergence import Diverged, DivergenceError
from daskml_exec.torch._equip import first_samples
from daskml_exec.torch._explain import Explanation
from daskml_exec.torch._fits import FitSettings
from daskml_exec.torch._given import check_columns, checked_rows, executor_for, is_plain
from daskml_exec.torch._handing_on import HandingOn
from daskml_exec.torch._layout import Layout
from daskml_exec.torch._local_module import load_weights
from daskml_exec.torch._module import built, built_again, freeze, materialise, tried, try_scores
from daskml_exec.torch._optimisers import optimiser_of
from daskml_exec.torch._outputs import OutputsOf
from daskml_exec.torch._purpose import Purpose, first_batch
from daskml_exec.torch._recipe import Parts
from daskml_exec.torch._remembered import Last, Remembered
from daskml_exec.torch._scores import Scores
from daskml_exec.torch._ways import planned
from daskml_exec.torch._workers import device_on, differences
from daskml_exec.torch.pipeline._arguments import require_arguments_that_count
from daskml_exec.torch.pipeline._explain import PipelineExplanation
from daskml_exec.torch.planning._choice import Choice
from daskml_exec.training import (
    Fitted,
    FitWarning,
    History,
    all_or_nothing,
    reduce,
    telling,
    train,
    warn_of,
)
from daskml_exec.training._left_out import LeftOut, require_given
from daskml_exec.training.averaging import Model


class ModuleEstimator(HandingOn):
    """What the estimators of modules share: all but what they are trained for."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    _made_again: ClassVar[tuple[str, ...]] = ("module_",)
    """Attributes that are made anew where a file is opened."""

    history_: History
    loss_curve_: list[float]
    n_epochs_: int
    validation_scores_: list[float] | None
    n_features_in_: int
    feature_names_in_: Array
    parallel_: str
    _choice: Choice | None = None
    _told: dict[str, int]
    _said: tuple[str, ...] = ()
    _layout: Layout
    _explanation: Explanation | PipelineExplanation
    _weights: Model
    _remembered: Remembered

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train on samples.

        Parameters
        ----------
        X : tree of arrays, TokenWindows, DatasetSamples, Dask bag, list of futures, or Data
            A tree is an array of shape (n_samples, ...), or a dict or tuple of trees: NumPy and
            Dask arrays, lists, frames, series, and tensors on the CPU, each of its own dtype.
            `tokens` and `from_dataset` make the next two; `load_samples` makes a Data, which has y
            and weights, and is trained on many times.
        y : the same kinds, optional
            What samples are to be. Of a classifier one label, and of a regressor one or several
            numbers per sample.
        sample_weight : array-like of shape (n_samples,), optional
            Weights from 0; None means ones.

        Returns
        -------
        estimator
            This one, fitted.

        Raises
        ------
        ValueError, TypeError
            An argument is not as described; the message names it, what came and what is allowed.
        daskml_exec.torch.DivergenceError
            The loss or the parameters became infinite, or no number.
        daskml_exec.executor.WorkerMismatchError
            A Worker has no PyTorch, or has imported a module of yours when its file was another.
        daskml_exec.executor.LostSchedulerError
            The cluster's scheduler is gone; the error's `model` is where the fit had come to.
        Exception
            What `module`, `loss`, `scores`, `augment` or `scheduler` raised; its notes say in which
            steps, and on what.

        Warns
        -----
        UserWarning
            `batch_size` is more than all samples.
        RuntimeWarning
            Workers differ in what the last bits of a fit depend on.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            warn_of(self._fit(X, y, sample_weight, incremental=False))
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch more, on these samples, as if training had not ended.

        Parameters
        ----------
        X : as in `fit`
            Samples.
        y : as in `fit`, optional
            What they are to be.
        sample_weight : as in `fit`, optional
            Their weights; None means ones.

        Returns
        -------
        estimator
            This one, fitted.

        Raises
        ------
        ValueError
            The module has other parameters than in the last call, or as in `fit`.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            warn_of(self._fit(X, y, sample_weight, incremental=True))
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> list[FitWarning]:
        names = self._get_param_names()
        require_prefixes(self._options(), self._prefixes, names, type(self).__name__)
        given = self.get_params(deep=False)
        require_given(given)
        require_scheduler(self.scheduler)
        self._validate_params()
        require_arguments_that_count(given)
        require_stopping_that_counts(given)
        self._callbacks()
        reset = not self._goes_on(incremental)
        if reset:  # only rows with columns set them again
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
        with self._loaded(X, y, sample_weight, reset=reset) as data:
            return self._train(data, incremental=incremental)

    @contextmanager
    def _loaded(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Iterator[Data]:
        """Yield samples where they are trained on; remember or compare their columns."""
        plain = self._plain(X, y, reset=reset)
        if plain is not None:
            X, y = plain
            with self._brought(X, y, sample_weight, reset=reset) as data:
                yield data
            return
        if not reset:
            self._compare_columns(X)
        with self._brought(X, y, sample_weight, reset=reset) as data:
            if reset and data.like is not None and self._has_columns(data.like.X):
                check_columns(self, X, reset=True)
            yield data

    def _plain(self, X: Any, y: Any, *, reset: bool) -> Any:
        """Return X and y checked, with their columns remembered or compared, if both are arrays.

        None where they are something else, which is checked to be possible.
        """
        return None

    def _rows_for_epochs(
        self, X: Any, y: Any, sample_weight: Any, executor: Executor | None
    ) -> Data:
        plain = self._plain(X, y, reset=True)
        if isinstance(X, Data):
            X.require_alone(y, sample_weight)
            return X.lent_samples(type(self).__name__)
        X, y = (X, y) if plain is None else plain
        return load_samples(X, y, sample_weight, executor=executor)

    def _one_epoch_more(self, data: Data) -> list[FitWarning]:
        with telling(self, data, None, None):
            return self._fit(data, None, None, incremental=True)

    @contextmanager
    def _brought(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Iterator[Data]:
        """Yield samples where they are trained on, released in the end if they are ours."""
        if not isinstance(X, Data):
            self._say("looking at the data, and bringing it to the Workers")
        choice = None if reset else self._choice_held(incremental=True)
        parallel = self.parallel if choice is None else choice.parallel
        needs_workers = parallel in ("pipeline", "hybrid")
        with self._samples(X, y, sample_weight, needs_workers=needs_workers) as data:
            yield data

    def _has_columns(self, like: Any) -> bool:
        """Return whether all samples must be as long as these."""
        return True

    def _train(self, data: Data, *, incremental: bool) -> list[FitWarning]:
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        last = self._last(incremental)
        head = first_samples(data, 2)
        purpose = self._purpose(data, head, again=last is not None)
        executor = None if isinstance(data.partitions, Pieces) else data.executor
        parts = self._parts(head, purpose, seed, device_on(executor, self.device))
        given = self.get_params(deep=False)
        code = [*filter(callable, given.values()), *parts.module.modules()]
        require_same_code(executor, code, by_cloudpickle=True)
        settings = FitSettings(given, incremental)
        held = self._choice_held(incremental=incremental)
        found = planned(settings, parts, purpose, head, data, seed, last, held)
        fit: Any = found[0]  # a Fit or a PipelineFit, each with a state of its own
        callbacks = self._listeners(fit.opening, fit.reached(fit.state))
        with _naming_weights(parts), fit.samples(data, purpose.encode) as samples:
            fitted = train(
                fit.algorithm,
                fit.state,
                samples,
                callbacks=callbacks,
                view=lambda state: partial(
                    _view, self, parts, purpose.attributes, partial(fit.model, state)
                ),
                reached=fit.reached,
                carried=fit.carried,
                name=type(self).__name__.lower(),
            )
        self._set_fitted(fit, purpose, fitted, found[1])
        said = self._said if last is not None and incremental else ()
        new = [each for each in fit.warnings(fitted.state) if each.about not in said]
        self._said = (*said, *(each.about for each in new))
        return [*new, *([] if executor is None else differences(executor))]

    def _purpose(self, data: Data, head: Partition, *, again: bool) -> Purpose:
        """Return what the module is trained for, by what the data holds."""
        raise NotImplementedError

    def _known(self, head: Partition) -> dict[str, int]:
        X = head.X
        return {"n_features": int(X.shape[1])} if getattr(X, "ndim", 0) == 2 else {}

    def _parts(self, head: Partition, purpose: Purpose, seed: int, device: str) -> Parts:
        """Build the module, and try it on the first samples."""
        parameters = self.get_params(deep=False)
        optimiser = optimiser_of(
            self.optimizer, float(self.lr), options_of(parameters, "optimizer"), self.param_groups
        )
        module = built(self.module, options_of(parameters, "module"), purpose.known, seed=seed)
        try:
            batch = first_batch(head, purpose, module, self.augment)
        except Exception as error:
            if self.augment is not None:
                error.add_note(
                    f"augment(sample, generator) was called with one of the first {head.n_rows} "
                    "samples, before training began"
                )
            raise
        materialise(module, purpose.loss, batch, seed=seed)
        freeze(module, self.trainable)
        trial = tried(module, purpose.loss, batch, head.n_rows, optimiser)
        scores = Scores(purpose.loss, purpose.scores)
        if purpose.scores is not None:
            try_scores(module, scores, first_batch(head, purpose, module), head.n_rows)
        return Parts(
            module=module,
            loss=purpose.loss,
            scores=scores,
            optimiser=optimiser,
            scheduler=self.scheduler,
            augment=self.augment,
            layout=trial.layout,
            accumulate=int(self.accumulate),
            clip_norm=None if self.clip_norm is None else float(self.clip_norm),
            amp=self.amp,
            compile=bool(self.compile),
            device=device,
            draws=trial.draws,
            keeps_moments=self.optimizer_state != "reset",
            flops=trial.flops,
        )

    def _last(self, incremental: bool) -> Last | None:
        """Return what there is to go on with, where that is asked for."""
        if not self._goes_on(incremental):
            return None
        return Last(self._layout, self._weights, self._remembered)

    def _goes_on(self, incremental: bool) -> bool:
        return hasattr(self, "_remembered") and bool(incremental or self.warm_start)

    def _choice_held(self, *, incremental: bool) -> Choice | None:
        """Return what "auto" has chosen, where that is gone on with."""
        return self._choice if self.parallel == "auto" and self._goes_on(incremental) else None

    def _set_fitted(
        self, fit: Any, purpose: Purpose, fitted: Fitted[Any], choice: Choice | None
    ) -> None:
        progress = fitted.state.progress
        best = fit.best(fitted) if self.tol is not None else None
        self._remembered = fit.remembered(fitted)
        self.history_ = fitted.history
        self.n_epochs_ = progress.epochs
        self.loss_curve_ = list(progress.loss_curve)
        self.validation_scores_ = list(progress.scores) if self.validation_fraction else None
        model = best or fit.model(fitted.state, fitted.units)
        self._set_module(fit.parts, purpose.attributes, model)
        self._choice, self.parallel_ = choice, str(fit.settings.arguments["parallel"])
        self._explanation = fit.explanation(fitted.history)
        if choice is not None:
            epochs = fit.reached(fitted.state).done
            self._explanation = replace(self._explanation, choice=choice, epochs=epochs)

    def _set_module(self, parts: Parts, fitted: Mapping[str, Any], model: Model) -> None:
        for name, value in fitted.items():
            setattr(self, name, value)
        self._layout, self._weights = parts.layout, model.without_optimiser
        self.module_ = _with_weights(parts, model).eval()

    def _opened(self) -> None:
        """Make the module of what a file has, and of the module that is given."""
        if "_layout" not in vars(self):
            return
        if isinstance(self.module, LeftOut):
            raise ValueError(
                f"a file of a {type(self).__name__} holds no code; give the module that was "
                "trained: open_model(url, module=...)"
            )
        options = options_of(self.get_params(deep=False), "module")
        trainable = self.trainable
        if isinstance(trainable, LeftOut):
            trainable = self._layout.parameters.names.__contains__
        module = built_again(self.module, options, self._told, self._layout, trainable)
        load_weights(module, self._layout, self._weights)
        self.module_ = module.eval()

    def explain(self) -> Explanation | PipelineExplanation:
        """Return how the last fit was planned, what travelled of it, and what it took.

        Returns
        -------
        Explanation or PipelineExplanation
            A text to print, and in notebooks tables.
        """
        check_is_fitted(self)
        return self._explanation

    @property
    def state_dict_(self) -> dict[str, torch.Tensor]:
        """Parameters and buffers by name, as of torch's `state_dict`."""
        check_is_fitted(self)
        found: dict[str, torch.Tensor] = self.module_.state_dict()
        return found

    def __sklearn_is_fitted__(self) -> bool:
        return "module_" in vars(self)

    def map_samples(self, function: Callable[[nn.Module, Any], Any], X: Any) -> Any:
        """Return what a function makes of the trained module and samples, as texts or boxes.

        Parameters
        ----------
        function : callable
            ``function(module, X)`` gets the module in eval mode, on the CPU and without gradients,
            and up to 256 samples as tensors. It returns a tensor, an array or a list of one entry
            per sample, or a dict or tuple of them. A list may have objects, such as texts.
        X : as in `fit`
            Samples.

        Returns
        -------
        tree of arrays
            Like what the function returns. For Dask collections and futures a tree of Dask arrays
            with the same chunks, computed when it is asked for, together by ``dask.compute``; the
            module travels once to each Worker. For a Data, windows of a Dask array
            and what `from_dataset` reads the Workers begin at once.

        Raises
        ------
        ValueError
            The function returned another number of entries than there are samples, or raised on
            one sample.
        """
        check_is_fitted(self)
        return map_samples(self._outputs(function), X)

    def _outputs(self, function: Callable[[nn.Module, Any], Any]) -> OutputsOf:
        return OutputsOf.of(self.module_, function, self._layout.dtype)

    def _checked(self, X: Any) -> Any:
        """Return X, checked as scikit-learn checks it where it is rows in memory."""
        if is_plain(X):
            return checked_rows(self, X, reset=False)
        self._compare_columns(X)
        return X

    def _compare_columns(self, X: Any) -> None:
        """Raise ValueError unless X has the columns of `fit`, where those are known."""
        if hasattr(self, "n_features_in_"):
            check_columns(self, X, reset=False)

    def _sums(self, query: Query[Any], X: Any, y: Any, sample_weight: Any) -> Any:
        """Return sums over samples, wherever they are."""
        with self._samples(X, y, sample_weight) as data:
            if data.like is not None:  # which a Data of samples has
                self._require_target(data.like.y)
            return reduce(query, data)

    def _require_target(self, y: Any) -> None:
        """Raise ValueError if y, given without its samples, is not as `score` needs it."""

    @contextmanager
    def _samples(
        self, X: Any, y: Any, sample_weight: Any, *, needs_workers: bool = False
    ) -> Iterator[Data]:
        """Yield samples where they are, released in the end if they are ours."""
        if isinstance(X, Data):
            X.require_alone(y, sample_weight)
            data = X.lent_samples(type(self).__name__)
            if needs_workers and data.in_memory:
                raise ValueError(
                    f"X is a Data in this process, and parallel={self.parallel!r} trains on "
                    "Workers; allowed is what load_samples returns within `with Executor()`"
                )
            yield data
            return
        given = X, y, sample_weight
        executor = Executor.current() if needs_workers else executor_for(*given)
        with load_samples(*given, executor=executor) as data:
            yield data


def _view(
    estimator: ModuleEstimator,
    parts: Parts,
    fitted: Mapping[str, Any],
    model: Callable[[Any], Model],
    units: Any,
) -> ModuleEstimator:
    """Return an estimator like this one, fitted with the model that is made of these units."""
    other: ModuleEstimator = estimator._like_this()
    other._set_module(parts, fitted, model(units))
    return other


def _with_weights(parts: Parts, model: Model) -> nn.Module:
    """Return a module with the parameters and buffers of a model."""
    module = copy.deepcopy(parts.module)
    load_weights(module, parts.layout, model)
    return module


@contextmanager
def _naming_weights(parts: Parts) -> Iterator[None]:
    """Let the error of training that diverged have the last good weights by their names."""
    try:
        yield
    except Diverged as error:
        last_good = _with_weights(parts, error.model).state_dict()
        raise DivergenceError(error.where, error.remedy, last_good) from None
