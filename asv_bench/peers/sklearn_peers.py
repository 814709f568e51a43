"""scikit-learn, in this process, with the threads that it takes by itself."""

from functools import partial
from typing import Any

from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge

from peers.problems import Problem
from peers.sides import Fitted, Setting, Side, timed_fit, tolerances

# Settings end a fit by their tolerance, never by this.
_ENDLESS = 100_000

# Gradients are compared with `tol`, except by saga: the change of coefficients in an epoch says too
# little about the optimum, so its epochs are what is chosen.
_LADDERS: dict[str, tuple[Setting, ...]] = {
    "newton-cholesky": tolerances(2, 8),
    "newton-cg": tolerances(3, 10),
    "lbfgs": tolerances(3, 10),
    "liblinear": tolerances(1, 5),
    "saga": tuple(
        {"max_iter": epochs} for epochs in (3, 4, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128, 180)
    ),
}


def logistic(problem: Problem, solver: str) -> Side:
    """Return scikit-learn's LogisticRegression with this solver, on this problem."""
    fixed: dict[str, Any] = {"C": problem.C, "solver": solver}
    if solver == "saga":
        fixed |= {"tol": 0.0, "random_state": 0}
    else:
        fixed |= {"max_iter": _ENDLESS}
    if solver == "liblinear":
        fixed |= {"random_state": 0}
    return Side(
        f"scikit-learn {solver}",
        _LADDERS[solver],
        partial(_fit, LogisticRegression, problem.X, problem.y, fixed),
    )


def ridge(problem: Problem) -> Side:
    """A direct solver: there is no tolerance to choose."""
    fixed = {"alpha": problem.rows * problem.penalty, "solver": "cholesky"}
    fit = partial(_fit, Ridge, problem.X, problem.y, fixed)
    return Side("scikit-learn cholesky", ({},), fit)


def linear(problem: Problem) -> Side:
    """By LAPACK's least squares."""
    return Side("scikit-learn", ({},), partial(_fit, LinearRegression, problem.X, problem.y, {}))


def poisson(problem: Problem, solver: str) -> Side:
    fixed = {"alpha": problem.penalty, "solver": solver, "max_iter": _ENDLESS}
    return Side(
        f"scikit-learn {solver}",
        _LADDERS[solver],
        partial(_fit, PoissonRegressor, problem.X, problem.y, fixed),
    )


def _fit(cls: Any, X: Any, y: Any, fixed: dict[str, Any], setting: Setting) -> Fitted:
    return timed_fit(cls(**fixed, **setting), X, y)
