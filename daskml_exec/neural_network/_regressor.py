"""A multi-layer perceptron for real numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.base import RegressorMixin
from sklearn.neural_network import MLPRegressor as SklearnMLPRegressor
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Executor
from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.metrics._of_models import d2
from daskml_exec.metrics._scorers import scoring_of
from daskml_exec.neural_network._mlp import MLP, Prepared
from daskml_exec.neural_network._predictions import NumbersOf
from daskml_exec.neural_network._problem import Numbers
from daskml_exec.neural_network._to_sklearn import copy_network, sklearn_arguments
from daskml_exec.partitions import Data
from daskml_exec.partitions import Numbers as OneNumber
from daskml_exec.training import FitWarning, all_or_nothing, telling, warn_of
from daskml_exec.training.folds import Searched


class MLPRegressor(RegressorMixin, MLP):
    r"""A multi-layer perceptron for real numbers, trained over partitions by averaged local steps.

    Every partition takes optimiser steps on its own rows, starting from the same parameters. After
    `sync_every` steps the parameters and the optimiser's moments are averaged by the weight of
    the rows that were gone through, :math:`\theta = \sum n_i \theta_i / \sum n_i`, and all go on
    from the average. The loss is scikit-learn's: half the squared error, with an L2 penalty. The
    same chunks and `random_state` give the same bits on any number of Workers. On one partition
    the fit is scikit-learn's own algorithm.

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
    callbacks : sequence of callables, optional
        Each is called with a `daskml_exec.training.RoundEvent` after every round. One that
        returns True stops the fit. A method `on_begin` of one is called with a `BeginEvent`
        first, a method `on_end` with an `EndEvent` last, also where `fit` raises. Listening
        changes nothing of what is computed where. scikit-learn's own, from its release 1.9 on,
        are set by `set_callbacks`.

    Attributes
    ----------
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
        R² on the rows held out, after each epoch; None without `early_stopping`.
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
    >>> from sklearn.datasets import make_regression
    >>> from daskml_exec import Executor
    >>> from daskml_exec.neural_network import MLPRegressor
    >>> X, y = make_regression(1000, 5, random_state=0)
    >>> X, y = da.from_array(X, chunks=(250, 5)), y / y.std()
    >>> with Executor(processes=False, n_workers=2):
    ...     model = MLPRegressor((32,), learning_rate_init=1e-2, random_state=0).fit(X, y)
    ...     r2 = model.score(X, y)
    >>> model.history_.n_partitions, round(r2, 1)
    (4, 1.0)
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "MLPRegressor":
        """Train on the rows of X.

        Parameters
        ----------
        X : array-like, sparse matrix, Dask collection or list of futures, shape (n, n_features)
            Rows of finite numbers; or a `daskml_exec.training.Data`, which has y and weights.
        y : the same kinds, shape (n,)
            Real numbers, one per row.
        sample_weight : the same kinds, shape (n,), optional
            Weights from 0, of which only the ratios count, and their sum beside `alpha`; None
            means ones.

        Returns
        -------
        MLPRegressor
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
            Rows are sorted over the partitions by their target; `batch_size` is more than all rows.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            warn_of(self._fit(X, y, sample_weight, incremental=False))
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "MLPRegressor":
        """Train for one epoch more, on these rows.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : as in `fit`
            Real numbers.
        sample_weight : as in `fit`, optional
            Weights of the rows; None means ones.

        Returns
        -------
        MLPRegressor
            This estimator.

        Raises
        ------
        ValueError
            X has another number of features than in the first call.
        """
        self._refuse_early_stopping()
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            warn_of(self._fit(X, y, sample_weight, incremental=True))
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> list[FitWarning]:
        with self._prepared(X, y, sample_weight, incremental=incremental) as prepared:
            return self._train(prepared, incremental=incremental)

    def _rows_for_epochs(
        self, X: Any, y: Any, sample_weight: Any, executor: Executor | None
    ) -> Data:
        target = OneNumber(several=False)
        return self._brought(
            executor, X, y, sample_weight, target, y_numeric=True, multi_output=False
        )

    def _one_epoch_more(self, data: Data) -> list[FitWarning]:
        self._refuse_early_stopping()
        with telling(self, data, None, None):
            return self._fit(data, None, None, incremental=True)

    @contextmanager
    def _prepared(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool = False
    ) -> Iterator[Prepared]:
        executor = self._check_arguments(X, y, sample_weight)
        again = self._goes_on(incremental)
        inputs = self._inputs(
            executor, X, y, sample_weight, y_numeric=True, multi_output=False, reset=not again
        )
        target = OneNumber(several=False)
        with self._loaded(executor, inputs, target, reset=not again) as data:
            yield Prepared(data.partitions, Numbers(), "identity", 1, _nothing_else, data.weighted)

    def predict(self, X: Any) -> Any:
        """Return the prediction for each row.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n,)
            A NumPy array for data in memory; lazily, a Dask array with the row chunks of X for a
            Dask array, a Dask series with the index of X for a Dask dataframe; a list of futures
            for a list of futures; a Dask array, begun with at once, for a `Data`.
        """
        check_is_fitted(self, "coefs_")
        return self._map(self._numbers(), X, None, self.coefs_[0].dtype, floating=True)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the coefficient of determination of the predictions, R².

        For a Dask collection, a list of futures or a `Data`, which has its own y and weights, the
        Workers sum, and only sums travel.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : as in `fit`, optional
            Real numbers; none beside a `Data`.
        sample_weight : as in `fit`, optional
            Weights of the rows; None means ones.

        Returns
        -------
        float
            At most 1; 0 for the mean of y.
        """
        return self._score(X, y, sample_weight)

    def to_sklearn(self) -> SklearnMLPRegressor:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.neural_network.MLPRegressor
            With copies of the fitted attributes.
        """
        check_is_fitted(self, "coefs_")
        return copy_network(self, SklearnMLPRegressor(**sklearn_arguments(self)))

    def _as_searched(self) -> Searched | None:
        if self.parallel != "data":
            return None
        return Searched(OneNumber(several=False), scoring_of("r2"), copied=True)

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        return RegressorMixin.score(self, X, y, sample_weight)

    def _score_on_cluster(self, executor: Executor, X: Any, y: Any, sample_weight: Any) -> float:
        labels = self._labels_of_columns()
        return d2(executor, self._numbers(), X, y, sample_weight, Gaussian(), labels)

    def _numbers(self) -> NumbersOf:
        return NumbersOf(self._outputs())


def _nothing_else(model: MLPRegressor) -> None:
    """Set nothing: numbers give no attribute."""
