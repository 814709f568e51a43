"""What all rows of a half-step share: the other side in the eigenbasis of its Gram matrix.

There the Gram matrix is a diagonal, and so is all of a row's matrix but the part of its own
entries: the smaller of two systems is enough, and a product with the Gram costs k.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    doubles,
    has_doubles,
    host_dtype,
    is_host,
    to_device_of,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.compiled import compiled_loops
from daskml_exec.kernels.factors.objective import Objective

Solver = Literal["exact", "cg"]
CG_STEPS = 3
"""Steps of conjugate gradients in a half-step."""


@dataclass(frozen=True)
class Prepared:
    """What half-steps over blocks of rows share; `prepare` makes it.

    Attributes
    ----------
    other : array of shape (m, k)
        The other side's factors: times `basis` where there is one.
    padded : array of shape (m, k rounded up), or None
        What `other` is a view of, for compiled loops, where there are some.
    basis : array of shape (k, k) in the dtype of `other`, or None
        Eigenvectors of the Gram matrix by columns; None for the coordinates as they are.
    spectrum : array of shape (k,) in float64, on the host
        Eigenvalues of the Gram matrix, none negative; zeros where there is no Gram.
    gram : array of shape (k, k) in float64, on the host, or None
        The Gram matrix, where rows are solved in the coordinates as they are.
    trace : float
        Of the Gram matrix: no eigenvalue is above it.
    """

    other: Any
    padded: Any
    basis: Any
    spectrum: Array
    gram: Array | None
    trace: float
    objective: Objective
    solver: Solver
    nonnegative: bool


def prepare(
    other: Any,
    gram: Array | None,
    objective: Objective,
    solver: Solver,
    nonnegative: bool = False,
    loops: bool = True,
) -> Prepared:
    """Return what half-steps share, from the factors of the other side.

    Parameters
    ----------
    other : array of shape (m, k), float32 or float64
        It may be on a device, and read-only; results are in its dtype and place.
    gram : array of shape (k, k) in float64, on the host, or None
        Sum of outer products of all rows of `other`; not looked at for explicit feedback.
    objective : Objective
    solver : {"exact", "cg"}
    nonnegative : bool, default=False
        Whether factors are kept from being negative, which "exact" alone can do.
    loops : bool, default=True
        Whether compiled loops are used, where there are some; rows are stacked otherwise.

    Raises
    ------
    ValueError
        If `solver` is another, or "cg" for nonnegative factors, or `gram` is missing.

    Examples
    --------
    >>> other = np.array([[3.0, 0.0], [0.0, 2.0]])
    >>> prepare(other, other.T @ other, Objective("implicit", 1.0, 0.1, 1.0), "cg").spectrum
    array([4., 9.])
    """
    if solver not in ("exact", "cg"):
        raise ValueError(f"solver is {solver!r}: it may be 'exact' or 'cg'")
    if nonnegative and solver != "exact":
        raise ValueError(f"solver is {solver!r}: with nonnegative=True it may be 'exact' alone")
    if objective.implicit and gram is None:
        raise ValueError("gram is None: implicit feedback needs the Gram matrix of other")
    none = np.zeros((other.shape[1], other.shape[1]))
    system = np.asarray(gram, np.float64) if objective.implicit else none
    spectrum, basis = np.zeros(len(none)), None
    if objective.implicit and not nonnegative:
        spectrum, vectors = np.linalg.eigh(system)
        spectrum = np.maximum(spectrum, 0.0)
        other, basis = _turned(other, vectors)
    compiled = compiled_loops() if loops and is_host(other) else None
    whole = None if compiled is None else compiled.padded(other)
    return Prepared(
        other if whole is None else whole[:, : len(none)],
        whole,
        basis,
        spectrum,
        system if nonnegative else None,
        float(np.trace(system)),
        objective,
        solver,
        nonnegative,
    )


def _turned(other: Any, basis: Array) -> tuple[Any, Any]:
    # In double, then rounded: coordinates along directions in which the other side hardly varies
    # are small differences, and a row with little penalty is solved as precisely as they are known.
    xp, dtype = array_namespace(other), host_dtype(other)
    if is_host(other):
        product = np.empty(other.shape, dtype)
        for begin in range(0, len(other), 4096):
            product[begin : begin + 4096] = doubles(other[begin : begin + 4096]) @ basis
        return product, basis.astype(dtype)
    there = to_device_of(basis, other, np.dtype(np.float64) if has_doubles(other) else dtype)
    wide = doubles(other) if has_doubles(other) else other
    return xp.astype(wide @ there, other.dtype), to_device_of(basis, other, dtype)
