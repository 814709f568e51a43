"""Content-based recommendations: a small model for each user, on the features of items."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from daskml_exec.recommendation._content_model import ContentModel
from daskml_exec.recommendation._features import ItemFeatures, item_features_of
from daskml_exec.recommendation._loading import Cutting, Loaded, loaded_blocks
from daskml_exec.recommendation._user_models import (
    BlockModels,
    FitUsers,
    InParts,
    OnePass,
    Unasked,
    compile_models,
    costs_of_users,
    worth_compiling,
)
from daskml_exec.training import (
    Callback,
    Fitted,
    History,
    Reached,
    all_or_nothing,
    compile_ahead,
    telling,
    train,
    warn_of,
)


class ContentRecommender(ContentModel):
    r"""Recommend items by their features: one small linear model for each user.

    With :math:`x_i` the features of the items that a user has, and :math:`r_i` the ratings,
    "squared" minimises for each user, as scikit-learn's `Ridge` does,

    .. math:: \sum_i (r_i - w^\top x_i - b)^2 + \alpha \|w\|^2

    and "log" minimises, as its `LogisticRegression` does with ``C=1 / alpha``,

    .. math:: \sum_i \log(1 + \exp(-s_i (w^\top x_i + b))) + \frac{\alpha}{2} \|w\|^2

    where :math:`s_i = 1` for ratings above zero, and -1 for others, explicit zeros among them. The
    intercept b is not penalised. All users are fitted in one pass over blocks of users. An item
    that nobody has is scored as any other: from its features.

    Parameters
    ----------
    loss : {"squared", "log"}, default="squared"
        What ratings are: numbers to predict, or two classes.
    alpha : float, default=1.0
        Strength of the penalty, above 0.
    fit_intercept : bool, default=True
        Whether models have an intercept; without, it is zero.
    user, item : str, default="user", "item"
        Columns of ids in dataframes of interactions, and in the result of `recommend`.
    rating : str or None, default="rating"
        Column of ratings. With None each row counts as a 1, which leaves nothing to tell items
        apart by, unless features do so without an intercept.
    n_blocks : int, optional
        Blocks of users; by default twice as many as there are Workers, and 4 or more.
    verbose : int, default=0
        Whether to print what happens.
    callbacks : sequence of callables, optional
        Each is called with a `daskml_exec.training.RoundEvent` after the pass over the blocks, and
        its methods `on_begin` and `on_end`, if there are any, before and after the fit.

    Attributes
    ----------
    users_ : ndarray of shape (n_users,)
        Sorted ids.
    items_ : ndarray of shape (n_items,)
        Sorted ids of all items that have features.
    dual_coef_ : CSR array of shape (n_users, n_items)
        The coefficients of user `u` on the features are ``dual_coef_[[u]] @ item_features_``. It
        stores one number for each interaction: what it stores is what a user has seen.
    intercept_ : ndarray of shape (n_users,)
        With "log", infinity for a user all of whose ratings are of the positive class, and minus
        infinity if they are of the other: such a user's prediction is 1 or 0 for every item. NaN
        for a user without items, of a row of a matrix that stores nothing.
    item_features_ : ndarray or CSR array of shape (n_items, n_features)
        In the order of `items_`.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only of a dataframe whose columns are all strings.
    history_ : daskml_exec.training.History

    Notes
    -----
    The coefficients of a user lie in the span of the features of the user's items, so that a user
    with n items and d features is a system of n numbers, or of d if there are more items than
    features. Then, too, the model is kept as one number for each item: the negative derivative of
    the loss of the item, over alpha (over 2 alpha with "squared"). Of users with more items than
    features, or with items of the same features, coefficients have sixteen digits less about as
    many as alpha is smaller than the sum of the squares of the features.

    A Worker holds the features in double precision, the block of its users, and for one user at a
    time two matrices of min(n, d) x min(n, d) numbers, and two of n x d where n is above d. The
    driver holds the features, and 12 bytes for each interaction.

    Of a user and an item that come several times the last rating counts.

    With Numba, users are fitted one after another in compiled loops; without, or of fewer than
    100,000 interactions, which take less time than to compile, users with equally many items
    together.

    References
    ----------
    Saunders, Gammerman and Vovk (1998), Ridge Regression Learning Algorithm in Dual Variables;
    Pazzani and Billsus (2007), Content-Based Recommendation Systems.

    Examples
    --------
    >>> import pandas as pd
    >>> from daskml_exec.recommendation import ContentRecommender
    >>> films = pd.DataFrame(
    ...     {"war": [1.0, 0.9, 0.0, 0.1], "love": [0.0, 0.2, 1.0, 0.8]},
    ...     index=["Dunkirk", "1917", "Amélie", "Carol"],
    ... )
    >>> ratings = pd.DataFrame(
    ...     {
    ...         "user": ["ann", "ann", "bob", "bob"],
    ...         "item": ["Dunkirk", "Amélie", "1917", "Carol"],
    ...         "rating": [5.0, 1.0, 2.0, 4.0],
    ...     }
    ... )
    >>> model = ContentRecommender(alpha=0.1).fit(ratings, films)
    >>> model.recommend(["ann", "bob"], n=1).round(2)
      user    item  score
    0  ann    1917   4.27
    1  bob  Amélie   4.17
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "loss": [StrOptions({"squared", "log"})],
        "alpha": [Interval(Real, 0, np.inf, closed="neither")],
        "fit_intercept": ["boolean"],
        "user": [str],
        "item": [str],
        "rating": [str, None],
        "n_blocks": [Interval(Integral, 1, None, closed="left"), None],
        "verbose": ["verbose"],
        "callbacks": [list, tuple, None],
    }
    history_: History

    def __init__(
        self,
        loss: str = "squared",
        *,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        user: str = "user",
        item: str = "item",
        rating: str | None = "rating",
        n_blocks: int | None = None,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.user = user
        self.item = item
        self.rating = rating
        self.n_blocks = n_blocks
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(self, interactions: Any, item_features: Any) -> Self:
        """Fit the models of all users.

        Parameters
        ----------
        interactions : dataframe, tuple of arrays, sparse matrix or Dask collection
            Rows of a user, an item and a rating, as a pandas, Polars or Dask dataframe or a tuple
            of three arrays; or users x items as a SciPy sparse matrix or a Dask array of CSR
            chunks, of which what is stored counts, zeros too.
        item_features : dataframe, ndarray or sparse matrix of shape (n_items, n_features)
            Of a pandas dataframe the index has ids of items: all of the interactions, and perhaps
            more; columns of pandas' sparse types make a sparse matrix. Rows of an array or a sparse
            matrix follow the sorted ids of the items in the interactions; where these are a matrix,
            its columns.

        Returns
        -------
        self
            This estimator, fitted.

        Raises
        ------
        TypeError
            Interactions or features are of another kind, ids are dates, or features no numbers.
        ValueError
            A parameter is not allowed; values are missing or not finite; an item has no features,
            or there is another number of rows.
        """
        with all_or_nothing(self), telling(self, interactions, None, None):
            self._validate_params()
            self._callbacks()
            self._say("looking at the interactions, and bringing them to the Workers")
            cutting = Cutting(costs_of_users, self.n_blocks)
            with loaded_blocks(interactions, self._encoding(), cutting) as loaded:
                features = item_features_of(item_features, loaded.items, "items in interactions")
                query = self._query(loaded, features)
                self._learn(features)
                fitted = self._trained(loaded, query)
            models: BlockModels = fitted.state.joined()
            self._take_over(loaded, models)
            self.history_ = fitted.history
            warn_of(models.warnings())
        return self

    def _learn(self, features: ItemFeatures) -> None:
        self.items_, self.item_features_ = features.ids, features.matrix
        self.n_features_in_ = features.matrix.shape[1]
        if features.names is not None:
            self.feature_names_in_ = features.names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _query(self, loaded: Loaded, features: ItemFeatures) -> FitUsers:
        rows = features.of(loaded.items)
        loops = worth_compiling(loaded.n_entries)
        return FitUsers(rows, self._loss(), float(self.alpha), self.fit_intercept, loops)

    def _trained(self, loaded: Loaded, query: FitUsers) -> Fitted[Any]:
        n = len(loaded.partitions.rows)
        plan = (
            f"{len(loaded.users):,} users x {len(loaded.items):,} items, "
            f"{loaded.n_entries:,} interactions in {n:,} block{'s' * (n != 1)}"
        )
        self._say(plan)
        if query.loops:
            compile_ahead(loaded.partitions, compile_models, "models of users", say=self._say)
        return train(
            OnePass(query),
            Unasked(),
            loaded.partitions,
            callbacks=self._listeners(plan, Reached("iteration", 0, 1)),
            view=partial(self._view, replace(loaded, partitions=None)),
            reached=lambda state: Reached("iteration", isinstance(state, InParts), 1),
            name=f"{type(self).__name__}-fit",
        )

    def _view(self, loaded: Loaded, state: InParts) -> Callable[[Any], Any]:
        """Return what makes the estimator of an event, after the one round."""

        def made(units: Any) -> Any:
            model = self._copy_fitted(self._like_this(), "items_", "item_features_")
            model._take_over(loaded, state.joined())
            return model

        return made

    def _take_over(self, loaded: Loaded, models: BlockModels) -> None:
        self.users_, self.intercept_ = loaded.users, models.intercepts
        self.dual_coef_ = self._coefficients(loaded, models)

    def _coefficients(self, loaded: Loaded, models: BlockModels) -> Any:
        """Return dual coefficients with a column for each item that has features."""
        places = self._catalogue().places(loaded.items)
        return models.coefficients(places[models.items], len(self.items_))
