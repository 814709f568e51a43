"""Factors of users and items by alternating least squares."""

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from daskml_exec.executor import bytes_text, configured_nbytes
from daskml_exec.kernels.factors.cuts import half_step_costs
from daskml_exec.partitions import Pieces
from daskml_exec.recommendation._factor_model import FactorModel
from daskml_exec.recommendation._given_rows import (
    require_width,
    triples_in_memory,
)
from daskml_exec.recommendation._half_steps import (
    AlternatingSteps,
    Alternation,
    CompileHalfSteps,
    Progress,
    Solving,
    Sums,
    initial_items,
    worth_compiling,
)
from daskml_exec.recommendation._ids import codes_of, index_of
from daskml_exec.recommendation._loading import Cutting, Loaded, loaded_blocks
from daskml_exec.recommendation._resident_steps import (
    ResidentSteps,
    factors_of,
    held_by_blocks,
)
from daskml_exec.recommendation._seen import seen_by_users
from daskml_exec.recommendation._updates import Known, updated
from daskml_exec.training import (
    Callback,
    Fitted,
    FitWarning,
    History,
    Reached,
    all_or_nothing,
    compile_ahead,
    telling,
    train,
    warn_of,
)


class AlternatingLeastSquares(FactorModel):
    r"""Factors of users and items whose products are the ratings, by alternating least squares.

    Minimises, over factors x of users and y of items, with :math:`s_{ui} = x_u^\top y_i`, for
    implicit feedback, with :math:`p_{ui} = 1` where :math:`r_{ui} > 0` and else 0,

    .. math:: \sum_{r_{ui} \ne 0} (1 + \alpha |r_{ui}|) (p_{ui} - s_{ui})^2
        + \sum_{\text{other } u, i} s_{ui}^2 + P

    and for explicit feedback

    .. math:: \sum_{\text{observed}} (r_{ui} - s_{ui})^2 + P

    both with :math:`P = \lambda (\sum_u n_u^\nu |x_u|^2 + \sum_i n_i^\nu |y_i|^2)`, where n counts
    the interactions of a user or an item. Half-steps solve all users given the items, then all
    items given the users. In which blocks users and items lie changes no bit of the result, and
    neither do the Workers that hold them, nor one that dies.

    Parameters
    ----------
    n_factors : int, default=64
        Length k of the factors.
    feedback : {"implicit", "explicit"}, default="implicit"
        - "implicit": ratings are clicks, plays or counts, and what was not seen counts as weakly
          disliked. Ratings of zero are left out, with a warning; negative ones are dislikes.
        - "explicit": ratings are stars, and what was not seen says nothing.
    alpha : float, default=1.0
        How much confidence a rating adds, of implicit feedback.
    reg : float, default=0.1
        The penalty :math:`\lambda`, from 0.
    reg_exponent : float, default=1.0
        The exponent :math:`\nu` of counts in the penalty: with 1 users with many interactions are
        shrunk as those with few, with 0 less.
    max_iter : int, default=15
        Iterations of two half-steps, at most.
    tol : float, default=1e-4
        Training has converged when an iteration lowers the objective by less than this share.
    solver : {"auto", "exact", "cg"}, default="auto"
        - "exact": each row is solved; the objective never rises.
        - "cg": three steps of conjugate gradients from the last factors: sooner for large k, and
          more iterations.
        - "auto": "exact".
    nonnegative : bool, default=False
        Whether factors are zero at least.
    dtype : {"float32", "float64"}, default="float32"
        Of the factors.
    duplicates : {"sum", "mean", "last"}, default="sum"
        The rating of a pair that comes several times; explicit ratings must not be summed.
    user, item, rating : str, default="user", "item", "rating"
        Columns of dataframes; ``rating=None`` takes each row as a one.
    n_blocks : int, optional
        Blocks of users, and of items; by default two for each Worker, four at least. A block has 32
        rows of the longer side or more.
    keep_interactions : bool, default=True
        Whether the model keeps who has interacted with what: 8 bytes for each interaction, 12 in
        float64. Without, `recommend` is given ``interactions=``, and `score` of implicit feedback,
        which searches call, is refused.
    warm_start : bool, default=False
        Whether `fit` begins with the factors of the last one, of ids that are still there.
    random_state : int, RandomState or None, default=None
        Draws the factors to begin with.
    verbose : int, default=0
        Whether to print a line per half-step.
    callbacks : sequence of callables, optional
        Each is called with a `daskml_exec.training.RoundEvent` after every half-step. One that
        returns True stops the fit.

    Attributes
    ----------
    user_factors_ : ndarray of shape (n_users, n_factors)
    item_factors_ : ndarray of shape (n_items, n_factors)
    users_, items_ : ndarray
        Sorted ids: int64, or objects that are texts. Of a matrix, the numbers of its rows and
        columns.
    n_iter_ : int
    objective_ : float
        After the last half-step.
    history_ : daskml_exec.training.History
        A record per half-step; its loss is the objective.

    Notes
    -----
    Interactions may be a pandas or Polars dataframe, a Dask dataframe, a tuple of arrays (user,
    item) or (user, item, rating), a SciPy sparse matrix of users by items, a Dask array of CSR
    chunks, or a list of futures of any of these. Ids are integers or texts. Rows of a Dask
    dataframe go from Worker to Worker, to the blocks of their user and of their item; ids are
    encoded there. Factors come to the driver after each half-step: 4 n_factors bytes for each user
    and item in float32. Where both sides take more than the dask config value
    ``daskml-exec.factors-on-driver-bytes`` (256 MiB), they stay on the Workers until the end, and
    only sums come; every 64 half-steps a copy is taken, from which a loss goes on. The result has
    the same bits; events of callbacks have no estimator then.

    With `implicit`, the values of the matrix are the whole confidence: give it ``1 + alpha * r``,
    with ``regularization=reg`` and here ``reg_exponent=0``. Spark's ``regParam`` is `reg` with
    ``reg_exponent=1``.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets; Zhou,
    Wilkinson, Schreiber and Pan (2008), Large-scale parallel collaborative filtering for the
    Netflix Prize, for the exponent; Rendle, Krichene, Zhang and Koren (2021), Revisiting the
    performance of iALS on item recommendation benchmarks; Takács, Pilászy and Tikk (2011),
    Applications of the conjugate gradient method for implicit feedback collaborative filtering.

    Examples
    --------
    >>> import pandas as pd
    >>> from daskml_exec.recommendation import AlternatingLeastSquares
    >>> plays = pd.DataFrame(
    ...     {"user": ["ann", "ann", "bob", "bob", "cem"], "item": [1, 2, 1, 2, 1], "rating": 1}
    ... )
    >>> model = AlternatingLeastSquares(2, random_state=0, tol=0, max_iter=5).fit(plays)
    >>> model.recommend(["cem"])[["user", "item"]]
      user  item
    0  cem     2
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "feedback": [StrOptions({"implicit", "explicit"})],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "reg": [Interval(Real, 0, None, closed="left")],
        "reg_exponent": [Interval(Real, None, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"auto", "exact", "cg"})],
        "nonnegative": ["boolean"],
        "dtype": [StrOptions({"float32", "float64"}), type],
        "duplicates": [StrOptions({"sum", "mean", "last"})],
        "user": [str],
        "item": [str],
        "rating": [str, None],
        "n_blocks": [Interval(Integral, 1, None, closed="left"), None],
        "keep_interactions": ["boolean"],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "callbacks": ["array-like", None],
    }

    n_iter_: int
    objective_: float
    history_: History

    def __init__(
        self,
        n_factors: int = 64,
        *,
        feedback: Literal["implicit", "explicit"] = "implicit",
        alpha: float = 1.0,
        reg: float = 0.1,
        reg_exponent: float = 1.0,
        max_iter: int = 15,
        tol: float = 1e-4,
        solver: Literal["auto", "exact", "cg"] = "auto",
        nonnegative: bool = False,
        dtype: Any = "float32",
        duplicates: Literal["sum", "mean", "last"] = "sum",
        user: str = "user",
        item: str = "item",
        rating: str | None = "rating",
        n_blocks: int | None = None,
        keep_interactions: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.feedback = feedback
        self.alpha = alpha
        self.reg = reg
        self.reg_exponent = reg_exponent
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.nonnegative = nonnegative
        self.dtype = dtype
        self.duplicates = duplicates
        self.user = user
        self.item = item
        self.rating = rating
        self.n_blocks = n_blocks
        self.keep_interactions = keep_interactions
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(self, interactions: Any, y: None = None) -> "AlternatingLeastSquares":
        """Train on interactions.

        Parameters
        ----------
        interactions : dataframe, tuple of arrays, sparse matrix, Dask collection or futures
            Users, items and finite ratings; see the notes of the class.
        y : None
            There is no target; searches of scikit-learn hand on theirs.

        Returns
        -------
        AlternatingLeastSquares
            This estimator, fitted.

        Raises
        ------
        ValueError
            An argument is not as described; the message names it, what came and what is allowed.
        TypeError
            Ids are neither integers nor texts, or ratings no numbers.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            `max_iter` was reached before `tol`, where that is not 0.
        UserWarning
            Ratings of zero were left out.
        """
        with all_or_nothing(self), telling(self, interactions, None, None):
            warn_of(self._fit(interactions))
        return self

    def partial_fit(self, interactions: Any, y: None = None) -> "AlternatingLeastSquares":
        """Take in more interactions: rows of their users and items are solved again.

        Users and items that are new get a place among the sorted ids. First the users are solved
        given all items, then the items given all users, and the users once more; all others stay
        as they are, and so do `objective_` and `history_`, which are of the last `fit`. It is done
        on the driver, in memory.

        Parameters
        ----------
        interactions : as in `fit`
            Where interactions are kept, those before count, too, and a pair that was there before
            takes the sum or mean with what was kept, or the last. With ``keep_interactions=False``
            these must be all that is known of their users and items.
        y : None
            There is no target.

        Returns
        -------
        AlternatingLeastSquares
            This estimator. Without a fit before, it is fitted.
        """
        if not hasattr(self, "item_factors_"):
            return self.fit(interactions)
        self._validate()
        with all_or_nothing(self):
            triples, shape = triples_in_memory(interactions, self._columns())
            if shape is not None:
                require_width(shape, len(self.items_), len(self.users_))
            if not len(triples):
                raise ValueError("interactions have no rows; allowed is at least one")
            model = updated(
                Known(self.users_, self.items_, self.user_factors_, self.item_factors_, self._seen),
                triples,
                self._fold_in(),
                self._encoding(self.item_factors_.dtype),
            )
            self.users_, self.items_ = model.users, model.items
            self.user_factors_, self.item_factors_ = model.user_factors, model.item_factors
            self._seen = model.seen
        return self

    def fit_transform(self, interactions: Any, y: None = None) -> Any:
        """Train, and return the factors of the users.

        Parameters
        ----------
        interactions : as in `fit`
            Users, items and ratings.
        y : None
            There is no target.

        Returns
        -------
        ndarray of shape (n_users, n_factors)
            `user_factors_`.
        """
        return self.fit(interactions).user_factors_

    def _validate(self) -> None:
        self._validate_params()
        for name in ("n_factors", "max_iter"):
            if isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)}; allowed are integers from 1")
        for name in ("alpha", "reg", "reg_exponent", "tol"):
            value = getattr(self, name)
            if not np.isfinite(value):
                raise ValueError(f"{name}={value!r}; allowed are finite numbers")
        if np.dtype(self.dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype={self.dtype!r}; allowed are 'float32' and 'float64'")
        if self.nonnegative and self.solver == "cg":
            raise ValueError(
                "nonnegative=True with solver='cg'; allowed are solver='exact' and 'auto', as "
                "conjugate gradients know no bounds"
            )

    def _fit(self, interactions: Any) -> list[FitWarning]:
        self._validate()
        self._callbacks()
        self._say("reading interactions, and bringing them to the Workers")
        cutting = Cutting(partial(half_step_costs, n_factors=self.n_factors), self.n_blocks)
        with loaded_blocks(interactions, self._encoding(self.dtype), cutting) as loaded:
            resident = self._resident(loaded)
            solving = Solving(
                self._objective(),
                "cg" if self.solver == "cg" else "exact",
                bool(self.nonnegative),
                worth_compiling(loaded.n_entries, self.n_factors),
            )
            kind = ResidentSteps if resident else AlternatingSteps
            algorithm = kind(solving, self.max_iter, float(self.tol))
            if solving.loops:
                compiling = CompileHalfSteps(
                    np.dtype(self.dtype), solving.solver, solving.nonnegative
                )
                compile_ahead(loaded.partitions, compiling, repr(compiling), say=self._say)
            reached = Reached("iteration", 0, self.max_iter)
            start = self._start(loaded)
            fitted: Fitted[Any] = train(
                algorithm,
                start.progress if resident else start,
                loaded.partitions,
                callbacks=self._listeners(_plan(loaded, self.n_factors), reached),
                view=lambda state: partial(_snapshot, self, loaded.users, loaded.items, state),
                carried=held_by_blocks(start, loaded.cuts) if resident else None,
                reached=self._reached,
                name=type(self).__name__.lower(),
            )
            seen = seen_by_users(loaded.partitions) if self.keep_interactions else None
        state = fitted.state
        progress = _progress_of(state)
        factors = factors_of(fitted.carried) if resident else (state.user, state.item)
        self._set(loaded.users, loaded.items, factors, progress)
        self._seen, self.history_ = seen, fitted.history
        return [
            *_zeros_left_out(loaded),
            *_not_converged(self, progress, stopped=fitted.stopped == "callback"),
        ]

    def _resident(self, loaded: Loaded) -> bool:
        """Return whether factors stay on the Workers between half-steps."""
        if isinstance(loaded.partitions, Pieces):
            return False
        n_rows = len(loaded.users) + len(loaded.items)
        most = configured_nbytes("factors-on-driver-bytes")
        return n_rows * self.n_factors * np.dtype(self.dtype).itemsize > most

    def _start(self, loaded: Loaded) -> Alternation:
        """Return factors to begin with: random ones, or those of the last fit."""
        dtype, k = np.dtype(self.dtype), self.n_factors
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        items = initial_items(len(loaded.items), k, dtype, seed)
        users = np.zeros((len(loaded.users), k), dtype)
        if self.warm_start and hasattr(self, "item_factors_"):
            if self.item_factors_.shape[1] != k:
                raise ValueError(
                    f"warm_start=True, and the last fit had {self.item_factors_.shape[1]} factors; "
                    f"n_factors={k}"
                )
            for ids, known, values, now in (
                (self.users_, loaded.users, self.user_factors_, users),
                (self.items_, loaded.items, self.item_factors_, items),
            ):
                codes = codes_of(index_of(known), ids)
                now[codes[codes >= 0]] = values[codes >= 0]
        objective = self._objective()
        sums = Progress(
            Sums.of(users, loaded.user_counts, objective),
            Sums.of(items, loaded.item_counts, objective),
        )
        return Alternation(sums, users, items)

    def _reached(self, state: Alternation | Progress) -> Reached:
        return Reached("iteration", _progress_of(state).n_half_steps / 2, self.max_iter)

    def _set(self, users: Any, items: Any, factors: tuple[Any, Any], progress: Progress) -> None:
        self.users_, self.items_ = users, items
        self.user_factors_, self.item_factors_ = factors
        self.n_iter_, self.objective_ = progress.n_iterations, progress.objective


def _progress_of(state: Alternation | Progress) -> Progress:
    """Return how far training is, whose state has the factors or not."""
    return state if isinstance(state, Progress) else state.progress


def _snapshot(
    estimator: AlternatingLeastSquares,
    users: Any,
    items: Any,
    state: Alternation | Progress,
    units: Any,
) -> AlternatingLeastSquares:
    """Return an estimator like this one, with the factors of a moment."""
    if isinstance(state, Progress):
        raise RuntimeError(
            "event.estimator has no factors: they take more than the dask config value "
            "'daskml-exec.factors-on-driver-bytes' and stay on the Workers; allowed is a larger one"
        )
    other: AlternatingLeastSquares = estimator._like_this()
    other._set(users, items, (state.user, state.item), state.progress)
    other._seen = None
    return other


def _plan(loaded: Loaded, n_factors: int) -> str:
    blocks = loaded.partitions
    return (
        f"{loaded.n_entries:,} interactions of {len(loaded.users):,} users and "
        f"{len(loaded.items):,} items, {bytes_text(sum(blocks.sizes or ()))} in "
        f"{len(blocks.rows)} block{'s' * (len(blocks.rows) != 1)}, by {n_factors} factors"
    )


def _zeros_left_out(loaded: Loaded) -> list[FitWarning]:
    if not loaded.n_zeros:
        return []
    return [
        FitWarning(
            "zeros",
            f"{loaded.n_zeros:,} rows of interactions have a rating of zero, which says nothing "
            "with implicit feedback: they are left out; a dislike is a negative rating",
        )
    ]


def _not_converged(
    model: AlternatingLeastSquares, progress: Progress, *, stopped: bool
) -> list[FitWarning]:
    if progress.converged or stopped or not model.tol:
        return []
    fell = f"lowered the objective by a share of {progress.fell:.1e}, above tol={model.tol:.1e}"
    if not np.isfinite(progress.fell):
        fell = "has none before it to compare with"
    return [
        FitWarning(
            "convergence",
            f"AlternatingLeastSquares stopped at max_iter={model.max_iter} before it converged: "
            f"the last iteration {fell}. Raise max_iter or tol; tol=0 asks for max_iter iterations",
            ConvergenceWarning,
        )
    ]
