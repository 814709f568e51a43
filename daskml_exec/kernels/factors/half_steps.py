"""Half a step of alternating least squares: the factors of rows, the other side's being given."""

from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import array_namespace
from daskml_exec.kernels.factors.batched import solved
from daskml_exec.kernels.factors.chunks import rotated
from daskml_exec.kernels.factors.compiled import compiled_loops
from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.kernels.factors.prepared import Prepared, Solver, prepare
from daskml_exec.kernels.factors.ratings import Ratings


def half_step(ratings: Ratings, prepared: Prepared, start: Any = None) -> tuple[Any, Any]:
    r"""Return the factors of a block of rows, and what each row's objective is there.

    An exact half-step solves, for each row, the smaller of two systems. With the Gram matrix
    :math:`V S V^\top`, :math:`\tilde Y` the factors of the row's n entries times V and
    :math:`M = (S + \lambda I)^{-1}`, these are the k x k system of
    :math:`M^{-1} + \tilde Y^\top D \tilde Y` and the n x n system of
    :math:`I + D^{1/2} \tilde Y M \tilde Y^\top D^{1/2}`, which follows by the identity of Woodbury.

    With conjugate gradients, `CG_STEPS` steps begin at `start`, preconditioned by M: they never
    form a system.

    Nonnegative factors meet the conditions of Karush, Kuhn and Tucker to 1e-5 of the largest
    component of b.

    The bits of a row depend on its entries, the other side, its Gram matrix and the objective
    alone, and with conjugate gradients on its start, and not on which rows are solved with it.

    Parameters
    ----------
    ratings : Ratings
        The entries of n rows, in the place of the other side's factors.
    prepared : Prepared
    start : array of shape (n, k), or None
        Where conjugate gradients begin, and which factors are thought to be positive where none
        may be negative: those before this half-step. None for zeros. Exact solutions depend
        on it in rounding at most.

    Returns
    -------
    factors : array of shape (n, k), in the dtype and place of the other side's
        Zeros for a row without entries.
    objectives : array of shape (n,), float64 where there is such a dtype
        Without the terms of the other side's penalty; 0.0 for a row without entries.

    Notes
    -----
    Without a penalty a row's system may be singular. Its diagonal is then raised by a few roundings
    of its largest values, and nothing is NaN: of all solutions nearly the shortest is found.

    Examples
    --------
    >>> prepared = prepare(np.eye(2), None, Objective("explicit", 1.0, 1.0, 0.0), "exact")
    >>> indptr, indices = np.array([0, 2, 2]), np.array([0, 1], np.int32)
    >>> half_step(Ratings(indptr, indices, np.array([2.0, 4.0])), prepared)
    (array([[1., 2.],
           [0., 0.]]), array([10.,  0.]))
    """
    if prepared.basis is not None and start is not None:
        start = rotated(start, prepared.basis)
    solve = solved if prepared.padded is None else compiled_loops().solved
    factors, objectives = solve(ratings, prepared, start)
    if prepared.basis is not None:
        factors = rotated(factors, array_namespace(factors).matrix_transpose(prepared.basis))
    return factors, objectives


def compile_half_steps(dtype: Any, solver: Solver, nonnegative: bool = False) -> None:
    """Compile the loops of such half-steps, or load them, where Numba is installed.

    It takes some ten seconds once on a machine. The first half-step would do it otherwise.

    Examples
    --------
    >>> compile_half_steps("float32", "cg")
    """
    if compiled_loops() is None:
        return
    # Two rows of the other side that are nearly alike: single precision is not enough for them.
    other, objective = (
        np.array([[1.0, 1.0], [1.0, 1.001]], dtype),
        Objective("explicit", 1.0, 0.0, 0.0),
    )
    row = Ratings(np.array([0, 2]), np.array([0, 1], np.int32), np.ones(2, dtype))
    half_step(row, prepare(other, None, objective, solver, nonnegative))
