"""L-BFGS for convex functions as an explicit state: who evaluates the function is not its concern.

`start` names the first point; the caller evaluates the function at ``state.trial`` and passes
value and gradient to `advance`. Either the line search goes on, or the trial is accepted, and
`steer` chooses the next direction. One evaluation may be one round over a cluster. The state is
immutable and picklable.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.blas import daxpy

from daskml_exec.kernels.arrays import Array

MEMORY = 30
# Sufficient decrease, and how much of the slope along the direction may remain.
_ARMIJO = 1e-4
_CURVATURE = 0.9
# Differences of the objective below this share of it are rounding; slopes decide then.
_ROUNDING = 1e-10
# A line search that has not ended by then is stuck in rounding.
_MAX_TRIALS = 30


@dataclass(frozen=True)
class LBFGSState:
    """A point that is accepted, and a line search from it if one is under way."""

    trial: Array
    """Where the function is to be evaluated next."""
    point: Array
    value: float = np.inf
    gradient: Array | None = None
    direction: Array | None = None
    """Of the line search under way; None when the next thing to do is to `steer`."""
    step: float = 0.0
    start_slope: float = 0.0
    low: tuple[float, float] = (0.0, 0.0)
    """Step and slope of the bracket's lower end, where the function still falls."""
    high: tuple[float, float] | None = None
    """Step and slope of the upper end, once a step was too long."""
    trials: int = 0
    steps: tuple[Array, ...] = ()
    changes: tuple[Array, ...] = ()
    products: tuple[float, ...] = ()
    """Inner products of steps and the changes of the gradient that they made."""
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
        """Whether a point was accepted and the next direction is to be chosen."""
        return not self.done and self.gradient is not None and self.direction is None

    @property
    def gradient_norm(self) -> float:
        """Largest absolute component of the gradient at the accepted point."""
        return np.inf if self.gradient is None else float(np.abs(self.gradient).max(initial=0.0))


def start(point: Array, *, memory: int = MEMORY) -> LBFGSState:
    """Return the state that asks for the function at `point`."""
    return LBFGSState(trial=point, point=point, memory=memory)


def forget(state: LBFGSState) -> LBFGSState:
    """Return the state without its memory of past steps, for a new initial inverse Hessian."""
    return replace(state, steps=(), changes=(), products=())


def advance(state: LBFGSState, value: float, gradient: Array, tol: float) -> LBFGSState:
    r"""Take in value and gradient at ``state.trial``.

    A trial is accepted when it meets the Wolfe conditions. When the values differ by no more
    than rounding, the approximate Wolfe condition on slopes alone takes the place of sufficient
    decrease [2]_: for a convex function the sign of the slope says on which side of the minimum
    a step ended, to full precision, where a difference of values has none left.

    Parameters
    ----------
    state : LBFGSState
    value : float
    gradient : array
    tol : float
        The largest component of the gradient at convergence.

    Returns
    -------
    LBFGSState
        Either ``done``, or with ``needs_direction``, or with another ``trial``.

    References
    ----------
    .. [1] Nocedal and Wright (2006), Numerical Optimization, algorithm 7.4.
    .. [2] Hager and Zhang (2005), A new conjugate gradient method with guaranteed descent and an
       efficient line search, SIAM Journal on Optimization 16.

    Examples
    --------
    >>> import numpy as np
    >>> state = start(np.array([3.0, -2.0]))
    >>> while not state.done:
    ...     if state.needs_direction:
    ...         state = steer(state)
    ...     x = state.trial
    ...     state = advance(state, 0.5 * x @ x, x, tol=1e-10)
    >>> state.converged
    True
    """
    if state.gradient is None:
        return _accept_point(replace(state, value=value, gradient=gradient), tol)
    assert state.direction is not None, "steer comes first"
    slope = float(np.vdot(gradient, state.direction))
    if not np.isfinite(value) or not np.isfinite(slope):
        slope = np.inf
    if _acceptable(state, value, slope):
        return _accept_trial(state, value, gradient, tol)
    return _next_trial(state, slope)


def visit(state: LBFGSState, point: Array, value: float, gradient: Array, tol: float) -> LBFGSState:
    """Take in value and gradient at a point that others have chosen, and move there if it is lower.

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
    remembered = _remember(state, point - state.point, gradient - state.gradient)
    if value > state.value:
        return remembered
    moved = replace(remembered, point=point, value=value, gradient=gradient)
    return _accept_point(replace(moved, n_iter=state.n_iter + 1), tol)


def residual(state: LBFGSState) -> Array:
    """Return the vector q to which the initial inverse Hessian is to be applied.

    The first of the two loops of the recursion; pass ``H0 @ q`` to `steer`.
    """
    return _first_loop(state)[0]


def steer(state: LBFGSState, preconditioned: Array | None = None) -> LBFGSState:
    """Choose the direction of the next line search.

    Parameters
    ----------
    state : LBFGSState
    preconditioned : array, optional
        An initial inverse Hessian applied to ``residual(state)``; by default the usual multiple
        of the identity.
    """
    q, alphas = _first_loop(state)
    if preconditioned is None or not np.vdot(q, preconditioned) > 0:
        preconditioned = _scaled_identity(state, q)
    return _along(state, _second_loop(state, preconditioned, alphas))


def steer_by(state: LBFGSState, solve: Callable[[Array], Array]) -> LBFGSState:
    """Choose the next direction with an initial inverse Hessian that can be called here."""
    q, alphas = _first_loop(state)
    return _along(state, _second_loop(state, solve(q), alphas))


def _along(state: LBFGSState, ascent: Array) -> LBFGSState:
    """Begin a line search against `ascent`."""
    assert state.gradient is not None
    gradient, direction = state.gradient, -ascent
    slope = float(np.vdot(direction, gradient))
    if not slope < 0:  # the preconditioner, or rounding in the memory: begin from the gradient
        state = forget(state)
        direction, slope = -gradient, -float(np.vdot(gradient, gradient))
    return replace(
        state,
        trial=state.point + direction,
        direction=direction,
        step=1.0,
        start_slope=slope,
        low=(0.0, slope),
        high=None,
        trials=0,
    )


def _acceptable(state: LBFGSState, value: float, slope: float) -> bool:
    start_slope = state.start_slope
    if not np.isfinite(slope) or slope < _CURVATURE * start_slope:
        return False
    if abs(value - state.value) <= _ROUNDING * abs(state.value):
        return slope <= (2 * _ARMIJO - 1) * start_slope
    return value <= state.value + _ARMIJO * state.step * start_slope


def _accept_trial(state: LBFGSState, value: float, gradient: Array, tol: float) -> LBFGSState:
    assert state.gradient is not None
    accepted = replace(
        _remember(state, state.trial - state.point, gradient - state.gradient),
        point=state.trial,
        value=value,
        gradient=gradient,
        n_iter=state.n_iter + 1,
    )
    return _accept_point(accepted, tol)


def _remember(state: LBFGSState, moved: Array, turned: Array) -> LBFGSState:
    """Keep a step and the change of the gradient that it made, if the function is convex there."""
    product = float(np.vdot(moved, turned))
    if not product > np.finfo(np.float64).eps * float(np.vdot(turned, turned)):
        return state
    kept = slice(-state.memory, None)
    return replace(
        state,
        steps=(*state.steps, moved)[kept],
        changes=(*state.changes, turned)[kept],
        products=(*state.products, product)[kept],
    )


def _accept_point(state: LBFGSState, tol: float) -> LBFGSState:
    return replace(
        state,
        trial=state.point,
        direction=None,
        trials=0,
        converged=state.gradient_norm <= tol,
    )


def _next_trial(state: LBFGSState, slope: float) -> LBFGSState:
    """Shrink the bracket around the step at which the slope is zero, or widen it."""
    assert state.direction is not None
    if state.trials >= _MAX_TRIALS:
        return _restart_or_give_up(state)
    low, high = state.low, state.high
    if slope < 0 and high is None:
        low, step = (state.step, slope), _secant(low, (state.step, slope), 1.5, 10.0)
    else:
        if slope < 0:
            low = (state.step, slope)
        else:
            high = (state.step, slope)
        assert high is not None
        width = high[0] - low[0]
        share = low[1] / (low[1] - high[1]) if np.isfinite(high[1]) else 0.1
        step = low[0] + width * min(max(share, 0.1), 0.9)
    if step in (low[0], state.step):
        return _restart_or_give_up(state)
    return replace(
        state,
        trial=state.point + step * state.direction,
        step=step,
        low=low,
        high=high,
        trials=state.trials + 1,
    )


def _secant(low: tuple[float, float], at: tuple[float, float], least: float, most: float) -> float:
    """Extrapolate to slope zero, going on by a factor between `least` and `most`."""
    rise = at[1] - low[1]
    guess = at[0] - at[1] * (at[0] - low[0]) / rise if rise > 0 else np.inf
    return float(min(max(guess, least * at[0]), most * at[0]))


def _restart_or_give_up(state: LBFGSState) -> LBFGSState:
    if state.steps:
        return replace(forget(state), direction=None)
    return replace(state, trial=state.point, direction=None, stuck=True)


def _first_loop(state: LBFGSState) -> tuple[Array, list[float]]:
    assert state.gradient is not None
    q, alphas = state.gradient.copy(), []
    flat = q.reshape(-1)
    memory = zip(state.steps, state.changes, state.products, strict=True)
    for s, y, product in reversed(list(memory)):
        alpha = float(np.vdot(s, q)) / product
        daxpy(y.reshape(-1), flat, a=-alpha)
        alphas.append(alpha)
    return q, alphas[::-1]


def _scaled_identity(state: LBFGSState, q: Array) -> Array:
    if not state.steps:
        return q
    y = state.changes[-1]
    return q * (state.products[-1] / float(np.vdot(y, y)))


def _second_loop(state: LBFGSState, preconditioned: Array, alphas: list[float]) -> Array:
    r = np.array(preconditioned, order="C")
    flat = r.reshape(-1)
    memory = zip(state.steps, state.changes, state.products, alphas, strict=True)
    for s, y, product, alpha in memory:
        daxpy(s.reshape(-1), flat, a=alpha - float(np.vdot(y, r)) / product)
    return r
