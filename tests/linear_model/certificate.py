"""How far an optimum is, by a Newton step whose gradient is summed in extended precision.

Where solvers in double precision have no digits left to be an oracle with (columns in units that
differ by many powers of ten, classes far apart, penalties next to nothing), the step itself is.
"""

import numpy as np
import scipy.sparse as sp

LONG = np.longdouble


def distance(family, X, y, coef, intercept, weight=None, *, penalty, fit_intercept=True):
    """Return the Newton step and the values it changes, columns in units of their spread.

    Parameters
    ----------
    family : {"logistic", "poisson"}
    coef, intercept : arrays of shape (K, d) and (K,)
    penalty : float
        Its coefficient beside the sum of the weighted losses.

    Returns
    -------
    step, at : arrays of shape (K, d)
        In units in which each column has the variance one.
    gain : float
        That the step promises, relative to the objective.
    """
    X = np.asarray(X.toarray() if sp.issparse(X) else X, LONG)
    w = np.ones(len(y), LONG) if weight is None else np.asarray(weight, LONG)
    center = w @ X / w.sum() if fit_intercept else np.zeros(X.shape[1], LONG)
    unit = np.sqrt(w @ (X - center) ** 2 / w.sum())
    unit[unit == 0] = 1
    u = np.column_stack([(X - center) / unit, np.full(len(y), LONG(fit_intercept))])
    at = np.asarray(coef, LONG) * unit
    level = np.asarray(intercept, LONG) + np.asarray(coef, LONG) @ center
    ridge = np.append(LONG(penalty) / unit**2, LONG(0))
    z = u[:, :-1] @ at.T + level
    loss, residual, curvature = _LOSSES[family](z, np.asarray(y))
    K, p = len(at), u.shape[1]
    gradient = (residual * w[:, None]).T @ u + ridge * np.column_stack([at, level])
    blocks = np.einsum("i,ikl,ip,iq->kplq", w, curvature, u, u, optimize=True)
    hessian = np.float64(blocks.reshape(K * p, K * p)) + np.diag(np.tile(np.float64(ridge), K))
    size = np.sqrt(np.maximum(np.diagonal(hessian), 1e-300))
    scaled = np.float64(gradient.ravel() / size)
    moved = np.linalg.lstsq(hessian / np.outer(size, size), scaled, rcond=1e-15)[0]
    value = float(w @ loss + (ridge[:-1] * at**2).sum() / 2)
    step = (moved / size).reshape(K, p)
    return step[:, :-1], np.float64(at), 0.5 * float(moved @ scaled) / abs(value)


def assert_near(family, coef, intercept, X, y, weight=None, *, strength, tol=1e-6, **options):
    """Assert that the optimum is no farther than `tol` of the coefficients' norm.

    `strength` is C of "logistic" and alpha of "poisson", as in scikit-learn.
    """
    total = len(y) if weight is None else np.sum(weight)
    penalty = 1.0 / strength if family == "logistic" else strength * total
    step, at, gain = distance(
        family,
        X,
        y,
        np.atleast_2d(coef),
        np.atleast_1d(intercept),
        weight,
        penalty=penalty,
        **options,
    )
    if len(step) > 1:
        step = step - step.mean(axis=0)
    assert np.linalg.norm(step) <= tol * np.linalg.norm(at)
    assert abs(gain) <= tol**2


def _logistic(z, y):
    if z.shape[1] == 1:
        far = np.where(y == 1, -z[:, 0], z[:, 0])
        p = 1 / (1 + np.exp(-z[:, 0]))
        q = 1 / (1 + np.exp(z[:, 0]))
        residual = np.where(y == 1, -q, p)
        return np.logaddexp(LONG(0), far), residual[:, None], (p * q)[:, None, None]
    own = np.arange(z.shape[1]) == y[:, None]
    z = z - z[own][:, None]
    others = np.where(own, LONG(0), np.exp(z))
    total = 1 + others.sum(axis=1)
    p = np.exp(z) / total[:, None]
    residual = (others - own * others.sum(axis=1)[:, None]) / total[:, None]
    curvature = p[:, :, None] * np.eye(z.shape[1]) - p[:, :, None] * p[:, None, :]
    return np.log1p(others.sum(axis=1)), residual, curvature


def _poisson(z, y):
    rate = np.exp(z[:, 0])
    return rate - y * z[:, 0], (rate - y)[:, None], rate[:, None, None]


_LOSSES = {"logistic": _logistic, "poisson": _poisson}
