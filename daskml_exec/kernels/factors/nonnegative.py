r"""Quadratic problems of which no coordinate may be negative, many at once."""

from typing import Any

from array_api_compat import device

from daskml_exec.kernels.array_namespace import array_namespace, everywhere, resolution


def nonnegative_solutions(systems: Any, b: Any, start: Any = None) -> Any:
    r"""Return the minimisers of :math:`x^\top A x - 2 b^\top x` over :math:`x \ge 0`.

    By block principal pivoting: a set of coordinates is free, and the others are zero. Free
    coordinates that become negative leave the set, others whose gradient is negative enter it, all
    at once while that brings fewer and fewer of them; where it does not, the last of them alone,
    which ends for certain.

    Source: Kim and Park (2011), Fast Nonnegative Matrix Factorization: An Active-Set-Like Method
    and Comparisons.

    Parameters
    ----------
    systems : array of shape (B, k, k)
        Positive definite.
    b : array of shape (B, k)
    start : array of shape (B, k), or None
        Coordinates that are positive in it are free at first; none if None.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[[2.0, 1.0], [1.0, 2.0]]])
    >>> nonnegative_solutions(A, np.array([[4.0, 1.0]]))
    array([[2., 0.]])
    """
    xp, k = array_namespace(b), b.shape[1]
    eye = xp.eye(k, dtype=b.dtype, device=device(b))
    places = xp.arange(1, k + 1, dtype=b.dtype, device=device(b))[None, :]
    free = b > 0 if start is None else start > 0
    fewest = xp.full_like(b[:, :1], k + 1.0)
    chances = xp.full_like(fewest, 3.0)
    rounds = 0
    while True:
        inside = xp.astype(free, b.dtype)
        among = systems * (inside[:, :, None] * inside[:, None, :])
        x = xp.linalg.solve(among + (1.0 - inside)[:, :, None] * eye, (inside * b)[:, :, None])[
            :, :, 0
        ]
        gradient = xp.matmul(systems, x[:, :, None])[:, :, 0] - b
        # What is negative by rounding would leave and enter for ever. What counts as rounding grows
        # if there is no end.
        slack = -resolution(b) * 10.0 ** (2 + rounds // (5 * k))
        wrong = xp.where(
            free,
            x < slack * xp.max(xp.abs(x), axis=1, keepdims=True),
            gradient < slack * xp.max(xp.abs(b), axis=1, keepdims=True),
        )
        count = xp.sum(xp.astype(wrong, b.dtype), axis=1, keepdims=True)
        if everywhere(count == 0.0):
            return xp.clip(x, 0.0, None)
        fewer = count < fewest
        fewest = xp.where(fewer, count, fewest)
        chances = xp.where(fewer, xp.full_like(chances, 3.0), chances - 1.0)
        number = xp.where(wrong, places, xp.zeros_like(places))
        alone = number == xp.max(number, axis=1, keepdims=True)
        change = wrong & ((chances >= 0.0) | alone)
        free = free ^ change
        rounds += 1
