"""A sample of rows, pooled on the driver: where a Newton fit starts.

A sample drawn evenly from all partitions knows nothing of how rows are distributed over them, so
that its optimum is as good a start for rows sorted by label or by time as for shuffled ones.
Averages of the partitions' own optima are not.
"""

from typing import Any

import numpy as np
import scipy.linalg

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.array_namespace import is_host, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Gaussian, Target
from daskml_exec.kernels.hessian_sums import hessian_sums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._problem import GLMProblem, Pool, parameters_at, sample_of
from daskml_exec.partitions import Partition

_MAX_ITER = 100
# The sample's optimum is off by its own noise, of which this share is as good as none.
_PRECISION = 0.1
# A matrix with one row and column per coordinate is factorised up to this many.
_LARGEST_FACTOR = 1000


def pool_of(partition: Partition, share: float) -> Pool:
    """Return a partition's part of a sample of this share of all rows."""
    if not share:
        return Pool()
    sample = sample_of(partition, share)
    X, y, weight = sample.X, sample.y, sample.sample_weight
    n = X.shape[0]
    if n == 0:
        return Pool()
    weight = np.ones(n) if weight is None else _on_host(weight)
    return Pool(((_on_host(X), _on_host(y), weight),))


def _on_host(array: Any) -> Any:
    return array if is_host(array) else to_host(array)


def pooled_optimum(
    problem: GLMProblem,
    rows: Partition,
    coordinates: Standardisation,
    start: Array,
    weight: float,
    target: Target,
    gram: Array | None = None,
) -> Array:
    """Return where the sample's own objective is least, as far as its noise allows to tell.

    A proximity to the start, which weighs as much as one row, keeps coefficients finite that the
    sample alone does not determine. `gram` is as of `gram_of`, if it is known.
    """
    n = rows.X.shape[0]
    proximity = 1.0 / n
    gram = gram_of(rows, coordinates) if gram is None else gram
    apply = _preconditioner(gram, coordinates, problem, weight, target, proximity)
    search = lbfgs.start(start)
    while not search.done and search.n_iter < _MAX_ITER:
        if search.needs_direction:
            search = lbfgs.steer_by(search, apply)
        at = parameters_at(coordinates, search.trial)
        value, gradient = problem.objective(problem.sums(rows, at), at, coordinates, weight)
        away = search.trial - start
        tol = _PRECISION / np.sqrt(n) * problem.family.gradient_unit(abs(value), target)
        value += 0.5 * proximity * float(np.vdot(away, away))
        search = lbfgs.advance(search, value, gradient + proximity * away, tol)
    return search.point


def gram_of(rows: Partition, coordinates: Standardisation) -> Array | None:
    """Return the mean products of the sample's coordinates; None where there are too many."""
    if coordinates.size > _LARGEST_FACTOR:
        return None
    origin = np.zeros((1, coordinates.size))
    gram = hessian_sums(Gaussian(), rows.X, rows.sample_weight, coordinates, origin)
    mean: Array = gram.matrix / gram.weight
    return mean


def _preconditioner(
    gram: Array | None,
    coordinates: Standardisation,
    problem: GLMProblem,
    weight: float,
    target: Target,
    proximity: float,
) -> Any:
    """Return the inverse of the Hessian with the typical curvature, the same for each output."""
    if gram is None:
        return lambda q: q
    matrix = problem.family.curvature(target) * gram
    diagonal = coordinates.penalty(problem.penalty.by_column(weight)) + proximity
    matrix[np.diag_indices_from(matrix)] += diagonal
    factor = scipy.linalg.cho_factor(matrix, lower=True, check_finite=False)
    return lambda q: scipy.linalg.cho_solve(factor, q.T, check_finite=False).T
