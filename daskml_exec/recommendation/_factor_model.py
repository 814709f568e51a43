"""What a model of factors serves: lists, fold-in of users, similar items, and predictions."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.recommendation._encoding import Encoding
from daskml_exec.recommendation._fold_in import FoldIn
from daskml_exec.recommendation._given_rows import (
    GivenRows,
    given_rows,
    require_same_width,
)
from daskml_exec.recommendation._ids import index_of
from daskml_exec.recommendation._lists import (
    Asked,
    Lists,
    allowed_items,
    column_of,
    known_codes,
    require_lists,
    require_n,
)
from daskml_exec.recommendation._pairs import PairScores, predicted
from daskml_exec.recommendation._scores import ndcg, negative_rmse
from daskml_exec.recommendation._seen import Seen
from daskml_exec.recommendation._similar import similar
from daskml_exec.recommendation._triples import Columns
from daskml_exec.training import ListeningEstimator, warn_of


class FactorModel(ListeningEstimator):
    """Base of the models whose score of a user and an item is the product of their factors."""

    user_factors_: NDArray[Any]
    item_factors_: NDArray[Any]
    users_: NDArray[Any]
    items_: NDArray[Any]
    _seen: Seen | None

    def transform(self, interactions: Any) -> Any:
        """Return the factors of users, new or known, given their interactions and the items.

        Parameters
        ----------
        interactions : as in `fit`
            Of a few users: they are read on the driver. Items that the model does not know are
            left out, with a warning.

        Returns
        -------
        ndarray of shape (n_users, n_factors), or pandas.DataFrame
            Of a matrix, an array with its rows; else a dataframe whose index has the sorted ids of
            the users.
        """
        check_is_fitted(self)
        given = self._given(interactions)
        warn_of(given.warnings)
        factors = self._fold_in()(given.rows, self.item_factors_)
        if given.is_matrix:
            return factors
        return pd.DataFrame(factors, index=pd.Index(column_of(given.users), name=self.user))

    def recommend(
        self,
        users: Any = None,
        n: int = 10,
        *,
        interactions: Any = None,
        exclude_seen: bool = True,
        exclude: Any = None,
        candidates: Any = None,
    ) -> Any:
        """Return the best items of users.

        Parameters
        ----------
        users : array-like of ids, optional
            By default all users, or those of `interactions` where they are given.
        n : int, default=10
            Items for each user, at most.
        interactions : as in `fit`, optional
            What users have seen, in place of what `fit` has kept. Users that the model does not
            know get factors of these; known ones keep their own.
        exclude_seen : bool, default=True
            Whether items that a user has interacted with are left out.
        exclude : array-like of ids, optional
            Items that are left out for all.
        candidates : array-like of ids, optional
            The only items that may be recommended.

        Returns
        -------
        pandas.DataFrame, or for all users a Dask dataframe
            Columns are user, item and "score", by the names that the estimator has for the first
            two; a user's best item comes first, of equal scores that of the lower id. Users are in
            the order in which they are given; one of whose items few are left has few rows. For
            all users it is lazy, with a partition per range of users; one with nothing left has no
            row.

        Raises
        ------
        ValueError
            A user is not known, and in no `interactions`; a user that was asked for has seen all
            items; a candidate is not known; nothing is known of what was seen.
        """
        check_is_fitted(self)
        require_n(n)
        allowed = allowed_items(self.items_, candidates, exclude)
        lists = Lists(self.items_, self.item_factors_, n, allowed, (self.user, self.item))
        if users is None and interactions is None:
            seen = self._kept() if exclude_seen else None
            return lists.lazily(Asked(self.users_, self.user_factors_, seen))
        given = None if interactions is None else self._given(interactions)
        asked = self._asked(users, given, exclude_seen=exclude_seen)
        warn_of([] if given is None else given.warnings)
        found = lists.in_threads(asked)
        if users is not None:
            require_lists(found[self.user], asked, lists)
        return found

    def similar_items(self, items: Any, n: int = 10) -> pd.DataFrame:
        """Return the items that are most similar to given ones, by the cosine of their factors.

        Parameters
        ----------
        items : array-like of ids
            Items that the model knows.
        n : int, default=10
            Similar ones for each, at most; itself is not among them.

        Returns
        -------
        pandas.DataFrame
            Columns are the item, "similar_" with that name, and "score", from -1 to 1.
        """
        check_is_fitted(self)
        require_n(n)
        codes = known_codes("items", items, self.items_)
        return similar(codes, self.items_, self.item_factors_, n, self.item)

    def similar_users(self, users: Any, n: int = 10) -> pd.DataFrame:
        """Return the users that are most similar to given ones, by the cosine of their factors.

        Parameters
        ----------
        users : array-like of ids
            Users that the model knows.
        n : int, default=10
            Similar ones for each, at most; itself is not among them.

        Returns
        -------
        pandas.DataFrame
            Columns are the user, "similar_" with that name, and "score", from -1 to 1.
        """
        check_is_fitted(self)
        require_n(n)
        codes = known_codes("users", users, self.users_)
        return similar(codes, self.users_, self.user_factors_, n, self.user)

    def predict(self, pairs: Any) -> Any:
        """Return the products of the factors of pairs of a user and an item.

        Parameters
        ----------
        pairs : dataframe, tuple of arrays (user, item), Dask dataframe or list of futures
            Other columns than those of users and items are not looked at.

        Returns
        -------
        ndarray of shape (n,)
            NaN where the user or the item is not known, with a warning that counts them. For a
            Dask dataframe lazily a Dask series with its index, and for a list of futures such a
            list, without a warning.
        """
        check_is_fitted(self)
        return predicted(self._pair_scores(), pairs)

    def score(self, interactions: Any, y: None = None) -> float:
        """Return how well interactions are predicted that the model was not fitted on.

        Parameters
        ----------
        interactions : as in `fit`
            Of users and items of which at least one pair is known.
        y : None
            There is no target.

        Returns
        -------
        float
            Of implicit feedback NDCG@10, of lists without what was seen in `fit`; of explicit
            feedback the negative root mean squared error of the pairs that are known. The higher,
            the better.
        """
        check_is_fitted(self)
        if self._explicit:
            require_same_width(interactions, self.items_, self.users_)
            return negative_rmse(self._pair_scores(), interactions, self._columns())
        if self._seen is None:
            raise ValueError(
                "score of implicit feedback leaves out what was seen, which a model with "
                "keep_interactions=False does not know; allowed is "
                "ranking_scores(model, train, test)"
            )
        return ndcg(self, self._seen, interactions)

    @property
    def _explicit(self) -> bool:
        return self.feedback == "explicit"

    def _columns(self) -> Columns:
        return Columns(self.user, self.item, self.rating)

    def _objective(self) -> Objective:
        return Objective(
            self.feedback, float(self.alpha), float(self.reg), float(self.reg_exponent)
        )

    def _fold_in(self) -> FoldIn:
        return FoldIn(self._objective(), bool(self.nonnegative))

    def _repeats(self) -> bool:
        return not (self._explicit and self.duplicates == "sum")

    def _encoding(self, dtype: Any) -> Encoding:
        return Encoding(
            self._columns(),
            self.duplicates,
            repeats=self._repeats(),
            zeros=self._explicit,
            dtype=np.dtype(dtype),
        )

    def _given(self, interactions: Any) -> GivenRows:
        how = self._encoding(self.item_factors_.dtype)
        return given_rows(interactions, self.items_, len(self.users_), how)

    def _kept(self) -> Seen:
        if self._seen is None:
            raise ValueError(
                "the model was fitted with keep_interactions=False, and does not know what users "
                "have seen; allowed are interactions=, and exclude_seen=False"
            )
        return self._seen

    def _asked(self, users: Any, given: GivenRows | None, *, exclude_seen: bool) -> Asked:
        """Return the users with their factors, and what they have seen."""
        if given is None:
            codes = known_codes("users", users, self.users_, " of new ones give interactions=")
            seen = self._kept().take(codes) if exclude_seen else None
            return Asked(self.users_[codes], self.user_factors_[codes], seen)
        ids, known, rows = given.places(users, self.users_)
        seen = given.rows.with_empty_row()
        vectors = np.empty((len(ids), self.item_factors_.shape[1]), self.item_factors_.dtype)
        vectors[known >= 0] = self.user_factors_[known[known >= 0]]
        new = np.flatnonzero(known < 0)
        vectors[new] = self._fold_in()(seen.take(rows[new]), self.item_factors_)
        return Asked(ids, vectors, seen.take(rows) if exclude_seen else None)

    def _pair_scores(self) -> PairScores:
        return PairScores(
            index_of(self.users_),
            index_of(self.items_),
            self.user_factors_,
            self.item_factors_,
            self._columns(),
        )
