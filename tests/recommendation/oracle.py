"""Alternating least squares with dense matrices in float64, row by row."""

import numpy as np
import scipy.sparse as sp


def weights(R, observed, model):
    """Return confidence and target of all pairs."""
    if model.feedback == "explicit":
        return observed.astype(float), R
    return np.where(observed, 1 + model.alpha * np.abs(R), 1.0), (R > 0).astype(float)


def strengths(observed, model):
    counts = observed.sum(axis=1)
    return np.where(counts > 0, model.reg * np.maximum(counts, 1.0) ** model.reg_exponent, 0)


def solved(R, observed, other, model):
    """Return the factors of the rows of R."""
    C, P = weights(R, observed, model)
    penalty, k = strengths(observed, model), other.shape[1]
    out = np.zeros((len(R), k))
    for row in range(len(R)):
        if observed[row].any():
            A = (other.T * C[row]) @ other + penalty[row] * np.eye(k)
            out[row] = np.linalg.solve(A, other.T @ (C[row] * P[row]))
    return out


def objective(R, observed, users, items, model):
    C, P = weights(R, observed, model)
    fit = (C * (P - users @ items.T) ** 2).sum()
    of_users = strengths(observed, model) @ (users**2).sum(axis=1)
    return fit + of_users + strengths(observed.T, model) @ (items**2).sum(axis=1)


def random_ratings(rng, n_users, n_items, density, *, negative=False, stars=False):
    """Return a CSR matrix with rows and columns that have nothing, too."""
    R = sp.random(n_users, n_items, density, format="csr", random_state=rng)
    R.data = rng.integers(1, 6, len(R.data)).astype(float)
    if negative:
        R.data[::5] *= -1
    if stars:
        R.data = R.data - 0.5
    return R
