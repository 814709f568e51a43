"""Searches over all candidates of a grid, and over candidates that are drawn."""

from typing import Any

import numpy as np
from sklearn import model_selection as theirs

from daskml_exec.model_selection._grid import candidates_of, drawn_candidates
from daskml_exec.model_selection._search import Search


class GridSearchCV(Search):
    """Exhaustive search over parameters, by scores on held-out rows.

    As `sklearn.model_selection.GridSearchCV`, with the same scores on the same folds. Rows of
    linear models and networks are loaded once. Where all rows but those of a fold are trained on,
    the others weigh nothing: X is not copied. Candidates that can share passes over the rows do,
    where the estimator offers it; `explain` says which.

    Parameters
    ----------
    estimator : estimator
        One of this package, a `sklearn.pipeline.Pipeline` that ends in one, or any other that can
        be fitted to what X is.
    param_grid : dict of str to sequence, or list of such
        Values by names of parameters.
    scoring : str, callable, list, dict or None, default=None
        A name of `daskml_exec.metrics.get_scorer`, or several; or a function of an estimator, X
        and y that returns a number, or a dict of them. None for the estimator's `score`.
    cv : int, splitter, iterable of pairs, or None, default=None
        As scikit-learn's: None means five folds, stratified ones for classifiers. Splitters that
        are not ours have their rows numbered on the driver.
    refit : bool, str or callable, default=True
        Whether the best candidate is fitted to all rows. With several scorings the name of the
        one that chooses, or False. "1se" takes, of candidates in the order from the simplest on,
        the first whose mean score is within one standard error of the best: give values of C from
        the smallest on. A callable returns the best index of `cv_results_`.
    error_score : "raise" or float, default=np.nan
        The score of a candidate in a split in which it fails, which is warned of.
    verbose : int, default=0
        If positive, print a line for each split or batch.
    return_train_score : bool, default=False
        Whether to score the rows that were trained on, too. Candidates share no passes then.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        With scikit-learn's keys, and "batch": candidates that have shared passes have the same
        number. Their time is the batch's, divided.
    best_estimator_ : estimator
        Fitted to all rows, unless ``refit=False``.
    best_params_ : dict
    best_score_ : float
        Its mean score on held-out rows.
    best_index_ : int
    n_splits_ : int
    scorer_ : callable or dict of callables
    refit_time_ : float
        In seconds.
    multimetric_ : bool
    history_ : daskml_exec.training.History
        Of the best estimator.

    Notes
    -----
    Weights that `fit` is given, and those of a `Data`, count in scores, too, as in scikit-learn
    from its release 1.9 on. Scores of `cross_val_score` are unweighted, as scikit-learn's are.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> from daskml_exec.model_selection import GridSearchCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> search = GridSearchCV(LogisticRegression(), {"C": [0.001, 0.1]}, cv=3).fit(X, y)
    >>> search.best_params_, round(search.best_score_, 3)
    ({'C': 0.1}, 0.947)
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        cv: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        verbose: int = 0,
        return_train_score: bool = False,
    ) -> None:
        self.estimator, self.param_grid = estimator, param_grid
        self.scoring, self.cv, self.refit = scoring, cv, refit
        self.error_score, self.verbose = error_score, verbose
        self.return_train_score = return_train_score

    def _candidates(self) -> list[dict[str, Any]]:
        return candidates_of(self.param_grid)

    def _sklearn(self, estimator: Any) -> Any:
        return theirs.GridSearchCV(estimator, self.param_grid, **self._shared_arguments())


class RandomizedSearchCV(Search):
    """Search over parameters that are drawn, by scores on held-out rows.

    As `sklearn.model_selection.RandomizedSearchCV`, with the same candidates for the same seed; for
    all else see `GridSearchCV`.

    Parameters
    ----------
    estimator : estimator
        As of `GridSearchCV`.
    param_distributions : dict of str to sequence or distribution, or list of such
        Distributions have a method ``rvs``, as those of `scipy.stats`. Without any, candidates are
        drawn without repetition.
    n_iter : int, default=10
        Candidates that are drawn.
    scoring, cv, refit, error_score, verbose, return_train_score : as of `GridSearchCV`
        But for ``refit="1se"``: the order in which candidates are drawn says nothing.
    random_state : int, RandomState or None, default=None
        The seed.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
    best_estimator_ : estimator
    best_params_ : dict
    best_score_ : float
    best_index_ : int
    n_splits_ : int
    scorer_ : callable or dict of callables
    refit_time_ : float
    multimetric_ : bool
    history_ : daskml_exec.training.History
        All as of `GridSearchCV`.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_breast_cancer
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> from daskml_exec.model_selection import RandomizedSearchCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> drawn = {"C": loguniform(1e-3, 1e1)}
    >>> search = RandomizedSearchCV(LogisticRegression(), drawn, n_iter=3, cv=3, random_state=0)
    >>> len(search.fit(X, y).cv_results_["params"])
    3
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        n_iter: int = 10,
        *,
        scoring: Any = None,
        cv: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        verbose: int = 0,
        return_train_score: bool = False,
        random_state: Any = None,
    ) -> None:
        self.estimator, self.param_distributions = estimator, param_distributions
        self.n_iter, self.random_state = n_iter, random_state
        self.scoring, self.cv, self.refit = scoring, cv, refit
        self.error_score, self.verbose = error_score, verbose
        self.return_train_score = return_train_score

    def _checked(self) -> Any:
        if self.refit == "1se":
            raise ValueError(
                "refit='1se' of candidates that are drawn, whose order says nothing of how simple "
                "they are; allowed are True, False, a callable, and GridSearchCV"
            )
        return super()._checked()

    def _candidates(self) -> list[dict[str, Any]]:
        return drawn_candidates(self.param_distributions, self.n_iter, self.random_state)

    def _sklearn(self, estimator: Any) -> Any:
        return theirs.RandomizedSearchCV(
            estimator,
            self.param_distributions,
            n_iter=self.n_iter,
            random_state=self.random_state,
            **self._shared_arguments(),
        )
