"""One linear model for each user, on the features of the items that the user has."""

import importlib.util
import itertools
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.kernels.user_models.features import ReadyFeatures
from daskml_exec.kernels.user_models.newton import LIMITS
from daskml_exec.kernels.user_models.stacked import fit_stacked

Loss = Literal["squared", "log"]
# Products of entries between two looks at whether anybody still waits.
_WORK = 2**22


@dataclass(frozen=True)
class UserModels:
    """Models in the span of what users have.

    The coefficients of a user are the sum of the features of the user's items, times `dual`.

    Attributes
    ----------
    dual : ndarray of shape (n_entries,)
    intercepts : ndarray of shape (n_users,)
        Of a user whose ratings are all of one class plus or minus infinity; without items NaN.
    n_missed : int
        Users whose models did not converge.
    """

    dual: Array
    intercepts: Array
    n_missed: int


def user_models(
    ratings: Any,
    features: ReadyFeatures,
    *,
    loss: Loss,
    alpha: float,
    fit_intercept: bool,
    loops: bool = True,
) -> UserModels:
    r"""Fit one model for each user.

    With :math:`X` the features of the user's items and :math:`r` the ratings, "squared" minimises

    .. math:: \sum_i (r_i - x_i^\top w - b)^2 + \alpha \|w\|^2

    and "log", with :math:`s_i = 1` where :math:`r_i > 0` and else :math:`-1`,

    .. math:: \sum_i \log(1 + \exp(-s_i (x_i^\top w + b))) + \frac{\alpha}{2} \|w\|^2

    The minimum has :math:`w = X^\top a`. A user with `n` items and `d` features takes the smaller
    of a system in `a` and one in `w`; the latter leaves :math:`a_i` as the negative derivative of
    the loss of the item over :math:`\alpha`. A user's model has the same bits whoever else is
    there.

    Parameters
    ----------
    ratings : CSR matrix of shape (n_users, n_items)
        What is stored counts, zeros too; columns of a row come once.
    features : ReadyFeatures
        Of `n_items` rows, made with the same `fit_intercept`.
    loss : {"squared", "log"}
    alpha : float
        Above zero.
    fit_intercept : bool
    loops : bool, default=True
        Whether compiled loops are used, where there are some; users are stacked otherwise.

    Returns
    -------
    UserModels

    References
    ----------
    Saunders, Gammerman and Vovk (1998), Ridge Regression Learning Algorithm in Dual Variables;
    Bach (2010), Self-concordant analysis for logistic regression, for the length of steps.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from daskml_exec.kernels.user_models.features import ready_features
    >>> ratings = sp.csr_array(np.array([[1.0, 5.0, 0.0], [0.0, 2.0, 4.0]]))
    >>> features = ready_features(np.array([[0.0], [1.0], [2.0]]), fit_intercept=True)
    >>> found = user_models(ratings, features, loss="squared", alpha=0.5, fit_intercept=True)
    >>> found.dual, found.intercepts
    (array([-2.,  2., -1.,  1.]), array([2. , 1.5]))
    """
    indptr = ratings.indptr.astype(np.int64, copy=False)
    items = ratings.indices.astype(np.int32, copy=False)
    y = ratings.data.astype(np.float64, copy=False)
    if loss == "log":
        y = (y > 0).astype(np.float64)
    dual, intercepts = np.zeros(len(y)), np.empty(len(indptr) - 1)
    compiled = _compiled() if loops else None
    missed = 0
    for start, stop in _ranges(np.diff(indptr)):
        stop_point()
        begin, end = indptr[start], indptr[stop]
        missed += _fit(
            compiled,
            indptr[start : stop + 1] - begin,
            items[begin:end],
            y[begin:end],
            features.matrix,
            alpha,
            loss == "log",
            fit_intercept,
            dual[begin:end],
            intercepts[start:stop],
        )
    of_center = sp.csr_array((dual, items, indptr), shape=ratings.shape) @ features.offsets
    return UserModels(dual, intercepts - of_center, missed)


def compile_user_models() -> None:
    """Compile the loops, or load them, where Numba is installed."""
    if _compiled() is not None:
        none = sp.csr_array((0, 1))
        features = ReadyFeatures(np.zeros((1, 1)), np.zeros(1))
        user_models(none, features, loss="log", alpha=1.0, fit_intercept=True)


@cache
def _compiled() -> Any:
    """Return the module of compiled loops, or None where Numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    from daskml_exec.kernels.user_models import compiled

    return compiled


def _fit(
    loops: Any,
    indptr: Array,
    items: Array,
    y: Array,
    features: Any,
    alpha: float,
    logistic: bool,
    intercept: bool,
    dual: Array,
    intercepts: Array,
) -> int:
    if loops is None:
        return fit_stacked(indptr, items, y, features, alpha, logistic, intercept, dual, intercepts)
    rows, sparse = features, (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0))
    if sp.issparse(features):
        starts = features.indptr.astype(np.int64, copy=False)
        columns = features.indices.astype(np.int32, copy=False)
        rows, sparse = np.empty((0, 0)), (starts, columns, features.data)
    given = [_read_only(each) for each in (indptr, items, y, rows, *sparse)]
    d = features.shape[1]
    missed: int = loops.fit_users(
        *given, d, float(alpha), logistic, intercept, LIMITS, dual, intercepts
    )
    return missed


def _read_only(array: Array) -> Array:
    """Return a read-only view, as what came in a message is: Numba compiles for one kind."""
    view = array.view()
    view.flags.writeable = False
    return view


def _ranges(counts: Array) -> list[tuple[int, int]]:
    """Cut users by the work that they are."""
    work = np.cumsum(counts.astype(np.float64) ** 2 + 1)
    n = len(counts)
    if not n:
        return [(0, 0)]
    cuts = np.searchsorted(work, np.arange(1, work[-1] // _WORK + 1) * _WORK)
    ends = np.unique(np.concatenate([[0], cuts, [n]])).tolist()
    return list(itertools.pairwise(ends))
