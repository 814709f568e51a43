"""Half-steps as the formulas say them, densely and in double, row by row."""

import numpy as np

from daskml_exec.kernels.factors.ratings import Ratings


def random_ratings(rng, counts, n_other, dtype, negative=True):
    """Return rows with so many entries each, some of them negative."""
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = [np.sort(rng.choice(n_other, n, replace=False)) for n in counts]
    indices = np.concatenate([np.empty(0), *rows]).astype(np.int32)
    values = rng.geometric(0.4, len(indices)).astype(dtype)
    if negative:
        values[rng.random(len(values)) < 0.2] *= -1
    return Ratings(indptr, indices, values)


def part(ratings, begin, end):
    """Return the rows from one on up to another."""
    first, last = ratings.indptr[begin], ratings.indptr[end]
    indptr = ratings.indptr[begin : end + 1] - first
    return Ratings(indptr, ratings.indices[first:last], ratings.values[first:last])


def systems(ratings, other, objective):
    """Yield A, b and the constant of each row, None for rows without entries."""
    other = other.astype(np.float64)
    gram, k = other.T @ other, other.shape[1]
    for begin, end in zip(ratings.indptr, ratings.indptr[1:], strict=False):
        n = end - begin
        if n == 0:
            yield None
            continue
        Y = other[ratings.indices[begin:end]]
        r = ratings.values[begin:end].astype(np.float64)
        A = objective.reg * float(n) ** objective.reg_exponent * np.eye(k)
        if objective.feedback == "explicit":
            yield A + Y.T @ Y, Y.T @ r, r @ r
        else:
            c, p = 1 + objective.alpha * np.abs(r), (r > 0).astype(float)
            yield A + gram + (c - 1) * Y.T @ Y, Y.T @ (c * p), c @ p


def exact(ratings, other, objective):
    """Return the factors that solve the normal equations, and the objectives there."""
    x = np.zeros((len(ratings.indptr) - 1, other.shape[1]))
    for i, system in enumerate(systems(ratings, other, objective)):
        if system is not None:
            x[i] = np.linalg.solve(*system[:2])
    return x, objectives(ratings, other, objective, x)


def objectives(ratings, other, objective, factors):
    """Return the objective of every row at these factors."""
    found = np.zeros(len(factors))
    for i, system in enumerate(systems(ratings, other, objective)):
        if system is not None:
            A, b, constant = system
            x = factors[i].astype(np.float64)
            found[i] = x @ A @ x - 2 * b @ x + constant
    return found
