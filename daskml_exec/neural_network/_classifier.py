"""A multi-layer perceptron for classes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Executor
from daskml_exec.metrics._of_models import accuracy
from daskml_exec.metrics._scorers import scoring_of
from daskml_exec.neural_network._arguments import (
    Activation,
    Auto,
    Codec,
    OuterRule,
    Parallel,
    Schedule,
    Solver,
)
from daskml_exec.neural_network._mlp import MLP, Prepared
from daskml_exec.neural_network._predictions import LabelsOf, ProbabilitiesOf
from daskml_exec.neural_network._problem import Classes
from daskml_exec.neural_network._to_sklearn import copy_network, sklearn_arguments
from daskml_exec.partitions import Data, Labels, require_stream_weight
from daskml_exec.training import Callback, FitWarning, all_or_nothing, telling, warn_of
from daskml_exec.training._classes_to_come import classes_to_come
from daskml_exec.training.folds import Searched

_NOT_SHARED = ("self", "class_weight")
"""What is in the frame of `MLPClassifier.__init__` and no argument of both networks."""


class MLPClassifier(ClassifierMixin, MLP):
    r"""A multi-layer perceptron for classes, trained over partitions by averaged local steps.

    Every partition takes optimiser steps on its own rows, starting from the same parameters. After
    `sync_every` steps the parameters and the optimiser's moments are averaged by the weight of
    the rows that were gone through, :math:`\theta = \sum n_i \theta_i / \sum n_i`, and all go on
    from the average. The loss is scikit-learn's: the cross-entropy of the softmax, or of the
    logistic function for two classes, with an L2 penalty. The same chunks and `random_state` give
    the same bits on any number of Workers. On one partition the fit is scikit-learn's own
    algorithm.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Of the hidden units.
    solver : {"adam", "sgd"}, default="adam"
        The optimiser of the local steps.
    alpha : float, default=1e-4
        Strength of the penalty: a step over rows of weight s adds ``alpha / (2 s)`` times the sum
        of the squared weights to the mean loss, as in scikit-learn.
    batch_size : int or "auto", default="auto"
        Rows per step over all partitions together; "auto" is ``min(200, n)``. More than there are
        rows is all of them, with a warning. Each partition takes its share, in proportion to its
        rows, but at least 16. Where that makes a step larger than asked for, by the factor r, the
        learning rate is multiplied by r for "sgd" [1]_ and by its square root for "adam" [2]_.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For "sgd": "invscaling" divides the rate by the square root of the rows gone through,
        "adaptive" divides it by five where training would stop otherwise.
    learning_rate_init : float, default=1e-3
        Of a step; for "sgd" the first one.
    max_iter : int, default=200
        Epochs at most.
    shuffle : bool or "partitions", default=True
        Whether each partition goes through its rows in a new order each epoch. "partitions" also
        deals the rows anew over the partitions before the first epoch, once: it moves all rows,
        and helps where they are sorted.
    random_state : int, RandomState instance or None, default=None
        Of which one number is drawn: it seeds the weights, the orders, and which rows are held out.
    tol : float, default=1e-4
        What counts as an improvement of the loss, or of the score with `early_stopping`.
    verbose : bool, default=False
        Whether to print what is trained before the first round, and a line for each round, with
        the epoch, of how many, and the time left at most; where a round takes long, signs of life.
    warm_start : bool, default=False
        Start from the weights of the last `fit`, which must have the same shapes.
    momentum : float, default=0.9
        For "sgd".
    nesterovs_momentum : bool, default=True
        For "sgd".
    early_stopping : bool, default=False
        Hold some rows of every partition out, stop when their score does not improve any more, and
        keep the parameters of the best score.
    validation_fraction : float, default=0.1
        Of the rows, that are held out.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        For "adam".
    n_iter_no_change : int or np.inf, default=10
        Training stops after more than so many epochs in a row without an improvement.
    sync_every : int, "epoch" or "auto", default="auto"
        Local steps between two averages; "epoch" for all of an epoch, "auto" for a quarter of an
        epoch, in a fit of less than ten epochs for a fortieth of all its steps, but 16 at least.
        The average that ends an epoch comes earlier where steps run out.
    compression : None, "fp16" or "topk:SHARE", default=None
        How the change of the model travels, both ways: as it is, in half precision, or as the
        given share of its entries, those of largest magnitude. What a message loses is added to
        the next one [3]_. Optimiser moments then do not travel: each partition has its own. After
        64 such rounds, and at the end, one round sends everything. With one partition it
        has no effect.
    outer : {"auto", "nesterov", "average"}, default="auto"
        What is done with the average: it replaces the parameters, or its difference from them is
        taken for a gradient, with a rate of 0.7 and Nesterov's momentum of 0.8, which make up for
        the shorter steps of averages [4]_ [5]_. "auto" takes as much of that rule as lets a change
        count √K times in the end, of K partitions, and so a learning rate of one process suits any
        number of them; less of it for rounds of fewer than 16 steps. With one partition there is
        nothing to average.
    parallel : {"data", "model", "hybrid", "auto"}, default="data"
        How training is shared among Workers. "data": each partition trains the whole network, as
        described above. "model": the weights are cut into blocks that stay on Workers, which go
        through every batch together: one process's steps, without averages. "hybrid": replicas
        of such blocks, each on its own partitions, that are averaged. "auto": what is predicted to
        take the least time an epoch among those that fit in the Workers' memory and support the
        other arguments. The cluster is measured for that, once for each set of Workers, unless
        the model is small, which chooses "data". The choice, and with it the bits, may depend on
        the cluster: `explain` says what was chosen, and why. `partial_fit` needs "data" or "auto".
    n_blocks : int or "auto", default="auto"
        Blocks of the network, or of each replica, from 1 to the units of the narrowest hidden
        layer; "auto" depends on the network's shape alone. Not for "data".
    n_replicas : int or "auto", default="auto"
        Replicas for "hybrid", at least 2 and no more than partitions; "auto" is 2.
    class_weight : dict, "balanced" or None, default=None
        Factors on the weights of the rows of each class, by label; 1 where a dict has none.
        "balanced" makes the classes weigh the same: ``sum(s) / (n_classes * sum(s[y == k]))``. A
        class of factor zero is no class. The fit, early stopping's scores among it, is that with
        these weights in `sample_weight`; `score` knows nothing of them. scikit-learn's network has
        no such argument. `partial_fit` takes positive factors in a dict: rows to come cannot be
        balanced.
    callbacks : sequence of callables, optional
        Each is called with a `daskml_exec.training.RoundEvent` after every round. One that
        returns True stops the fit. A method `on_begin` of one is called with a `BeginEvent`
        first, a method `on_end` with an `EndEvent` last, also where `fit` raises. Listening
        changes nothing of what is computed where. scikit-learn's own, from its release 1.9 on,
        are set by `set_callbacks`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted labels, in their own dtype.
    coefs_ : list of ndarray of shape (units, next units)
        In X's dtype.
    intercepts_ : list of ndarray of shape (next units,)
    loss_curve_ : list of float
        Mean loss of each epoch's steps, with the penalty.
    loss_ : float
        The last of them.
    best_loss_ : float or None
        The least of them; None with `early_stopping`.
    validation_scores_ : list of float or None
        Accuracy on the rows held out, after each epoch; None without `early_stopping`.
    best_validation_score_ : float or None
    n_iter_ : int
        Epochs.
    t_ : int
        Rows gone through.
    n_layers_, n_outputs_ : int
    out_activation_ : str
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X had columns with names that are all strings.
    history_ : daskml_exec.training.History
        One record per round: loss, seconds, bytes, workers, losses.

    Notes
    -----
    X may be what the linear models take: NumPy, SciPy sparse, pandas, Dask collections (of CSR or
    CuPy chunks, too), or a list of futures. y has one column. In-memory data is cut by its size
    alone (dask config ``daskml-exec.partition-bytes``): pass a Dask array with the chunks that
    are to be trained in parallel. Columns should be scaled, as for any network.

    A partition that has gone through its rows contributes nothing until the epoch ends. Rows of
    weight zero are left out; they count only in how a step's rows are shared.

    With the extra ``numba`` Adam takes its step in one pass over memory.

    References
    ----------
    .. [1] Goyal et al. (2017), Accurate, large minibatch SGD: training ImageNet in 1 hour.
    .. [2] Malladi, Lyu, Panigrahi and Arora (2022), On the SDEs and scaling rules for adaptive
       gradient algorithms, NeurIPS.
    .. [3] Tang, Lian, Yu, Zhang and Liu (2019), DoubleSqueeze: parallel stochastic gradient
       descent with double-pass error-compensated compression, ICML.
    .. [4] Wang, Tantia, Ballas and Rabbat (2020), SlowMo: improving communication-efficient
       distributed SGD with slow momentum, ICLR.
    .. [5] Douillard et al. (2023), DiLoCo: distributed low-communication training of language
       models.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.datasets import load_digits
    >>> from daskml_exec import Executor
    >>> from daskml_exec.neural_network import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = da.from_array(X / 16, chunks=(450, 64))
    >>> with Executor(processes=False, n_workers=2):
    ...     model = MLPClassifier((32,), learning_rate_init=1e-2, random_state=0).fit(X, y)
    ...     accuracy = model.score(X, y)
    >>> model.history_.n_partitions, round(accuracy, 1)
    (4, 1.0)
    """

    classes_: NDArray[Any]

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MLP._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

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
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        own = {name: value for name, value in locals().items() if name not in _NOT_SHARED}
        MLP.__init__(self, **own)
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "MLPClassifier":
        """Train on the rows of X.

        Parameters
        ----------
        X : array-like, sparse matrix, Dask collection or list of futures, shape (n, n_features)
            Rows of finite numbers; or a `daskml_exec.training.Data`, which has y and weights.
        y : the same kinds, shape (n,)
            Labels: at least two different ones.
        sample_weight : the same kinds, shape (n,), optional
            Weights from 0, of which only the ratios count, and their sum beside `alpha`; None
            means ones.

        Returns
        -------
        MLPClassifier
            This estimator, fitted.

        Raises
        ------
        ValueError
            An argument is not as described; the message names it, what came and what is allowed.
        daskml_exec.neural_network.DivergenceError
            The loss or the parameters became infinite.
        daskml_exec.executor.LostSchedulerError
            The cluster's scheduler is gone; the error's `model` is where the fit had come to.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            `max_iter` was reached while the loss, or the score, still improved.
        UserWarning
            Rows are sorted over the partitions by their label; `batch_size` is more than all rows.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            warn_of(self._fit(X, y, sample_weight, incremental=False))
        return self

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None
    ) -> "MLPClassifier":
        """Train for one epoch more, on these rows.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : as in `fit`
            Their labels, which may lack some of the classes.
        classes : array-like of shape (n_classes,), optional
            All labels that there will be; needed in the first call.
        sample_weight : as in `fit`, optional
            Weights of the rows; None means ones.

        Returns
        -------
        MLPClassifier
            This estimator.

        Raises
        ------
        ValueError
            X has another number of features than in the first call, y has a label that is not
            among the classes, `classes` differ from those of the first call, or `class_weight` is
            "balanced" or has a factor that is not positive.
        """
        self._refuse_early_stopping()
        require_stream_weight(self.class_weight)
        known = getattr(self, "classes_", None) if hasattr(self, "coefs_") else None
        known = classes_to_come(known, classes)
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            warn_of(self._fit(X, y, sample_weight, classes=known, incremental=True))
        return self

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, classes: Any = None, incremental: bool
    ) -> list[FitWarning]:
        with self._prepared(
            X, y, sample_weight, classes=classes, incremental=incremental
        ) as prepared:
            return self._train(prepared, incremental=incremental)

    def _rows_for_epochs(
        self, X: Any, y: Any, sample_weight: Any, executor: Executor | None
    ) -> Data:
        return self._brought(executor, X, y, sample_weight, Labels(class_weight=self.class_weight))

    def _one_epoch_more(self, data: Data) -> list[FitWarning]:
        self._refuse_early_stopping()
        with telling(self, data, None, None):
            return self._fit(data, None, None, classes=data.classes, incremental=True)

    @contextmanager
    def _prepared(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        classes: Any = None,
        incremental: bool = False,
    ) -> Iterator[Prepared]:
        executor = self._check_arguments(X, y, sample_weight)
        again = self._goes_on(incremental)
        inputs = self._inputs(executor, X, y, sample_weight, reset=not again)
        target = Labels(class_weight=self.class_weight, known=classes)
        with self._loaded(executor, inputs, target, reset=not again) as data:
            found: Any = data.classes
            if again and not np.array_equal(found, self.classes_):
                raise ValueError(
                    f"warm_start=True, but the last fit had the classes {self.classes_.tolist()}; "
                    f"this data has {found.tolist()}"
                )
            n = len(found)
            yield Prepared(
                data.partitions,
                Classes(n),
                "logistic" if n == 2 else "softmax",
                1 if n == 2 else n,
                partial(_set_classes, classes=found),
                data.weighted,
            )

    def predict(self, X: Any) -> Any:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n,)
            Of the kind that `predict_proba` describes.
        """
        check_is_fitted(self, "coefs_")
        return self._map(self._labels(), X, None, self.classes_.dtype, floating=False)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n, n_classes)
            A NumPy array for data in memory; lazily, a Dask array with the row chunks of X for a
            Dask array, a Dask dataframe with the index of X for a Dask dataframe; a list of
            futures for a list of futures; a Dask array, begun with at once, for a `Data`.
        """
        return self._probabilities(X, log=False)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n, n_classes)
            Of the kind that `predict_proba` describes.
        """
        return self._probabilities(X, log=True)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of rows, by weight, whose label is predicted.

        For a Dask collection, a list of futures or a `Data`, which has its own y and weights, the
        Workers count, and only counts travel.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : as in `fit`, optional
            Labels; none beside a `Data`.
        sample_weight : as in `fit`, optional
            Weights of the rows; None means ones.

        Returns
        -------
        float
            From 0 to 1.
        """
        return self._score(X, y, sample_weight)

    def to_sklearn(self) -> SklearnMLPClassifier:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.neural_network.MLPClassifier
            With copies of the fitted attributes.
        """
        check_is_fitted(self, "coefs_")
        model = SklearnMLPClassifier(**sklearn_arguments(self))
        model._label_binarizer = LabelBinarizer().fit(self.classes_)
        return copy_network(self, model, "classes_")

    def _probabilities(self, X: Any, *, log: bool) -> Any:
        check_is_fitted(self, "coefs_")
        function = ProbabilitiesOf(self._outputs(), log)
        return self._map(function, X, self.classes_, self.coefs_[0].dtype, floating=True)

    def _as_searched(self) -> Searched | None:
        if self.parallel != "data":
            return None
        return Searched(
            "labels", scoring_of("accuracy"), copied=True, class_weight=self.class_weight
        )

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        return ClassifierMixin.score(self, X, y, sample_weight)

    def _score_on_cluster(self, executor: Executor, X: Any, y: Any, sample_weight: Any) -> float:
        return accuracy(executor, self._labels(), X, y, sample_weight, self._labels_of_columns())

    def _labels(self) -> LabelsOf:
        return LabelsOf(self._outputs(), self.classes_)


def _set_classes(model: MLPClassifier, *, classes: Any) -> None:
    model.classes_ = classes
