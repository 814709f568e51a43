"""Successive halving and Hyperband over estimators that are trained epoch by epoch."""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils._param_validation import Interval

from daskml_exec.model_selection._brackets import Bracket, halving, hyperband
from daskml_exec.model_selection._epoch_search import EpochSearch
from daskml_exec.model_selection._rungs import RungRecord


class SuccessiveHalvingSearchCV(EpochSearch):
    """Random search in which the best of each rung are trained on, by successive halving.

    All candidates are trained for a few epochs and scored on rows that are held out; the best of
    them, one in `factor`, for `factor` times as many, and so on [1]_.

    Parameters
    ----------
    estimator : estimator
        A network, a PyTorch module's estimator, or what has the methods of
        `daskml_exec.training.TrainsInEpochs`.
    param_distributions : dict of str to list or distribution
        What to draw of each parameter: lists of values, or objects with a method ``rvs``, as those
        of `scipy.stats`. Of lists alone, no two draws are the same.
    n_candidates : int or None, default=None
        To draw; None for as many as leave one for the last rung: ``factor`` to the power of the
        number of rungs beyond the first.
    min_epochs : int, default=1
        Of the first rung, at least: rungs have ``max_epochs // factor ** k``.
    max_epochs : int, default=27
        Of the last rung.
    factor : int, default=3
        Of epochs from rung to rung, and of candidates.
    scoring : str, callable or None, default=None
        A name of `daskml_exec.metrics.get_scorer`, of which larger is better, or
        ``scoring(model, X, y)``, which gets ``sample_weight=`` where there are weights; None for
        the estimator's `score`.
    validation : tuple of (X, y) or (X, y, sample_weight), Data or None, default=None
        Rows that score candidates; None holds some out.
    test_size : float, int or None, default=None
        The share, or the number, of rows that are held out where `validation` is None: 0.2 by
        default, of classifiers with the same shares of labels.
    random_state : int, RandomState instance or None, default=None
        For which rows are held out, what is drawn, and the `random_state` of candidates where that
        of the estimator is no number.
    refit : bool, default=True
        Whether the best model is kept, as it is at its last rung: trained on the rows that are not
        held out for `epochs` of `cv_results_`. Nothing is trained again; `best_estimator_` goes on
        by `partial_fit`.
    error_score : float or "raise", default=np.nan
        The score of candidates that fail, of which a warning tells; they do not go on, and the
        others have the same bits as without them. "raise" raises what the candidate raised, or, of
        classes that Python itself does not have, a RuntimeError with its name.
    verbose : int, default=0
        1 prints how candidates are trained, and the best ones of each rung when it is over; 2 a
        line for each candidate, too.
    callbacks : sequence of callables, optional
        Each is called with a `RungRecord` for each candidate in each rung: rungs of fewer epochs
        first, whichever is ready first. One that returns True ends the search with what was told
        by then.

    Attributes
    ----------
    cv_results_ : dict of str to array
        A row for each candidate: `params`, ``param_...``, `mean_test_score` and
        `split0_test_score`, which are the same, `rank_test_score`, `mean_fit_time` and
        `mean_score_time`, which are sums over rungs; `bracket`, the last `rung` that the candidate
        came to, and `epochs` so far. Scores of different rungs stand beside each other. There are
        no ``std_...``, as there is one part held out.
    best_index_ : int
        The row of the best score among the last ones of all candidates; the first of equal ones.
    best_params_ : dict
    best_score_ : float
    best_estimator_ : estimator
        With ``refit=True``.
    n_candidates_ : int
    history_ : tuple of RungRecord
        In the order of telling.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier, with ``refit=True``.
    n_features_in_ : int
        With ``refit=True``.

    Notes
    -----
    A rung is a state: promotion goes on from it, with the optimiser's moments. A candidate that
    came to 9 epochs through rungs of 1, 3 and 9 has the bits of nine calls of `partial_fit`.

    The rows are loaded once. Up to a size of 512 MiB (dask config
    ``daskml-exec.search-copied-bytes``) they are brought to each Worker, which trains one candidate
    at a time on all rows, as one partition; without a cluster, threads do. Larger rows stay in
    their partitions, and all Workers train each candidate, one after another. The size alone
    chooses, so that results do not depend on the number of Workers, nor on lost ones; `explain`
    says which it is.

    Equal candidates of a bracket are trained once. What would end training early, `max_iter`,
    `max_epochs` of modules, and `tol`, does not: the search says how many epochs there are.
    Networks with ``early_stopping=True`` and modules in stages are refused.

    References
    ----------
    .. [1] Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
       optimization, AISTATS.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_digits
    >>> from daskml_exec.model_selection import SuccessiveHalvingSearchCV
    >>> from daskml_exec.neural_network import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> search = SuccessiveHalvingSearchCV(
    ...     MLPClassifier(),
    ...     {"hidden_layer_sizes": [(16,), (32,)], "learning_rate_init": loguniform(1e-3, 1e-1)},
    ...     max_epochs=9,
    ...     random_state=0,
    ... ).fit(X / 16, y)
    >>> search.n_candidates_, search.best_score_ > 0.9
    (9, True)
    """

    n_candidates: int | None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **EpochSearch._parameter_constraints,
        "n_candidates": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_candidates: int | None = None,
        min_epochs: int = 1,
        max_epochs: int = 27,
        factor: int = 3,
        scoring: str | Callable[..., float] | None = None,
        validation: Any = None,
        test_size: float | int | None = None,
        random_state: int | np.random.RandomState | None = None,
        refit: bool = True,
        error_score: float | Literal["raise"] = np.nan,
        verbose: bool | int = 0,
        callbacks: Sequence[Callable[[RungRecord], Any]] | None = None,
    ) -> None:
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_candidates = n_candidates
        self.min_epochs = min_epochs
        self.max_epochs = max_epochs
        self.factor = factor
        self.scoring = scoring
        self.validation = validation
        self.test_size = test_size
        self.random_state = random_state
        self.refit = refit
        self.error_score = error_score
        self.verbose = verbose
        self.callbacks = callbacks

    def _brackets(self) -> list[Bracket]:
        return halving(self.n_candidates, self.min_epochs, self.max_epochs, self.factor)


class HyperbandSearchCV(EpochSearch):
    """Random search by Hyperband: brackets of successive halving, from eager to patient.

    With S rungs beyond the first at most, the bracket of s such rungs begins with
    ``ceil((S + 1) / (s + 1) * factor ** s)`` candidates, each trained for ``max_epochs // factor **
    s`` epochs, and goes on as `SuccessiveHalvingSearchCV` does; there is one of each s from S to 0.
    So candidates that learn slowly have a chance, and all brackets take about as many epochs [1]_.

    Parameters
    ----------
    estimator : estimator
        A network, a PyTorch module's estimator, or what has the methods of
        `daskml_exec.training.TrainsInEpochs`.
    param_distributions : dict of str to list or distribution
        What to draw of each parameter: lists of values, or objects with a method ``rvs``, as those
        of `scipy.stats`. Of lists alone, no two draws are the same.
    min_epochs : int, default=1
        Of any rung, at least.
    max_epochs : int, default=27
        Of the last rung of each bracket.
    factor : int, default=3
        Of epochs from rung to rung, and of candidates.
    scoring : str, callable or None, default=None
        A name of `daskml_exec.metrics.get_scorer`, of which larger is better, or
        ``scoring(model, X, y)``, which gets ``sample_weight=`` where there are weights; None for
        the estimator's `score`.
    validation : tuple of (X, y) or (X, y, sample_weight), Data or None, default=None
        Rows that score candidates; None holds some out.
    test_size : float, int or None, default=None
        The share, or the number, of rows that are held out where `validation` is None: 0.2 by
        default, of classifiers with the same shares of labels.
    random_state : int, RandomState instance or None, default=None
        For which rows are held out, what is drawn, and the `random_state` of candidates where that
        of the estimator is no number.
    refit : bool, default=True
        Whether the best model is kept, as it is at its last rung: trained on the rows that are not
        held out for `epochs` of `cv_results_`. Nothing is trained again; `best_estimator_` goes on
        by `partial_fit`.
    error_score : float or "raise", default=np.nan
        The score of candidates that fail, of which a warning tells; they do not go on, and the
        others have the same bits as without them. "raise" raises what the candidate raised, or, of
        classes that Python itself does not have, a RuntimeError with its name.
    verbose : int, default=0
        1 prints how candidates are trained, and the best ones of each rung when it is over; 2 a
        line for each candidate, too.
    callbacks : sequence of callables, optional
        Each is called with a `RungRecord` for each candidate in each rung: rungs of fewer epochs
        first, whichever is ready first. One that returns True ends the search with what was told
        by then.

    Attributes
    ----------
    cv_results_ : dict of str to array
        A row for each candidate: `params`, ``param_...``, `mean_test_score` and
        `split0_test_score`, which are the same, `rank_test_score`, `mean_fit_time` and
        `mean_score_time`, which are sums over rungs; `bracket`, the last `rung` that the candidate
        came to, and `epochs` so far. Scores of different rungs stand beside each other. There are
        no ``std_...``, as there is one part held out.
    best_index_ : int
        The row of the best score among the last ones of all candidates; the first of equal ones.
    best_params_ : dict
    best_score_ : float
    best_estimator_ : estimator
        With ``refit=True``.
    n_candidates_ : int
    history_ : tuple of RungRecord
        In the order of telling.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier, with ``refit=True``.
    n_features_in_ : int
        With ``refit=True``.

    Notes
    -----
    A rung is a state: promotion goes on from it, with the optimiser's moments. A candidate that
    came to 9 epochs through rungs of 1, 3 and 9 has the bits of nine calls of `partial_fit`.

    The rows are loaded once. Up to a size of 512 MiB (dask config
    ``daskml-exec.search-copied-bytes``) they are brought to each Worker, which trains one candidate
    at a time on all rows, as one partition; without a cluster, threads do. Larger rows stay in
    their partitions, and all Workers train each candidate, one after another. The size alone
    chooses, so that results do not depend on the number of Workers, nor on lost ones; `explain`
    says which it is.

    Equal candidates of a bracket are trained once. What would end training early, `max_iter`,
    `max_epochs` of modules, and `tol`, does not: the search says how many epochs there are.
    Networks with ``early_stopping=True`` and modules in stages are refused.

    References
    ----------
    .. [1] Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar (2018), Hyperband: a novel bandit-based
       approach to hyperparameter optimization, JMLR 18.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_digits
    >>> from daskml_exec.model_selection import HyperbandSearchCV
    >>> from daskml_exec.neural_network import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> search = HyperbandSearchCV(
    ...     MLPClassifier(),
    ...     {"hidden_layer_sizes": [(16,), (32,)], "learning_rate_init": loguniform(1e-3, 1e-1)},
    ...     max_epochs=9,
    ...     random_state=0,
    ... ).fit(X / 16, y)
    >>> search.n_candidates_, search.best_score_ > 0.9
    (17, True)
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        min_epochs: int = 1,
        max_epochs: int = 27,
        factor: int = 3,
        scoring: str | Callable[..., float] | None = None,
        validation: Any = None,
        test_size: float | int | None = None,
        random_state: int | np.random.RandomState | None = None,
        refit: bool = True,
        error_score: float | Literal["raise"] = np.nan,
        verbose: bool | int = 0,
        callbacks: Sequence[Callable[[RungRecord], Any]] | None = None,
    ) -> None:
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.min_epochs = min_epochs
        self.max_epochs = max_epochs
        self.factor = factor
        self.scoring = scoring
        self.validation = validation
        self.test_size = test_size
        self.random_state = random_state
        self.refit = refit
        self.error_score = error_score
        self.verbose = verbose
        self.callbacks = callbacks

    def _brackets(self) -> list[Bracket]:
        return hyperband(self.min_epochs, self.max_epochs, self.factor)
