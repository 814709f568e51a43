"""What models of users on features serve: lists, predictions, and models of new users."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import single_threaded_blas
from daskml_exec.kernels.user_models.features import ready_features
from daskml_exec.kernels.user_models.models import Loss, user_models
from daskml_exec.recommendation._content_lists import AskedModels, ContentLists
from daskml_exec.recommendation._content_pairs import ContentPairs
from daskml_exec.recommendation._encoding import Encoding
from daskml_exec.recommendation._features import ItemFeatures, item_features_of
from daskml_exec.recommendation._given_rows import GivenRows, given_rows
from daskml_exec.recommendation._ids import ids_in, index_of
from daskml_exec.recommendation._lists import known_codes, require_n
from daskml_exec.recommendation._pairs import predicted
from daskml_exec.recommendation._scores import accuracy, negative_rmse
from daskml_exec.recommendation._seen import Seen
from daskml_exec.recommendation._triples import Columns
from daskml_exec.recommendation._user_models import worth_compiling
from daskml_exec.training import ListeningEstimator, warn_of


class ContentModel(ListeningEstimator):
    """Base of the recommender whose users have models on the features of items."""

    users_: NDArray[Any]
    items_: NDArray[Any]
    dual_coef_: Any
    intercept_: NDArray[Any]
    item_features_: Any
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def recommend(
        self,
        users: Any = None,
        n: int = 10,
        *,
        interactions: Any = None,
        exclude_seen: bool = True,
        exclude: Any = None,
        candidates: Any = None,
        item_features: Any = None,
    ) -> Any:
        """Return the best items of users.

        Parameters
        ----------
        users : array-like of ids, optional
            By default all users, or those of `interactions` where they are given.
        n : int, default=10
            Items for each user, at most.
        interactions : as in `fit`, optional
            What users have seen, in place of what they had in the fit. Users that the model does
            not know get models of these; known ones keep their own.
        exclude_seen : bool, default=True
            Whether items that a user has interacted with are left out.
        exclude : array-like of ids, optional
            Items that are left out for all; ids that are not known change nothing.
        candidates : array-like of ids, optional
            The only items that may be recommended.
        item_features : dataframe, ndarray or sparse matrix of shape (n, n_features), optional
            Features of items to choose from, in place of those of the fit: new ones among them.
            Rows of what has no index follow `candidates`, or `items_` where there are none.

        Returns
        -------
        pandas.DataFrame, or for all users a Dask dataframe
            Columns are user, item and "score", by the names that the estimator has for the first
            two. Scores are what `predict` returns: a user's best item comes first, of equal scores
            that of the lower id. Users are in the order in which they are given; one of whose items
            few are left has few rows. For all users it is lazy, with a partition per range of
            users; one with nothing left has no row.

        Raises
        ------
        ValueError
            A user is not known, and in no `interactions`; a user that was asked for has seen all
            items; a candidate has no features, or features have other columns or rows.
        """
        check_is_fitted(self)
        require_n(n)
        choice = self._choice(item_features, candidates)
        if exclude is not None:
            choice = choice.without(ids_in("exclude", exclude))
        names = self.user, self.item
        lists = ContentLists(self._catalogue(), choice, n, self._logistic, names)
        if users is None and interactions is None:
            return lists.lazily(self._all(exclude_seen=exclude_seen))
        given = None if interactions is None else self._given(interactions)
        asked = self._asked(users, given, exclude_seen=exclude_seen)
        warn_of([] if given is None else given.warnings)
        found = lists.in_threads(asked)
        if users is not None:
            lists.require_some(asked, found[self.user])
        return found

    def predict(self, pairs: Any, *, item_features: Any = None) -> Any:
        """Return what the models of users predict for items.

        Parameters
        ----------
        pairs : dataframe, tuple of arrays (user, item), Dask dataframe or list of futures
            Other columns than those of users and items are not looked at.
        item_features : dataframe, ndarray or sparse matrix, optional
            Features of items in place of those of the fit, as in `recommend`.

        Returns
        -------
        ndarray of shape (n,)
            With "squared" ratings; with "log" the probability of the positive class. NaN where the
            user or the item is not known, with a warning that counts them. For a Dask dataframe
            lazily a Dask series with its index, and for a list of futures such a list, without a
            warning.
        """
        check_is_fitted(self)
        return predicted(self._pairs(self._choice(item_features, None)), pairs)

    def score(self, interactions: Any) -> float:
        """Return how well ratings are predicted: the larger, the better.

        Parameters
        ----------
        interactions : as in `fit`
            Rows with an unknown user or item are left out.

        Returns
        -------
        float
            With "squared" minus the root of the mean squared error; with "log" the share of rows
            whose class has a probability of one half or more.

        Raises
        ------
        ValueError
            No row has a user and an item that are known.
        """
        check_is_fitted(self)
        measure = accuracy if self._logistic else negative_rmse
        return measure(self._pairs(self._catalogue()), interactions, self._columns())

    @property
    def _logistic(self) -> bool:
        return self.loss == "log"

    def _columns(self) -> Columns:
        return Columns(self.user, self.item, self.rating)

    def _catalogue(self) -> ItemFeatures:
        return ItemFeatures(self.items_, self.item_features_, None)

    def _choice(self, item_features: Any, candidates: Any) -> ItemFeatures:
        """Return the items to choose from."""
        ids = None if candidates is None else ids_in("candidates", candidates)
        choice = self._catalogue()
        if item_features is not None:
            whose = "items of the model" if ids is None else "candidates"
            choice = item_features_of(item_features, self.items_ if ids is None else ids, whose)
            names = getattr(self, "feature_names_in_", None)
            choice.require_columns(self.n_features_in_, names)
        return choice if ids is None else choice.candidates(ids)

    def _all(self, *, exclude_seen: bool) -> AskedModels:
        dual = self.dual_coef_
        seen = Seen(dual.indptr, dual.indices, dual.data) if exclude_seen else None
        return AskedModels(self.users_, dual, self.intercept_, seen)

    def _asked(self, users: Any, given: GivenRows | None, *, exclude_seen: bool) -> AskedModels:
        """Return the users that are asked for, with models and what they have seen."""
        known = self._all(exclude_seen=exclude_seen)
        if given is None:
            more = " of new ones give interactions="
            return known.take(known_codes("users", users, self.users_, more))
        ids, old, rows = given.places(users, self.users_)
        models = self._models_of(given.rows)
        # New ones stand behind the known.
        places = np.where(old >= 0, old, len(self.users_) + rows)
        dual = sp.vstack([self.dual_coef_, models.dual], format="csr")[places]
        intercept = np.concatenate([self.intercept_, models.intercept])[places]
        seen = given.rows.with_empty_row().take(rows) if exclude_seen else None
        return AskedModels(ids, dual, intercept, seen)

    def _given(self, interactions: Any) -> GivenRows:
        return given_rows(interactions, self.items_, len(self.users_), self._encoding())

    def _encoding(self) -> Encoding:
        return Encoding(
            self._columns(), "last", repeats=True, zeros=True, dtype=np.dtype(np.float64)
        )

    def _models_of(self, rows: Seen) -> AskedModels:
        """Return the models of new users."""
        shape = (rows.n_rows, len(self.items_))
        ratings = sp.csr_array((rows.values, rows.columns, rows.indptr), shape=shape)
        with single_threaded_blas():
            found = user_models(
                ratings,
                ready_features(self.item_features_, fit_intercept=self.fit_intercept),
                loss=self._loss(),
                alpha=float(self.alpha),
                fit_intercept=self.fit_intercept,
                loops=worth_compiling(len(rows.columns)),
            )
        dual = sp.csr_array((found.dual, rows.columns, rows.indptr), shape=shape)
        return AskedModels(np.arange(rows.n_rows), dual, found.intercepts, None)

    def _pairs(self, choice: ItemFeatures) -> ContentPairs:
        return ContentPairs(
            index_of(self.users_),
            self.dual_coef_,
            self.intercept_,
            self._catalogue(),
            choice,
            self._logistic,
            self._columns(),
        )

    def _loss(self) -> Loss:
        return "log" if self._logistic else "squared"
