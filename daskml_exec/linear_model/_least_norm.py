r"""Of all least squares solutions the one of least norm, where only products with rows are known.

A search in standardised coordinates :math:`u = w s` that begins at zero ends at the solution of
least :math:`\|u\|`, and not of least :math:`\|w\|`, if columns are redundant. The difference lies
in the null space N of the standardised columns A. It is found by conjugate gradients over N for
:math:`\tfrac12 \|u / s\|^2`, whose gradient is projected on N in each step: the projection of q is
where a search for :math:`\min \tfrac12 \|A x\|^2` ends that begins at q, because it moves along
rows of A alone (Golub and Van Loan 2013, Matrix Computations, sections 5.5 and 11.3).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from daskml_exec.kernels import lbfgs

Array = np.ndarray[Any, np.dtype[np.float64]]
Evaluate = Callable[[Array], tuple[float, Array]]
"""Returns half the squared norm of A x, per unit of weight, and its gradient."""

# A x is nothing where its gradient is below this share of x: singular values of the standardised
# columns below the root of this share of about one count as zero.
_NULL = 1e-13
# A projection below this share of what was projected is nothing.
_NOTHING = 1e-9
_MAX_STEPS = 50


def least_norm(
    point: Array, weights: Array, evaluate: Evaluate, *, memory: int, max_iter: int
) -> tuple[Array, bool]:
    r"""Return the point of least :math:`\sum_j (u_j t_j)^2` that has the same A u.

    Parameters
    ----------
    point : array of shape (1, p)
    weights : array of shape (1, p)
        The t; zero where a coordinate costs nothing.
    evaluate : callable
    memory, max_iter : int
        Of each search.

    Returns
    -------
    point : array of shape (1, p)
    converged : bool
        Whether it is that point.

    Examples
    --------
    Two columns that are the same, but for their units.

    >>> def evaluate(x):
    ...     z = x.sum()
    ...     return 0.5 * z * z, np.full((1, 2), z)
    >>> start, weights = np.ones((1, 2)), np.array([[1.0, 3.0]])
    >>> least_norm(start, weights, evaluate, memory=5, max_iter=9)[0].round(6)
    array([[1.8, 0.2]])
    """
    squared = weights**2

    def projected(q: Array) -> tuple[Array, bool]:
        return _on_null_space(q, evaluate, memory=memory, max_iter=max_iter)

    whole = float(np.linalg.norm(point * squared))
    residual, reliable = projected(point * squared)
    if not reliable:
        return point, False
    direction, size = residual, float(np.vdot(residual, residual))
    for _ in range(_MAX_STEPS):
        if size <= (_NOTHING * whole) ** 2:
            return point, True
        image, reliable = projected(direction * squared)
        curvature = float(np.vdot(direction, image))
        if not reliable or not curvature > 0:
            return point, False
        step = size / curvature
        point, residual = point - step * direction, residual - step * image
        before, size = size, float(np.vdot(residual, residual))
        direction = residual + size / before * direction
    return point, False


def _on_null_space(
    q: Array, evaluate: Evaluate, *, memory: int, max_iter: int
) -> tuple[Array, bool]:
    """Return the projection of q, and whether it is one; zero where it is next to nothing."""
    whole = float(np.linalg.norm(q))
    search = lbfgs.start(q, memory=memory)
    while True:
        accepted = search.gradient is not None and search.direction is None
        if accepted or search.stuck:
            assert search.gradient is not None
            size = float(np.linalg.norm(search.point))
            if size <= _NOTHING * whole:
                return np.zeros_like(q), True
            if float(np.linalg.norm(search.gradient)) <= _NULL * size:
                return search.point, True
            if search.stuck or search.n_iter >= max_iter:
                return search.point, False
            search = lbfgs.steer(search)
        search = lbfgs.advance(search, *evaluate(search.trial), tol=0.0)
