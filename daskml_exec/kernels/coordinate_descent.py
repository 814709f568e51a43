r"""Quadratic problems with L1 penalties, solved to rounding with exact zeros.

.. math:: \min_w \tfrac12 w^\top Q w - c^\top w + \sum_j l_j |w_j| + \tfrac12 \sum_j r_j w_j^2

Cyclic coordinate descent [1]_ finds out which coefficients are zero, and the signs of the others,
within a working set of columns. For given signs the problem is a system of linear equations; its
solution is taken as far as the signs hold, by an exact line search past the zeros of coefficients
(feature-sign search [2]_). So the last digits come of a Cholesky factor, and not of the hundreds of
sweeps that correlated columns would take. Columns outside of the working set join it where they
violate the conditions of the optimum. Along a path the working set begins with those that the
sequential strong rule [3]_ keeps.

.. [1] Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models
   via coordinate descent, Journal of Statistical Software 33.
.. [2] Lee, Battle, Raina and Ng (2007), Efficient sparse coding algorithms, NIPS 19.
.. [3] Tibshirani et al. (2012), Strong rules for discarding predictors in lasso-type problems,
   Journal of the Royal Statistical Society B 74.
"""

import importlib.util
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.stop_points import stop_point

# Sweeps between two solutions for given signs, at most.
_SWEEPS = 20
# Each round of sweeps and a solution descends, and most problems take one or two. This many mean
# that rounding decides between columns that are all but the same.
_MOST_ROUNDS = 500
# Fewer columns are swept by NumPy, for which Numba need not be imported.
_FEW = 32
# Conditions of the optimum hold where they are missed by no more than this share of the terms.
_ROUNDING = 16 * np.finfo(np.float64).eps
# A matrix that is not positive definite to rounding gets this share of its mean diagonal.
_FIRST_SHIFT, _SHIFT_FACTOR = 1e-14, 100.0


def coordinate_descent(
    Q: Array, c: Array, l1: float | Array, l2: float | Array = 0.0, start: Array | None = None
) -> Array:
    """Return the minimiser of the quadratic with penalties.

    Parameters
    ----------
    Q : array of shape (p, p)
        Symmetric and positive semidefinite.
    c : array of shape (p,)
    l1, l2 : float or array of shape (p,)
        From zero, finite. Coefficients whose `l1` is zero are not penalised by it.
    start : array of shape (p,), optional
        Near the minimiser; zeros by default.

    Returns
    -------
    array of shape (p,)
        To rounding, with exact zeros. A column whose diagonal is zero, in Q and `l2`, keeps a
        coefficient of zero. Where columns are redundant it is one of the minimisers.

    Examples
    --------
    >>> import numpy as np
    >>> coordinate_descent(np.diag([1.0, 2.0]), np.array([3.0, -0.5]), 1.0).tolist()
    [2.0, 0.0]
    """
    p = len(c)
    steps = descent_path(Q, c, np.full((1, p), l1), np.full((1, p), l2), start)
    return steps[0]


def descent_path(
    Q: Array,
    c: Array,
    l1: Array,
    l2: Array | float = 0.0,
    start: Array | None = None,
) -> Array:
    """Return the minimisers for several penalties in turn, each of which starts at the one before.

    Parameters
    ----------
    Q : array of shape (p, p)
        Symmetric and positive semidefinite.
    c : array of shape (p,)
    l1, l2 : array of shape (J,) or (J, p)
        Penalties, from the strongest, for which least columns are in force; `l2` may be one number.
    start : array of shape (p,), optional
        Near the first minimiser; zeros by default.

    Returns
    -------
    array of shape (J, p)

    Examples
    --------
    >>> import numpy as np
    >>> descent_path(np.eye(2), np.array([3.0, -1.0]), np.array([3.0, 2.0, 0.5])).tolist()
    [[0.0, 0.0], [1.0, 0.0], [2.5, -0.5]]
    """
    p, J = len(c), len(l1)
    path = np.zeros((J, p))
    firsts = np.broadcast_to(l1.reshape(J, -1), (J, p))
    l2 = np.asarray(l2, dtype=np.float64)
    seconds = np.broadcast_to(l2.reshape(J, -1) if l2.ndim else l2, (J, p))
    diagonal = np.diagonal(Q).astype(np.float64)
    w = np.zeros(p) if start is None else np.array(start, dtype=np.float64)
    working = _WorkingSet(Q)
    # A column without curvature has nothing to say, and could say it without end.
    w[diagonal <= 0.0] *= (seconds[0] > 0.0)[diagonal <= 0.0]
    slopes = _slopes(Q, c, w)
    for j in range(J):
        stop_point()
        before = firsts[j - 1] if j else firsts[j]
        kept = np.abs(slopes + seconds[j] * w) > 2.0 * firsts[j] - before
        w, slopes = _solved(Q, c, firsts[j], seconds[j], diagonal, w, slopes, kept, working)
        path[j] = w
    return path


class _WorkingSet:
    """Columns that are looked at, and the part of the matrix that is theirs."""

    def __init__(self, Q: Array) -> None:
        self._Q = Q
        self.columns = np.zeros(0, dtype=np.intp)
        self.matrix = np.zeros((0, 0))

    def hold(self, needed: Array) -> None:
        """Take these columns in; let others go when they are many more than those needed."""
        held = np.zeros(len(self._Q), dtype=bool)
        held[self.columns] = True
        if held[needed].all() and len(self.columns) <= 3 * np.count_nonzero(needed) + 20:
            return
        self.columns = np.flatnonzero(needed)
        self.matrix = np.ascontiguousarray(self._Q[np.ix_(self.columns, self.columns)])


def _slopes(Q: Array, c: Array, w: Array) -> Array:
    """Return the gradient of the quadratic alone."""
    support = np.flatnonzero(w)
    if 4 * len(support) > len(w):
        return np.asarray(w @ Q - c)
    return np.asarray(w[support] @ Q[support] - c)


def _solved(
    Q: Array,
    c: Array,
    l1: Array,
    l2: Array,
    diagonal: Array,
    w: Array,
    slopes: Array,
    kept: Array,
    working: _WorkingSet,
) -> tuple[Array, Array]:
    """Return the minimiser and the gradient of the quadratic there."""
    curved = diagonal + l2 > 0.0
    roots = np.sqrt(diagonal + l2)
    needed = (w != 0.0) | (kept & curved)
    for _ in range(_MOST_ROUNDS):
        if needed.any():
            working.hold(needed)
            S = working.columns
            w = w.copy()
            H = working.matrix
            if l2[S].any():
                H = H + np.diag(l2[S])
            w[S] = _within(H, c[S], l1[S], w[S])
            slopes = _slopes(Q, c, w)
        unit = np.abs(c) + l1 + roots * float(roots @ np.abs(w))
        missed = (np.abs(slopes + l2 * w) > l1 + _ROUNDING * unit) & (w == 0.0) & curved
        missed[working.columns] = False
        if not missed.any():
            break
        needed = (w != 0.0) | missed
        needed[working.columns] = True
    return w, slopes


def _within(H: Array, c: Array, l1: Array, w: Array) -> Array:
    """Return the minimiser over all columns of a small problem, with l2 on the diagonal of H."""
    roots = np.sqrt(np.maximum(np.diagonal(H), 0.0))
    w = w.copy()
    sweep = (_sweep_compiled() if len(w) > _FEW else None) or _sweep
    gradient = H @ w - c
    best, since = np.inf, 0
    for _ in range(_MOST_ROUNDS):
        stop_point()
        sweep(H, gradient, w, l1, _SWEEPS + len(w) // 8, 2 + len(w) // 300)
        w = _by_signs(H, c, l1, w)
        gradient = H @ w - c
        missed = _missed(gradient, c, l1, w, roots)
        if missed <= _ROUNDING:
            break
        # Rounding may be larger where columns are redundant; then rounds no longer help.
        best, since = (missed, 0) if missed < 0.5 * best else (best, since + 1)
        if since >= 10 and missed <= 1e3 * _ROUNDING:
            break
    return w


def _missed(gradient: Array, c: Array, l1: Array, w: Array, roots: Array) -> float:
    """Return by which share of their terms the conditions of the optimum are missed, at most."""
    unit = np.abs(c) + l1 + roots * float(roots @ np.abs(w))
    kept = np.abs(gradient + l1 * np.sign(w))
    subgradient = np.where(w != 0.0, kept, np.maximum(np.abs(gradient) - l1, 0.0))
    with np.errstate(invalid="ignore"):
        return float(np.max(np.where(roots > 0.0, subgradient / unit, 0.0), initial=0.0))


def _sweep(H: Array, gradient: Array, w: Array, l1: Array, most: int, quiet: int) -> None:
    """Descend along each coordinate in turn, until no sign has changed in `quiet` sweeps.

    `gradient` and `w` are worked on in place. Also compiled by Numba.
    """
    k, since = len(w), 0
    for _ in range(most):
        since += 1
        for j in range(k):
            h, old = H[j, j], w[j]
            if h <= 0.0:
                continue
            target = old * h - gradient[j]
            if target > l1[j]:
                new = (target - l1[j]) / h
            elif target < -l1[j]:
                new = (target + l1[j]) / h
            else:
                new = 0.0
            if new != old:
                w[j] = new
                gradient += (new - old) * H[j]
                if (new > 0.0) != (old > 0.0) or (new < 0.0) != (old < 0.0):
                    since = 0
        if since >= quiet:
            break


@cache
def _sweep_compiled() -> Callable[[Array, Array, Array, Array, int, int], None] | None:
    if importlib.util.find_spec("numba") is None:
        return None
    import numba

    compiled: Callable[[Array, Array, Array, Array, int, int], None] = numba.njit(
        error_model="numpy", nogil=True, cache=True
    )(_sweep)
    return compiled


def _by_signs(H: Array, c: Array, l1: Array, w: Array) -> Array:
    """Solve for the coefficients that are not zero, and go there as far as it is downwards."""
    support = np.flatnonzero(w)
    if not len(support):
        return w
    part = H if len(support) == len(w) else H[np.ix_(support, support)]
    signs = np.sign(w[support])
    right = c[support] - l1[support] * signs
    old = w[support]
    regular, solved = _equations(part, right, old)
    ended = np.zeros_like(w)
    crossing = (solved * signs < 0.0) & (l1[support] > 0.0)
    if regular and not crossing.any():
        ended[support] = solved
        return ended
    ended[support] = _downwards(part, c[support], l1[support], old, solved - old)
    return ended


def _equations(H: Array, right: Array, near: Array) -> tuple[bool, Array]:
    """Return the solution; for a matrix that is singular to rounding, one of all but that."""
    shift, unit = 0.0, float(np.diagonal(H).mean())
    while shift <= 1.0:
        shifted = H + (shift * unit) * np.eye(len(H)) if shift else H
        factor, info = dpotrf(shifted.T, lower=1, clean=0)
        diagonal = np.diagonal(factor)
        if info == 0 and diagonal.min() ** 2 > 1e-15 * (diagonal.max() ** 2):
            if shift:  # a proximal step from where we are, which moves along what is left open, too
                return False, near + dpotrs(factor, right - H @ near, lower=1)[0]
            solved = dpotrs(factor, right, lower=1)[0]
            return True, solved + dpotrs(factor, right - H @ solved, lower=1)[0]
        shift = max(_FIRST_SHIFT, shift * _SHIFT_FACTOR)
    return False, near


def _downwards(H: Array, c: Array, l1: Array, w: Array, direction: Array) -> Array:
    """Return the lowest point between w and ``w + direction``, with exact zeros.

    Along the line the objective is a convex quadratic between the zeros of coefficients.
    """
    signs = np.sign(w)
    curvature = max(float(direction @ (H @ direction)), 0.0)
    slope = float((H @ w - c + l1 * signs) @ direction)
    if not slope < 0.0:
        return w
    turning = np.flatnonzero((w * direction < 0.0) & (l1 > 0.0))
    at = -w[turning] / direction[turning]
    order = np.argsort(at, kind="stable")
    length = 1.0
    for i in order:
        t = float(at[i])
        if t >= 1.0:
            break
        if slope + t * curvature >= 0.0:
            break
        j = turning[i]
        slope += 2.0 * l1[j] * abs(direction[j])
        if slope + t * curvature >= 0.0:
            length = t
            break
    if curvature > 0.0:
        length = min(length, max(-slope / curvature, 0.0)) if slope < 0.0 else length
    ended = w + length * direction
    exact = at == length
    ended[turning[exact]] = 0.0
    return ended
