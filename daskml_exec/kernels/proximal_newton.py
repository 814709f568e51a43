r"""Newton's method for a smooth convex function plus L1 penalties, as an explicit state.

.. math:: \min_u f(u) + \sum_j l_j |u_j|

As in `lbfgs`, `start` names the first point, the caller evaluates f and its gradient at
``state.trial`` and passes them to `advance`, and `steer` chooses the next step: to the minimiser
of a quadratic model of f with the penalties as they are [1]_. The model's matrix is the caller's,
a Hessian from an earlier point or from a sample; the memory of steps since, and of the changes of
the gradient that they made, corrects it by BFGS's formula [2]_. Coefficients of zero are exactly
that. The state is immutable and picklable, and knows nothing of who evaluates f.

.. [1] Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite
   functions, SIAM Journal on Optimization 24.
.. [2] Nocedal and Wright (2006), Numerical Optimization, formula 6.19.
"""

from dataclasses import dataclass, replace

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.coordinate_descent import coordinate_descent

MEMORY = 10
# Sufficient decrease, as a share of what the linear model of f promises.
_ARMIJO = 1e-4
# Differences of the objective below this share of it are rounding; slopes decide then.
_ROUNDING = 1e-10
_MAX_TRIALS = 30


@dataclass(frozen=True)
class ProximalState:
    """A point that is accepted, and a line search from it if one is under way."""

    trial: Array
    """Where f is to be evaluated next."""
    point: Array
    l1: Array
    """The l of coordinates; like `point`, or of a shape that goes with it."""
    value: float = np.inf
    """Of f and the penalties."""
    gradient: Array | None = None
    """Of f alone."""
    direction: Array | None = None
    """Of the line search under way; None when the next thing to do is to `steer`."""
    step: float = 0.0
    promised: float = 0.0
    """By how much a whole step changes the objective, were f linear; negative."""
    trials: int = 0
    steps: tuple[Array, ...] = ()
    changes: tuple[Array, ...] = ()
    memory: int = MEMORY
    """How many steps are remembered."""
    n_iter: int = 0
    converged: bool = False
    stuck: bool = False

    @property
    def done(self) -> bool:
        """Whether there is nothing left to evaluate."""
        return self.converged or self.stuck

    @property
    def needs_direction(self) -> bool:
        """Whether a point was accepted and the next step is to be chosen."""
        return not self.done and self.gradient is not None and self.direction is None

    @property
    def gradient_norm(self) -> float:
        """Largest component of the least subgradient at the accepted point."""
        if self.gradient is None:
            return np.inf
        least = least_subgradient(self.gradient, self.point, self.l1)
        return float(np.abs(least).max(initial=0.0))


def least_subgradient(gradient: Array, point: Array, l1: Array) -> Array:
    """Return the subgradient of least norm of the objective: zero at the optimum.

    Examples
    --------
    >>> import numpy as np
    >>> gradient, point = np.array([0.5, -3.0, 1.0]), np.array([0.0, 0.0, 2.0])
    >>> least_subgradient(gradient, point, np.ones(3)).tolist()
    [0.0, -2.0, 2.0]
    """
    beyond = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0.0)
    least: Array = np.where(point != 0.0, gradient + l1 * np.sign(point), beyond)
    return least


def start(point: Array, l1: Array, *, memory: int = MEMORY) -> ProximalState:
    """Return the state that asks for f at `point`."""
    return ProximalState(trial=point, point=point, l1=l1, memory=memory)


def forget(state: ProximalState) -> ProximalState:
    """Return the state without its memory of past steps, for a new matrix."""
    return replace(state, steps=(), changes=())


def advance(state: ProximalState, value: float, gradient: Array, tol: float) -> ProximalState:
    """Take in value and gradient of f at ``state.trial``.

    A trial is accepted when the objective has decreased by a share of what the linear model of f
    promised. When values differ by no more than rounding, the slope at the trial decides in place
    of them, as in `lbfgs`.

    Parameters
    ----------
    state : ProximalState
    value : float
    gradient : array
    tol : float
        The largest component of the least subgradient at convergence.

    Returns
    -------
    ProximalState
        Either ``done``, or with ``needs_direction``, or with another ``trial``.

    Examples
    --------
    >>> import numpy as np
    >>> state = start(np.array([3.0, -2.0]), np.ones(2))
    >>> while not state.done:
    ...     if state.needs_direction:
    ...         state = steer(state, np.eye(2))
    ...     x = state.trial - np.array([2.0, 0.5])
    ...     state = advance(state, 0.5 * x @ x, x, tol=1e-10)
    >>> state.point.tolist()
    [1.0, 0.0]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        value += float(np.sum(state.l1 * np.abs(state.trial)))
    if state.gradient is None:
        return _accepted(replace(state, value=value, gradient=gradient), tol)
    assert state.direction is not None, "steer comes first"
    if _acceptable(state, value, gradient):
        return _accepted(_moved(state, value, gradient), tol)
    return _shorter(state, value)


def visit(
    state: ProximalState, point: Array, value: float, gradient: Array, tol: float
) -> ProximalState:
    """Take in f at a point that others have chosen, and move there if the objective is lower.

    Not during a line search. What the gradient has turned by on the way is remembered.

    Parameters
    ----------
    state, value, gradient, tol
        As of `advance`.
    point : array
    """
    assert state.gradient is not None and state.direction is None, "a line search is under way"
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        return state
    value += float(np.sum(state.l1 * np.abs(point)))
    there = _moved(replace(state, trial=point), value, gradient)
    if value > state.value:
        return replace(state, steps=there.steps, changes=there.changes)
    return _accepted(there, tol)


def steer(state: ProximalState, matrix: Array, columns: Array | None = None) -> ProximalState:
    """Choose the step to the minimiser of the quadratic model with the penalties.

    Parameters
    ----------
    state : ProximalState
    matrix : array of shape (k, k)
        A Hessian of f, positive semidefinite, over the coordinates that may move.
    columns : array of shape (k,), optional
        Which these are, in the flattened point; None for all.

    Returns
    -------
    ProximalState
        With a ``trial``; or ``stuck``, where rounding leaves no step that would decrease anything.
    """
    for tried in (state, forget(state)):
        direction = model_step(tried, matrix, columns)
        promised = promised_change(tried, direction)
        if promised < 0.0:
            return replace(
                tried,
                trial=tried.point + direction,
                direction=direction,
                step=1.0,
                promised=promised,
                trials=0,
            )
    return replace(state, direction=None, trial=state.point, stuck=True)


def model_step(state: ProximalState, matrix: Array, columns: Array | None = None) -> Array:
    """Return the step from the accepted point to the minimiser of the model."""
    assert state.gradient is not None
    which = slice(None) if columns is None else columns
    point, gradient = state.point.ravel()[which], state.gradient.ravel()[which]
    l1 = np.broadcast_to(state.l1, state.point.shape).ravel()[which]
    steps = [s.ravel()[which] for s in state.steps]
    changes = [y.ravel()[which] for y in state.changes]
    matrix = with_memory(matrix, steps, changes)
    target = coordinate_descent(matrix, matrix @ point - gradient, l1, start=point)
    moved = np.zeros(state.point.size)
    moved[which] = target - point
    return moved.reshape(state.point.shape)


def promised_change(state: ProximalState, direction: Array) -> float:
    """Return the change of the objective along a whole step, were f linear."""
    assert state.gradient is not None
    before, after = np.abs(state.point), np.abs(state.point + direction)
    return float(np.vdot(state.gradient, direction)) + float(np.sum(state.l1 * (after - before)))


def with_memory(matrix: Array, steps: list[Array], changes: list[Array]) -> Array:
    """Return the matrix that BFGS's formula makes of this one, a new one, step by step."""
    matrix = matrix.astype(np.float64)
    for s, y in zip(steps, changes, strict=True):
        image = matrix @ s
        curvature, product = float(s @ image), float(s @ y)
        if not (curvature > 0.0 and product > 0.0):
            continue
        matrix -= np.outer(image, image / curvature)
        matrix += np.outer(y, y / product)
    return matrix


def _acceptable(state: ProximalState, value: float, gradient: Array) -> bool:
    if not np.isfinite(value) or not np.isfinite(gradient).all():
        return False
    if abs(value - state.value) > _ROUNDING * abs(state.value):
        return value <= state.value + _ARMIJO * state.step * state.promised
    assert state.direction is not None
    # From where the step came, a coefficient that it makes zero still falls.
    towards = np.where(state.trial != 0.0, np.sign(state.trial), -np.sign(state.direction))
    slope = float(np.sum((gradient + state.l1 * towards) * state.direction))
    return slope <= (2 * _ARMIJO - 1) * state.promised


def _moved(state: ProximalState, value: float, gradient: Array) -> ProximalState:
    assert state.gradient is not None
    step, change = state.trial - state.point, gradient - state.gradient
    steps, changes = state.steps, state.changes
    if float(np.vdot(step, change)) > np.finfo(np.float64).eps * float(np.vdot(change, change)):
        kept = slice(-state.memory, None)
        steps, changes = (*steps, step)[kept], (*changes, change)[kept]
    return replace(
        state,
        point=state.trial,
        value=value,
        gradient=gradient,
        steps=steps,
        changes=changes,
        n_iter=state.n_iter + 1,
    )


def _accepted(state: ProximalState, tol: float) -> ProximalState:
    state = replace(state, trial=state.point, direction=None, trials=0)
    return replace(state, converged=state.gradient_norm <= tol)


def _shorter(state: ProximalState, value: float) -> ProximalState:
    """Shorten the step to where a parabola through the values is least, within bounds."""
    assert state.direction is not None
    if state.trials >= _MAX_TRIALS:
        if state.steps:
            return replace(forget(state), trial=state.point, direction=None)
        return replace(state, trial=state.point, direction=None, stuck=True)
    step, share = state.step, 0.1
    rise = value - state.value - step * state.promised
    if np.isfinite(rise) and rise > 0.0:
        share = min(max(-0.5 * step * state.promised / rise, 0.1), 0.5)
    step *= share
    return replace(
        state,
        trial=state.point + step * state.direction,
        step=step,
        trials=state.trials + 1,
    )
