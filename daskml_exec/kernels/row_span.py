r"""A penalised generalised linear model in the span of its rows, for fewer rows than columns.

With a penalty the optimum is a combination of the rows, :math:`w = X^\top a`, so that one number a
row and output says all (Schoelkopf, Herbrich and Smola 2001, A generalized representer theorem).
Newton's method for a needs the rows' inner products alone, once; each step factorises a matrix
with a row and a column for each row of X. Formulas as in Rasmussen and Williams (2006), Gaussian
Processes for Machine Learning, section 3.4, whose covariance is the Gram matrix by the penalty,
and with intercepts, which are not penalised.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.losses import Loss, far_steps, weighted_residuals
from daskml_exec.kernels.stop_points import stop_point

# Rows whose inner products with as many others are found by one call.
_TILE = 512
# What rounding makes of inner products may be this share of the penalty: directions in which
# curvature is nearer to rounding would not be determined by the rows.
_ROUNDING = 1e-2
# Of the largest curvature; less would be lost beside it.
_LEAST_CURVATURE = 1e-30
# After a step from where the expected decrease was this small, in the unit, nothing is left; nor
# where it was nearly so, and no longer falls: rounding decides.
_LAST_DECREASE, _NEARLY_LAST = 1e-20, 1e-15
_MAX_STEPS, _MAX_TRIALS = 100, 60
# By conjugate gradients Newton's equations are solved to this share; so many iterations at most,
# and after so many a new factor stands in for the inverse.
_PRECISION, _MAX_ITER, _WORTH_A_FACTOR = 1e-2, 60, 8


@dataclass(frozen=True)
class RowSpan:
    """Rows less their center, and their inner products.

    Columns that do not vary are left out: zero in `X`, or in the mask of sparse rows.
    """

    X: Any
    """Centred if dense; CSR rows are as they are, and `center` is taken from products."""
    center: Array
    gram: Array

    def margins(self, coef: Array) -> Array:
        """Return the products of the centred rows with coefficients (K, d), of shape (K, n)."""
        if not sp.issparse(self.X):
            return coef @ self.X.T
        margins: Array = np.ascontiguousarray((self.X @ coef.T).T)
        return margins - (coef @ self.center)[:, None]

    def combined(self, a: Array) -> Array:
        """Return combinations of the centred rows, of shape (K, d), with factors (K, n)."""
        if not sp.issparse(self.X):
            return a @ self.X
        combined: Array = np.ascontiguousarray((self.X.T @ a.T).T)
        return combined - a.sum(axis=1)[:, None] * self.center


def row_span(
    X: Any,
    center: Array,
    varies: Any,
    *,
    over: Callable[..., Iterable[Any]] = map,
    overwrite: bool = False,
) -> RowSpan:
    """Return the span of rows (n, d), less `center` (d,), of the columns that vary.

    The inner products of dense rows are found tile by tile, by calls that `over` makes in any
    order, or side by side. With `overwrite` a dense X is spent.

    Examples
    --------
    >>> X = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> row_span(X, np.array([2.0, 5.0]), np.array([True, False])).gram
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    center = np.where(varies, center, 0.0)
    if not sp.issparse(X):
        X = np.subtract(X, center, out=X if overwrite else None)
        X[:, ~varies] = 0.0
        return RowSpan(X, center, _inner_products(X, over))
    X = X if varies.all() else sp.csr_array(X.multiply(varies[None, :]))
    along = X @ center
    gram = (X @ X.T).toarray() - along[:, None] - along + float(center @ center)
    return RowSpan(X, center, gram)


def _inner_products(X: Array, over: Callable[..., Iterable[Any]]) -> Array:
    starts = range(0, len(X), _TILE)
    gram = np.empty((len(X), len(X)))

    def fill(tile: tuple[int, int]) -> None:
        rows, columns = (slice(start, start + _TILE) for start in tile)
        np.matmul(X[rows], X[columns].T, out=gram[rows, columns])
        if rows != columns:
            gram[columns, rows] = gram[rows, columns].T

    for _ in over(fill, [(i, j) for i in starts for j in starts if j <= i]):
        stop_point()
    return gram


@dataclass(frozen=True)
class SpanPoint:
    """Factors of the rows (K, n), intercepts (K,), and the margins (K, n) that they give."""

    factors: Array
    intercept: Array
    margins: Array


@dataclass(frozen=True)
class SpanProblem:
    r"""The objective :math:`\sum_i \omega_i\,\ell(z_i, y_i) + \tfrac12 \lambda\, a^\top G a`."""

    loss: Loss
    gram: Array
    y: Array
    share: Array
    """The weights, which add up to one."""
    penalty: float
    fit_intercept: bool

    def start(self, intercept: Array) -> SpanPoint:
        """Return the point without coefficients."""
        factors = np.zeros((self.loss.n_outputs, len(self.y)))
        return SpanPoint(factors, intercept, factors + intercept[:, None])

    def optimum(
        self, at: SpanPoint, unit: Callable[[float], float], max_steps: int
    ) -> tuple[SpanPoint, "InnerSolver", int] | None:
        """Go to where the objective is least; None where rounding says where that is.

        Parameters
        ----------
        at : SpanPoint
            Where to start.
        unit : callable
            In which decreases of an objective of this value are measured.
        max_steps : int
            At least one.

        Returns
        -------
        at : SpanPoint
        solver : InnerSolver
            Newton's equations near it.
        steps : int
            That were taken.
        """
        solver, renew, steps, before = None, False, 0, np.inf
        while steps < min(max_steps, _MAX_STEPS):
            stop_point()
            value, residual = self._residual(at.margins)
            gradient = residual + self.penalty * at.factors
            fresh = solver is None or renew
            if solver is None or renew:
                solver = InnerSolver.of(self.gram, self.curvatures(at.margins), self.penalty)
                if solver is None:
                    return None
            if fresh and self.loss.n_outputs == 1:
                factors, intercept = solver.solve(-gradient, self._total)
                renew = False
            else:
                factors, intercept, taken = self._conjugate(solver, at.margins, -gradient)
                # Iterations cost a tenth of a factor or less.
                renew = taken > _WORTH_A_FACTOR
            steps += 1
            moved = SpanPoint(factors, intercept, factors @ self.gram + intercept[:, None])
            value += 0.5 * self.penalty * self._square(at, at)
            slope = float(np.vdot(residual, moved.margins))
            slope += self.penalty * self._square(at, moved)
            if not slope < 0:
                break
            step = self._step(at, moved, slope)
            if not step:
                break
            at = SpanPoint(
                at.factors + step * moved.factors,
                at.intercept + step * moved.intercept,
                at.margins + step * moved.margins,
            )
            size = unit(value)
            if -slope <= _LAST_DECREASE * size or 0.1 * before < -slope <= _NEARLY_LAST * size:
                break
            before = -slope
        assert solver is not None
        return at, solver, steps

    @property
    def _total(self) -> Array | None:
        """What factors add up to: nothing, as the intercepts' gradients are zero at the optimum."""
        return np.zeros(self.loss.n_outputs) if self.fit_intercept else None

    def _square(self, a: SpanPoint, b: SpanPoint) -> float:
        """Return the inner product of the coefficients of two points."""
        return float(np.vdot(a.factors, b.margins - b.intercept[:, None]))

    def _residual(self, margins: Array) -> tuple[float, Array]:
        with far_steps():
            return weighted_residuals(self.loss, margins.copy(), self.y, self.share)

    def curvatures(self, margins: Array) -> Array:
        """Return each row's second derivative with its share; the mean of several outputs'."""
        curvature = self.loss.curvatures(margins)
        if self.loss.n_outputs == 1:
            return self.share * curvature[0]
        own: Array = (curvature * (1.0 - curvature)).mean(axis=0)
        return self.share * own

    def _conjugate(
        self, solver: "InnerSolver", margins: Array, right: Array
    ) -> tuple[Array, Array, int]:
        """Solve Newton's equations by conjugate gradients, in the product of the rows.

        What stands in for the curvatures here are those of another point; and for those that
        couple classes, their mean, row by row. Returns how many iterations that took, too.
        """
        curvature, K = self.loss.curvatures(margins), len(right)
        number = 0
        x, x_intercept = np.zeros_like(right), np.zeros(K)
        size = first = 0.0
        direction, d_intercept = np.zeros_like(right), np.zeros(K)
        for number in range(_MAX_ITER):
            stop_point()
            solved, s_intercept = solver.solve(right, self._total)
            if K > 1:  # all classes' intercepts together change nothing
                s_intercept = s_intercept - s_intercept.mean()
            before = size
            size = float(np.vdot(solved @ self.gram, right))
            size += float(s_intercept @ right.sum(axis=1))
            first = size if number == 0 else first
            if not size > _PRECISION**2 * first:
                break
            ratio = size / before if number else 0.0
            direction = solved + ratio * direction
            d_intercept = s_intercept + ratio * d_intercept
            inner = direction @ self.gram + d_intercept[:, None]
            image = curvature * inner
            if K > 1:
                image -= curvature * image.sum(axis=0)
            image *= self.share
            curved = float(np.vdot(inner, image))
            of_direction = self.penalty * direction
            curved += float(np.vdot(inner - d_intercept[:, None], of_direction))
            if not curved > 0:
                break
            step = size / curved
            x, x_intercept = x + step * direction, x_intercept + step * d_intercept
            right = right - step * (image + of_direction)
        return x, x_intercept, number

    def _step(self, at: SpanPoint, moved: SpanPoint, slope: float) -> float:
        """Return how far to go: to where the slope along the step is nearly zero.

        Margins are linear in the step, so that a trial costs next to nothing.
        """
        bend = self.penalty * self._square(moved, moved)
        first = self.penalty * self._square(at, moved)
        low, high, step = 0.0, np.inf, 1.0
        for _ in range(_MAX_TRIALS):
            with far_steps():
                _, residual = self._residual(at.margins + step * moved.margins)
                now = float(np.vdot(residual, moved.margins)) + first + step * bend
            if abs(now) <= 0.1 * -slope:
                return step
            if now < 0:
                low = step
                step = 2.0 * step if high == np.inf else 0.5 * (low + high)
            else:
                high = step
                step = 0.5 * (low + high)
        return low


@dataclass(frozen=True)
class InnerSolver:
    r"""Newton's equations, factorised, for each output by itself.

    With D the curvatures and G the Gram matrix, :math:`(\lambda + D G)\,a + D b = r` for right
    sides r (K, n), and factors a that add up to what b is to make them.
    """

    root: Array
    factor: Array
    penalty: float
    of_ones: Array

    @classmethod
    def of(cls, gram: Array, curvature: Array, penalty: float) -> "InnerSolver | None":
        """Factorise for the rows' curvatures (n,), each with its share of the weights.

        Returns None where rounding of the inner products is not small beside the penalty, as with
        columns of very unlike units, or next to no penalty.
        """
        root = np.sqrt(np.maximum(curvature, _LEAST_CURVATURE * curvature.max(initial=0.0)))
        matrix = gram * root
        matrix *= root[:, None]
        diagonal = np.diag_indices_from(matrix)
        rounding = len(root) * np.finfo(matrix.dtype).eps * float(matrix[diagonal].max(initial=0.0))
        if not rounding <= _ROUNDING * penalty:
            return None
        matrix[diagonal] += penalty
        factor = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
        of_ones = scipy.linalg.cho_solve((factor, True), root, check_finite=False)
        return cls(root, factor, penalty, of_ones)

    def solve(self, right: Array, total: Array | None) -> tuple[Array, Array]:
        """Return a (K, n), whose sums are `total`, and b (K,); without sums b is zero."""
        right_by_root = np.ascontiguousarray((right / self.root).T)
        solved = scipy.linalg.cho_solve((self.factor, True), right_by_root, check_finite=False)
        factors: Array = np.ascontiguousarray(solved.T) * self.root
        if total is None:
            return factors, np.zeros(len(right))
        intercept = (factors.sum(axis=1) - total) / float(self.root @ self.of_ones)
        return factors - intercept[:, None] * (self.root * self.of_ones), intercept
