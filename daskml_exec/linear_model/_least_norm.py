r"""Of all least squares solutions the one of least norm, where only products with rows are known.

A search in standardised coordinates :math:`u = w s` that begins at zero ends at the solution of
least :math:`\|u\|`, and not of least :math:`\|w\|`, if columns are redundant. The difference lies
in the null space N of the standardised columns A. It is found by conjugate gradients over N for
:math:`\tfrac12 \|u / s\|^2`, whose gradient is projected on N in each step: the projection of q is
where a search for :math:`\min \tfrac12 \|A x\|^2` ends that begins at q, because it moves along
rows of A alone (Golub and Van Loan 2013, Matrix Computations, sections 5.5 and 11.3).
"""

from dataclasses import dataclass, replace

import numpy as np

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.arrays import Array

# A x is nothing where its gradient is below this share of x: singular values of the standardised
# columns below the root of this share of about one count as zero.
_NULL = 1e-13
# A projection below this share of what was projected is nothing.
_NOTHING = 1e-9
_MAX_STEPS = 50


@dataclass(frozen=True)
class Projection:
    """A vector on its way to the null space.

    Attributes
    ----------
    whole : float
        Its norm before.
    search : LBFGSState
        For the least norm of A x, which begins at it.
    max_iter : int
    result : ndarray or None
        What is left of it in the end; zero where that is next to nothing.
    reliable : bool
        Whether the result is the projection.
    """

    whole: float
    search: lbfgs.LBFGSState
    max_iter: int
    result: Array | None = None
    reliable: bool = False

    def told(self, value: float, gradient: Array) -> "Projection":
        """Take in half the squared norm of A x at the search's trial, and its gradient."""
        search = lbfgs.advance(self.search, value, gradient, tol=0.0)
        if search.direction is not None and not search.stuck:
            return replace(self, search=search)
        size = float(np.linalg.norm(search.point))
        if size <= _NOTHING * self.whole:
            return replace(self, result=np.zeros_like(search.point), reliable=True)
        if search.gradient is not None and float(np.linalg.norm(search.gradient)) <= _NULL * size:
            return replace(self, result=search.point, reliable=True)
        if search.stuck or search.n_iter >= self.max_iter:
            return replace(self, result=search.point)
        return replace(self, search=lbfgs.steer(search))


@dataclass(frozen=True)
class Steps:
    """Conjugate gradients over the null space, after the first projection.

    Attributes
    ----------
    residual, direction : ndarray
    size : float
        The residual's square.
    taken : int
    """

    residual: Array
    direction: Array
    size: float
    taken: int = 0


@dataclass(frozen=True)
class LeastNorm:
    r"""The search for the point of least :math:`\sum_j (u_j t_j)^2` that has the same A u.

    `begin` makes one; as long as it is not `ended`, half the squared norm of A x and its gradient
    are wanted at `trial`, and `told` takes them in.

    Attributes
    ----------
    point : ndarray of shape (1, p)
    squared : ndarray of shape (1, p)
        The squares of the t; zero where a coordinate costs nothing.
    whole : float
        The norm of the first gradient.
    memory, max_iter : int
        Of each projection.
    projection : Projection
        Under way.
    steps : Steps or None
        None before the first projection is known.
    ended : bool
    reached : bool
        Whether the point is the one of least norm.

    Examples
    --------
    Two columns that are the same, but for their units.

    >>> search = begin(np.ones((1, 2)), np.array([[1.0, 3.0]]), memory=5, max_iter=9)
    >>> while not search.ended:
    ...     z = search.trial.sum()
    ...     search = search.told(0.5 * z * z, np.full((1, 2), z))
    >>> search.point.round(6), search.reached
    (array([[1.8, 0.2]]), True)
    """

    point: Array
    squared: Array
    whole: float
    memory: int
    max_iter: int
    projection: Projection
    steps: Steps | None = None
    ended: bool = False
    reached: bool = False

    @property
    def trial(self) -> Array:
        """Where A x is wanted next."""
        return self.projection.search.trial

    def told(self, value: float, gradient: Array) -> "LeastNorm":
        """Take in half the squared norm of A x at the trial, per unit of weight; its gradient."""
        projection = self.projection.told(value, gradient)
        if projection.result is None:
            return replace(self, projection=projection)
        if not projection.reliable:
            return replace(self, ended=True)
        image = projection.result
        if self.steps is None:
            return self._next(Steps(image, image, float(np.vdot(image, image))))
        steps = self.steps
        curvature = float(np.vdot(steps.direction, image))
        if not curvature > 0:
            return replace(self, ended=True)
        length = steps.size / curvature
        residual = steps.residual - length * image
        size = float(np.vdot(residual, residual))
        direction = residual + size / steps.size * steps.direction
        moved = replace(self, point=self.point - length * steps.direction)
        if steps.taken + 1 >= _MAX_STEPS:
            return replace(moved, ended=True)
        return moved._next(Steps(residual, direction, size, steps.taken + 1))

    def _next(self, steps: Steps) -> "LeastNorm":
        if steps.size <= (_NOTHING * self.whole) ** 2:
            return replace(self, steps=steps, ended=True, reached=True)
        projection = _projection(steps.direction * self.squared, self.memory, self.max_iter)
        return replace(self, steps=steps, projection=projection)


def begin(point: Array, weights: Array, *, memory: int, max_iter: int) -> LeastNorm:
    r"""Return the search that begins at a solution.

    Parameters
    ----------
    point : array of shape (1, p)
    weights : array of shape (1, p)
        The t; zero where a coordinate costs nothing.
    memory, max_iter : int
        Of each projection.
    """
    squared = weights**2
    gradient = point * squared
    return LeastNorm(
        point,
        squared,
        float(np.linalg.norm(gradient)),
        memory,
        max_iter,
        _projection(gradient, memory, max_iter),
    )


def _projection(q: Array, memory: int, max_iter: int) -> Projection:
    return Projection(float(np.linalg.norm(q)), lbfgs.start(q, memory=memory), max_iter)
