"""Regression by a module that gives one number per target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from daskml_exec.executor import Query
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.partitions import Data, Partition, block_sums, combine_sums, explained_share
from daskml_exec.torch._arguments import options_of
from daskml_exec.torch._estimator import ModuleEstimator
from daskml_exec.torch._given import (
    checked_rows_and_target,
    is_plain,
    require_y,
    target_in_words,
)
from daskml_exec.torch._module import Trainable
from daskml_exec.torch._optimisers import ParamGroups
from daskml_exec.torch._outputs import OutputsOf, call
from daskml_exec.torch._purpose import Purpose
from daskml_exec.torch._supervised import criterion_loss


class TorchRegressor(RegressorMixin, ModuleEstimator):
    r"""A PyTorch module that gives one number per target, trained over partitions.

    It is `TorchEstimator` with a criterion for its loss, and with numbers for y, one or several per
    sample.

    Parameters
    ----------
    module : torch.nn.Module, or callable that returns one
        A class or function is called, with seeded random numbers; where it has a parameter
        `n_features`, and X is one array of rows, it is told how many numbers a row has, and by
        `n_outputs` how many targets there are. An instance is copied, and trained from the weights
        that it has.
    criterion : class, callable or torch.nn.Module, default=torch.nn.MSELoss
        ``criterion(outputs, y)`` returns the mean loss of outputs in the shape of y; a class is
        called with the options ``criterion__...``. With `sample_weight` it must be one of
        PyTorch's, which say with ``reduction="none"`` what each sample loses.
    optimizer : str or callable, default="adamw"
        An optimiser of `torch.optim` by its name, in any case, but for LBFGS, which calls the loss
        several times a step; or ``optimizer(params, lr=...)`` that returns an optimiser whose state
        is tensors. What it takes beside is handed on, as ``optimizer__weight_decay=0.1``.
    lr : float, default=1e-3
        Learning rate, before `scheduler`. Groups of `param_groups` that have rates of their own
        keep the ratio to it.
    batch_size : int, default=32
        Samples per step over all partitions together, which makes a step what it would be in one
        process. More than there are is all of them, with a warning. Each partition takes its share,
        in proportion to its samples, but at least `rows_least`. Where that makes a step larger than
        asked for, by the factor r, `lr` is multiplied by r for "sgd" [1]_ and by its square root
        for others [2]_.
    max_epochs : int, default=1
        Times that each partition goes through its samples, at most.
    max_steps : int or None, default=None
        Steps at most, in mid-epoch if need be; None for no such limit.
    sync_every : int, "epoch" or "auto", default="auto"
        Local steps between two averages; "epoch" for all of an epoch, "auto" for a quarter of an
        epoch, in a fit of less than ten epochs for a fortieth of all its steps, but 16 at least:
        more averages gain little, and each has to travel. Where steps compute much, as those of
        language models, "auto" is as many as take ten times the time of a round on a usual
        machine, by the number of products with weights, but 4 at least. The average that ends an
        epoch comes earlier where steps run out.
    outer : {"auto", "nesterov", "average"}, default="auto"
        What is done with the average of parameters: it replaces them, or its difference from them
        is taken for a gradient, with a rate of 0.7 and Nesterov's momentum of 0.8, which make up
        for the shorter steps of averages [3]_ [4]_. "auto" takes as much of that rule as lets a
        change count √K times in the end, of K partitions, and so a learning rate of one process
        suits any number of them; less of it for rounds of fewer than 16 steps.
    optimizer_state : {"average", "local", "reset"}, default="average"
        What becomes of the optimiser's moments, such as Adam's two numbers per parameter, between
        rounds. "average" averages them as parameters are, which moves most and is nearest to one
        process. "local" keeps those of each partition on its Worker, and averages them only in each
        64th round and the last. "reset" begins each round without any. A `compression` keeps those
        of "average" on Workers, too.
    compression : None, "fp16" or "topk:SHARE", default=None
        How the change of the parameters travels, both ways: as it is, in half precision, or as the
        given share of its entries, those of largest magnitude. What a message loses is added to the
        next one [5]_. After 64 such rounds, and at the end, one round sends everything. Buffers
        always travel whole.
    device : str, default="auto"
        "auto" takes a Worker's GPU where it has one, and else its CPU; it refuses to let several
        threads share a GPU, which "cuda" allows. "cpu" and "cuda:1" are as in PyTorch.
    amp : {None, "bfloat16", "float16"}, default=None
        Dtype that `torch.autocast` computes in where that is safe; parameters stay as they are.
        Losses in "float16" are scaled, by a factor that all partitions share after each round.
    compile : bool, default=False
        Whether `torch.compile` makes a faster module of it, once for each copy of it on a Worker.
    clip_norm : float or None, default=None
        Largest norm of a step's gradient, over all parameters of one partition; longer ones are
        scaled to it.
    accumulate : int, default=1
        Parts that a partition's batch goes through the module in, one after the other, to need less
        memory. Their gradients are added by weight, so that the step is that of the whole batch,
        but for modules such as BatchNorm that look at a batch as one.
    scheduler : callable or None, default=None
        ``scheduler(step, total)`` returns what `lr` is multiplied by in a step, counted from 0 over
        all epochs, of as many as there will be at most. A function of these two alone needs no
        state: a repeated or a continued fit finds the same rates.
    trainable : str, sequence of str, callable or None, default=None
        Which parameters are trained: names with ``*`` for anything, as ``"head.*"``, or a function
        from a name to a bool. All others are frozen, sent once, and never back. None trains those
        that the module has with ``requires_grad=True``.
    param_groups : callable or None, default=None
        Takes the trainable parameters as a dict by name, and returns PyTorch's groups, as
        ``[{"params": [...], "weight_decay": 0.0}, ...]``, with each parameter once.
    augment : callable or None, default=None
        ``augment(sample, generator)`` returns a sample of the same shape for every batch: of X, as
        NumPy arrays without the leading axis. It draws from the `numpy.random.Generator` alone,
        which is made from `random_state`, the epoch, and the sample's place in the data. Rows held
        out are not augmented.
    rows_least : int or None, default=None
        Samples that a partition takes per step at least, where there are several partitions: the
        work of a step that does not depend on samples would outweigh that of fewer. None is 16, or
        1 where X is one array of shape (n_samples, length) of integers: a sample is a sequence
        then, which is work enough.
    shuffle : bool, default=True
        Whether each partition goes through its samples in a new order each epoch.
    validation_fraction : float, default=0.0
        Of each partition's samples, that are held out, and scored after each epoch. In stages they
        go forwards through these, in parts as large as a micro-batch.
    scores : callable or None, default=None
        ``scores(module, batch)`` returns sums with weights by name, as ``{"accuracy": (n_right,
        n_samples)}``, of samples held out; they are added over all partitions, divided, and stand
        in `history_`. The first must grow; of one whose name ends in "loss" the negative counts.
        None is the criterion, as "validation_loss". The method `score` is R² in any case.
    tol : float or None, default=None
        What counts as an improvement of the first score, or of the loss if no samples are held out.
        Training stops after more than `n_iter_no_change` epochs in a row without one, and with
        samples held out the weights of the best score are kept. None stops at `max_epochs` only,
        and keeps the last weights.
    n_iter_no_change : int or np.inf, default=10
        Epochs, for `tol`.
    random_state : int, RandomState instance or None, default=None
        Of which one number is drawn: it seeds the weights, if `module` is called, the orders, what
        modules such as Dropout draw, `augment`, and which samples are held out.
    warm_start : bool, default=False
        Start from the weights of the last `fit`, which must have the same names and shapes.
    callbacks : sequence of callables, optional
        Each is called with a `daskml_exec.training.RoundEvent` after every round. One that returns
        True stops the fit. A method `on_begin` of one is called with a `BeginEvent` first, a method
        `on_end` with an `EndEvent` last, also where `fit` raises.
    verbose : bool, default=False
        Whether to print what is trained before the first round, and a line for each round, with the
        epoch, of how many, and the time left at most.
    parallel : {"auto", "data", "pipeline", "hybrid"}, default="data"
        "data" trains a copy of the module on each partition, and averages. "pipeline" cuts the
        module into `stages`, each of which stays on one Worker with its weights and what the
        optimiser remembers of them: activations go from Worker to Worker, gradients back, and a
        module need not fit in one Worker's memory. A step takes `batch_size` samples of one
        partition. What is said of averages above and below is not for it, and arguments of either
        alone are refused with the other. "hybrid" trains `n_replicas` of a pipeline, each on
        partitions of its own, which share `batch_size`; every `sync_every` steps, and at the end of
        each epoch, they become their average by the weight of the samples since the last one. Its
        `outer` is "average", and "local" of `optimizer_state` averages moments at the end of each
        epoch. "auto" takes a step with copies in this process, looks at the Workers, and chooses of
        the three the one that is predicted to go through the samples soonest, among those that fit
        in a Worker's memory; arguments that are of some of them alone hold for these, and rule out
        those that they are refused with. Its bits are those of the way chosen, which `parallel_`
        tells, and which may be another one on another cluster; `partial_fit` and `warm_start` go on
        in the same way. `explain` says what was compared.
    stages : int, sequence of str, callable or None, default=None
        How "pipeline" and "hybrid" cut the module. A number cuts an `nn.Sequential`, or a module
        that calls its children one after the other, between children, so that stages take about the
        same time on the first samples; names are of children that begin a stage, as ``["body.4",
        "head"]``. ``stages(module)`` returns modules that are the module together, where each gets
        what the one before returns: tensors, or tuples, lists and dicts of them. None is for
        "data", and for "auto", which finds a number.
    n_replicas : int or "auto", default="auto"
        Pipelines of "hybrid": 2 at least, and as many as there are partitions at most; "auto" is 2.
    micro_batches : int, default=4
        Parts of a batch that are in the pipeline's stages at the same time. Their gradients are
        added by weight, so that the step is that of the whole batch.
    pipeline_order : {"1f1b", "gpipe"}, default="1f1b"
        By "1f1b" stages go backwards through a part as soon as they can, and the stage s of S has
        the activations of S - s parts at most; by "gpipe" they go forwards through all parts first.
    recompute : bool, default=False
        Whether stages keep only what they were given, and go forwards once more before they go
        backwards: less memory, for about a third more time.
    output_blocks : int or None, default=None
        Blocks of rows that "pipeline" and "hybrid" cut the module's last part into, which is an
        `nn.Linear` then, or ends with one: a language model's, with an output per word. Each block
        is on a Worker with what the optimiser remembers of it, and computes its own logits, which
        are never in one place: the loss gets what stands for them, and may be any that calls
        `torch.nn.functional.cross_entropy` of it, once. The layer is the last of `stages`; None
        for these makes one stage of all before it. None keeps the layer in the last stage.
    **options : object
        What is handed on: ``module__width=64`` to the callable `module`, ``optimizer__betas=(0.9,
        0.95)`` to the optimiser, ``criterion__delta=0.5`` to the criterion.

    Attributes
    ----------
    n_outputs_ : int
        Targets.
    module_ : torch.nn.Module
        A copy of the module with the trained weights, on the CPU, in eval mode.
    state_dict_ : dict of str to tensor
        Its parameters and buffers by name.
    history_ : daskml_exec.training.History
        One record per round: loss, scores, seconds, bytes, workers, losses.
    loss_curve_ : list of float
        Mean loss of each epoch's steps, each taken before the step.
    parallel_ : {"data", "pipeline", "hybrid"}
        How the module was trained.
    n_epochs_ : int
        Epochs, one that `max_steps` cuts short among them.
    validation_scores_ : list of float or None
        The first score after each epoch; None unless samples are held out.
    n_features_in_ : int
        Only when X was one array or frame of rows with columns. A TorchEstimator takes sequences of
        integers for no columns: others may be longer or shorter.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X was a frame, with columns whose names are all strings.

    Notes
    -----
    After `sync_every` steps the partitions' models become one. Each tensor has a role:

    - Trainable parameters are averaged [6]_ [7]_:
      :math:`\theta = \sum_i w_i \theta_i / \sum_i w_i`, where
      :math:`w_i` is the sum of the weights of losses in partition i: its samples, or what
      `sample_weight` gives them. `outer` and `compression` act on them alone.
      Those that are tied stand there once.
    - Statistics, which are buffers of floating-point numbers, as BatchNorm's running mean, are
      averaged in the same way, in float64, and neither `outer` nor `compression` touches them.
    - Counters, which are buffers of integers, become the largest.
    - The optimiser's moments follow `optimizer_state`; what it counts, such as steps, becomes the
      largest.
    - All else is constant, and sent once: frozen parameters, buffers of booleans, and buffers that
      are not saved. What a module keeps elsewhere, as in `self.n += 1`, is not carried along.

    The average over one step of plain SGD is the step on the union of the batches, which
    ``optimizer="sgd", sync_every=1, outer="average"`` does. With one partition nothing is averaged
    and nothing travels: the fit is the usual loop.

    The same chunks and `random_state` give the same bits on any number of Workers of one kind,
    whichever of them die: orders follow from (seed, partition, epoch), what a step draws from
    (seed, partition, epoch, step), and augmentation from (seed, epoch, sample), never from what ran
    before; sums over partitions have one fixed order; steps run on one thread, take denormal
    numbers for zero, and choose deterministic algorithms on a GPU. Workers with other releases of
    PyTorch or other processors are warned of.

    In memory, X is one partition of up to 8 MiB; a Dask array says by its chunks how many there
    are. Modules, losses and other functions travel by value where they were defined in a notebook
    or a script.

    References
    ----------
    .. [1] Goyal et al. (2017), Accurate, large minibatch SGD: training ImageNet in 1 hour.
    .. [2] Malladi, Lyu, Panigrahi and Arora (2022), On the SDEs and scaling rules for adaptive
       gradient algorithms, NeurIPS.
    .. [3] Wang, Tantia, Ballas and Rabbat (2020), SlowMo: improving communication-efficient
       distributed SGD with slow momentum, ICLR.
    .. [4] Douillard et al. (2023), DiLoCo: distributed low-communication training of language
       models.
    .. [5] Tang, Lian, Yu, Zhang and Liu (2019), DoubleSqueeze: parallel stochastic gradient
       descent with double-pass error-compensated compression, ICML.
    .. [6] McMahan, Moore, Ramage, Hampson and Agüera y Arcas (2017), Communication-efficient
       learning of deep networks from decentralized data, AISTATS.
    .. [7] Stich (2019), Local SGD converges fast and communicates little, ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from daskml_exec.torch import TorchRegressor
    >>> def perceptron(n_features, n_outputs):
    ...     return nn.Sequential(nn.Linear(n_features, 16), nn.Tanh(), nn.Linear(16, n_outputs))
    >>> X = np.linspace(-3, 3, 400).reshape(-1, 1)
    >>> y = np.sin(X[:, 0])
    >>> model = TorchRegressor(perceptron, lr=0.03, max_epochs=30, random_state=0).fit(X, y)
    >>> model.predict(X).shape, model.score(X, y) > 0.9
    ((400,), True)
    """

    _prefixes: ClassVar[tuple[str, ...]] = ("module", "optimizer", "criterion")
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ModuleEstimator._parameter_constraints,
        "criterion": [callable],
    }

    n_outputs_: int
    _one_target: bool

    def __init__(
        self,
        module: Any,
        *,
        criterion: Any = nn.MSELoss,
        optimizer: Any = "adamw",
        lr: float = 1e-3,
        batch_size: int = 32,
        max_epochs: int = 1,
        max_steps: int | None = None,
        sync_every: int | Literal["auto", "epoch"] = "auto",
        outer: Literal["auto", "average", "nesterov"] = "auto",
        optimizer_state: Literal["average", "local", "reset"] = "average",
        compression: str | None = None,
        device: str = "auto",
        amp: Literal["bfloat16", "float16"] | None = None,
        compile: bool = False,
        clip_norm: float | None = None,
        accumulate: int = 1,
        scheduler: Callable[[int, int], float] | None = None,
        trainable: Trainable = None,
        param_groups: ParamGroups | None = None,
        augment: Callable[[Any, np.random.Generator], Any] | None = None,
        rows_least: int | None = None,
        shuffle: bool = True,
        validation_fraction: float = 0.0,
        scores: Callable[[nn.Module, Any], Mapping[str, tuple[Any, Any]]] | None = None,
        tol: float | None = None,
        n_iter_no_change: float = 10,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        callbacks: Sequence[Any] | None = None,
        verbose: bool | int = False,
        parallel: Literal["auto", "data", "pipeline", "hybrid"] = "data",
        stages: Any = None,
        n_replicas: int | Literal["auto"] = "auto",
        micro_batches: int = 4,
        pipeline_order: Literal["1f1b", "gpipe"] = "1f1b",
        recompute: bool = False,
        output_blocks: int | None = None,
        **options: Any,
    ) -> None:
        self.module = module
        self.criterion = criterion
        self.scores = scores
        self._set_common(locals())

    def _plain(self, X: Any, y: Any, *, reset: bool) -> Any:
        if is_plain(X) and is_plain(y):
            return checked_rows_and_target(self, X, y, reset=reset, numbers=True)
        require_y(type(self).__name__, X, y)
        return None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _purpose(self, data: Data, head: Partition, *, again: bool) -> Purpose:
        y = head.y
        if not isinstance(y, np.ndarray) or y.ndim > 2 or y.dtype.kind not in "fiub":
            raise ValueError(
                "y must be numbers, one or several per sample; a TorchEstimator trains on others"
            )
        options = options_of(self.get_params(deep=False), "criterion")
        weighted = head.sample_weight is not None
        n = 1 if y.ndim == 1 else y.shape[1]
        loss = criterion_loss(self.criterion, options, None, weighted=weighted)
        return Purpose(
            loss=loss,
            scores=self.scores,
            encode=as_reals,
            known={**self._known(head), "n_outputs": n},
            fitted={"n_outputs_": n, "_one_target": y.ndim == 1},
        )

    def predict(self, X: Any) -> Any:
        """Return the module's outputs.

        Parameters
        ----------
        X : as in `fit`
            Samples.

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
            As y was; for Dask collections and futures lazy, in their chunks.
        """
        check_is_fitted(self)
        return self.map_samples(Numbers(self._one_target), self._checked(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R², the share of the targets' spread that is explained; its mean over targets.

        Parameters
        ----------
        X : as in `fit`
            Samples; or a Data, which has y and weights.
        y : as in `fit`, optional
            Their numbers; None beside a Data.
        sample_weight : as in `fit`, optional
            Their weights; None means ones.

        Returns
        -------
        float
            At most 1.
        """
        check_is_fitted(self)
        require_y(type(self).__name__, X, y)
        outputs = self._outputs(Numbers(one=False))
        return explained(self._sums(Errors(outputs), self._checked(X), y, sample_weight))

    def _require_target(self, y: Any) -> None:
        numbers = isinstance(y, np.ndarray) and y.ndim in (1, 2) and y.dtype.kind in "fiub"
        if not numbers or (y.shape[1] if y.ndim == 2 else 1) != self.n_outputs_:
            n = self.n_outputs_
            allowed = "is one number" if n == 1 else f"are {n} numbers"
            raise ValueError(f"{target_in_words(y)}; allowed {allowed} per sample, as in fit")


def as_reals(y: Array, sample_weight: Array | None) -> tuple[Array, Array | None]:
    """Return targets as floating-point numbers, as criteria need them, and the weights."""
    return y if y.dtype.kind == "f" else y.astype(np.float64), sample_weight


@dataclass(frozen=True)
class Numbers:
    """The module's outputs as targets are: one number per sample where there is one target."""

    one: bool

    def __call__(self, module: nn.Module, X: Any) -> torch.Tensor:
        """Return numbers of shape (n,) or (n, n_outputs)."""
        outputs: torch.Tensor = call(module, X)
        return outputs.reshape(len(outputs)) if self.one else outputs.reshape(len(outputs), -1)


@dataclass(frozen=True)
class Errors(Query[tuple[Array, ...]]):
    """Sums for the share of the targets' spread that predictions explain, per target."""

    outputs: OutputsOf

    def partial(self, partition: Partition) -> tuple[Array, ...]:
        y = np.asarray(partition.y, dtype=np.float64)
        y = y.reshape(len(y), 1) if y.ndim == 1 else y
        z = np.zeros_like(y)
        if len(y):
            z = np.asarray(self.outputs(partition.X), dtype=np.float64).reshape(y.shape)
        weight = partition.sample_weight
        weight = np.ones(len(y)) if weight is None else weight
        return tuple(block_sums(Gaussian(), y[:, k], z[:, k], weight) for k in range(y.shape[1]))

    def combine(self, left: tuple[Array, ...], right: tuple[Array, ...]) -> tuple[Array, ...]:
        pairs = zip(left, right, strict=True)
        return tuple(combine_sums(Gaussian(), one, other) for one, other in pairs)


def explained(sums: Any) -> float:
    """Return R², the mean over targets."""
    return float(np.mean([explained_share(Gaussian(), each) for each in sums]))
