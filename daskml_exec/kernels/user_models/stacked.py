"""Models of users with equally many items, stacked: NumPy's calls then work on many at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array, Rows
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.user_models.newton import LIMITS, ROUNDING

Step = Callable[[Rows, Array, Array], tuple[Array, Array, Array]]
"""Fits targets with weights, of some users: dual coefficients, intercepts and predictions."""


def fit_stacked(
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
    """Write the models of users; return how many did not converge.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_entries,)
    y : ndarray of shape (n_entries,)
        Ratings; with `logistic` 1 for the positive class, else 0.
    features : ndarray or CSR array of shape (n_items, d)
    alpha : float
    logistic, intercept : bool
    dual : ndarray of shape (n_entries,)
        Zeros, to be written to.
    intercepts : ndarray of shape (n_users,)
        To be written to.
    """
    counts, d, missed = np.diff(indptr), features.shape[1], 0
    intercepts[counts == 0] = np.nan
    for n in np.unique(counts[counts > 0]):
        users = np.flatnonzero(counts == n)
        each = 8 * int(n) * (d + 4 * min(n, d))
        size = max(1, 8 * block_sizes().product_bytes // each)
        for start in range(0, len(users), size):
            some = users[start : start + size]
            places = indptr[some][:, None] + np.arange(n)
            targets = y[places]
            if logistic:
                positive = targets.sum(axis=1)
                alone = (positive == 0) | (positive == n)
                intercepts[some[alone]] = np.where(positive[alone] > 0, np.inf, -np.inf)
                some, places, targets = some[~alone], places[~alone], targets[~alone]
            if not len(some):
                continue
            fit = _primal if n > d else _dual
            step, outer = fit(features, items[places], alpha, intercept)
            a, b, n_missed = _newton(step, targets, alpha, logistic, intercept)
            dual[places] = a
            intercepts[some] = b - outer(a)
            missed += n_missed
    return missed


def _dual(
    features: Any, items: Array, alpha: float, intercept: bool
) -> tuple[Step, Callable[[Array], Array]]:
    """Return a step in as many unknowns as a user has items.

    And what takes dual coefficients to the prediction for the centre of the user's features.
    """
    K = _products(features, items)
    B, n = items.shape
    means = np.zeros((B, n))
    if intercept:
        means = K.mean(axis=2)
        K -= means[:, :, None]
        K -= means[:, None, :]
        K += means.mean(axis=1)[:, None, None]

    def step(some: Rows, D: Array, u: Array) -> tuple[Array, Array, Array]:
        root = np.sqrt(D)
        kernels = K[some]
        systems = root[:, :, None] * kernels * root[:, None, :]
        _penalize(systems, alpha)
        both = root[:, :, None] * np.linalg.solve(systems, np.stack([root * u, root], axis=2))
        a, ones, b = both[:, :, 0], both[:, :, 1], np.zeros(len(some))
        if intercept:
            b = a.sum(axis=1) / ones.sum(axis=1)
            a = a - b[:, None] * ones
        return a, b, b[:, None] + _times(kernels, a)

    return step, lambda a: (means * a).sum(axis=1)


def _primal(
    features: Any, items: Array, alpha: float, intercept: bool
) -> tuple[Step, Callable[[Array], Array]]:
    """Return what `_dual` does, in as many unknowns as there are features."""
    X, (B, _), d = _rows(features, items), items.shape, features.shape[1]
    means = np.zeros((B, d))
    if intercept:
        means = X.mean(axis=1)
        X -= means[:, None, :]

    def step(some: Rows, D: Array, u: Array) -> tuple[Array, Array, Array]:
        rows, weight, centers, at = X[some], D.sum(axis=1), np.zeros((len(some), d)), 0.0
        if intercept:
            centers = _times(rows.mT, D) / weight[:, None]
            at = (D * u).sum(axis=1) / weight
        scaled = (rows - centers[:, None, :]) * np.sqrt(D)[:, :, None]
        systems = scaled.mT @ scaled
        least = _penalize(systems, alpha)
        right = _times(scaled.mT, np.sqrt(D) * u)
        w = np.linalg.solve(systems, right[:, :, None])[:, :, 0]
        b = at - (centers * w).sum(axis=1)
        z = b[:, None] + _times(rows, w)
        return D * (u - z) / least[:, None], b, z

    return step, lambda a: (means * _times(X.mT, a)).sum(axis=1)


def _penalize(systems: Array, alpha: float) -> Array:
    """Add penalties to the diagonals; return them: no less than what roundings make of systems."""
    diagonal = np.arange(systems.shape[1])
    least = np.maximum(alpha, ROUNDING * systems[:, diagonal, diagonal].max(axis=1))
    systems[:, diagonal, diagonal] += least[:, None]
    return least


def _newton(
    step: Step, y: Array, alpha: float, logistic: bool, intercept: bool
) -> tuple[Array, Array, int]:
    """Return dual coefficients and intercepts, and how many models did not converge."""
    B, n = y.shape
    going = np.arange(B)
    if not logistic:
        a, b, _ = step(going, np.ones((B, n)), y)
        return a, b, 0
    a, b = np.zeros((B, n)), np.zeros(B)
    if intercept:
        positive = y.sum(axis=1)
        b = np.log(positive / (n - positive))
    z = np.repeat(b[:, None], n, axis=1)
    for _ in range(LIMITS.most_steps):
        targets, now = y[going], (a[going], b[going], z[going])
        probability = _probabilities(now[2])
        D = np.maximum(probability * (1 - probability), LIMITS.least_curvature)
        then = step(going, D, now[2] + (targets - probability) / D)
        length = np.abs(then[2] - now[2]).max(axis=1)
        share = np.ones(len(going))
        long = np.flatnonzero(~(length <= LIMITS.safe_step))
        if len(long):
            ends = _some(now, long), _some(then, long)
            share[long] = _shares(*ends, targets[long], alpha, length[long])
        a[going] = now[0] + share[:, None] * (then[0] - now[0])
        b[going] = now[1] + share * (then[1] - now[1])
        z[going] = now[2] + share[:, None] * (then[2] - now[2])
        going = going[~(length <= LIMITS.small_step)]
        if not len(going):
            break
    return a, b, len(going)


Model = tuple[Array, Array, Array]
"""Dual coefficients, intercepts and predictions."""


def _some(model: Model, users: Rows) -> Model:
    return model[0][users], model[1][users], model[2][users]


def _shares(now: Model, then: Model, y: Array, alpha: float, length: Array) -> Array:
    """Return how many times steps are to be taken: about where the objectives are least."""
    a, b, z = now
    change = then[2] - z
    of_rows = change - (then[1] - b)[:, None]
    linear = alpha * (a * of_rows).sum(axis=1)
    quadratic = alpha * ((then[0] - a) * of_rows).sum(axis=1)
    low, share = np.zeros(len(y)), np.ones(len(y))
    high = np.maximum(2.0, LIMITS.longest_step / length)
    found = np.zeros(len(y), bool)
    for _ in range(LIMITS.most_steps):
        probability = _probabilities(z + share[:, None] * change)
        slope = linear + share * quadratic + ((probability - y) * change).sum(axis=1)
        curvature = quadratic + (probability * (1 - probability) * change**2).sum(axis=1)
        low, high = np.where(slope < 0, share, low), np.where(slope < 0, high, share)
        with np.errstate(divide="ignore", invalid="ignore"):
            better = share - slope / curvature
        inside = (low < better) & (better < high)
        better = np.where(inside, better, 0.5 * (low + high))
        near = np.abs(better - share) * length <= LIMITS.roughly
        share = np.where(found, share, better)
        found |= near
        if found.all():
            break
    return share


def _probabilities(z: Array) -> Array:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


def _times(matrices: Array, vectors: Array) -> Array:
    return (matrices @ vectors[:, :, None])[:, :, 0]


def _rows(features: Any, items: Array) -> Array:
    if sp.issparse(features):
        rows: Array = features[items.ravel()].toarray().reshape(*items.shape, -1)
        return rows
    return np.asarray(features[items])


def _products(features: Any, items: Array) -> Array:
    """Return the products of the rows of each user's items, shape (B, n, n)."""
    if not sp.issparse(features):
        rows = features[items]
        return np.asarray(rows @ rows.mT)
    # Each user has columns of its own, so that rows of two users have no product.
    (B, n), d = items.shape, features.shape[1]
    rows = features[items.ravel()]
    own = np.repeat(np.arange(B) * d, np.diff(rows.indptr[::n]))
    entries = (rows.data, rows.indices + own, rows.indptr)
    rows = sp.csr_array(entries, shape=(B * n, B * d))
    found = (rows @ rows.T).tocoo()
    products = np.zeros((B, n, n))
    products[found.row // n, found.row % n, found.col % n] = found.data
    return products
