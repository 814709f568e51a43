"""How far Newton's method goes in the logistic models of users.

The logistic loss is self-concordant in the margins: where none of them moves by more than `r` in a
step, second derivatives change by factors from exp(-r) to exp(r). So a step of any size says by
itself how far the next one can go, whatever the scale of features and penalty.
"""

from typing import NamedTuple

ROUNDING = 1e-15
"""Penalties below this share of the squares of features cannot be told from roundings."""


class Limits(NamedTuple):
    """Numbers that nobody sets.

    Attributes
    ----------
    least_curvature : float
        Second derivatives are not below it, so that they can be divided by.
    safe_step : float
        Up to this change of margins a step is taken whole; a longer one is measured first.
    longest_step : float
        A step is made no longer than this change of margins, or than two of its length.
    small_step : float
        A step of at most this is the last: what is left is a ten thousandth of it.
    roughly : float
        How exactly, in margins, the length of a step is found.
    most_steps : int
        Of one model; some six are usual.
    """

    least_curvature: float = 1e-12
    safe_step: float = 0.25
    longest_step: float = 50.0
    small_step: float = 1e-4
    roughly: float = 0.1
    most_steps: int = 100


LIMITS = Limits()
