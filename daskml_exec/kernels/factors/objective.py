r"""What the factors of one row minimise, the other side's being given.

For a row with entries :math:`r_i` and the other side's factors :math:`y_i` of its items, with
:math:`s_i = x^\top y_i`, the factors :math:`x` minimise, from explicit feedback,

.. math:: \sum_i (r_i - s_i)^2 + \lambda \|x\|^2

and from implicit feedback, with :math:`p_i = 1[r_i > 0]` and :math:`G` the Gram matrix of all
factors of the other side, those of items without an entry included,

.. math:: x^\top G x + \sum_i \left[ (1 + \alpha |r_i|)(p_i - s_i)^2 - s_i^2 \right]
          + \lambda \|x\|^2

where :math:`\lambda = \mathrm{reg} \cdot n^\nu` for n entries. Both are quadratic:
:math:`x^\top A x - 2 b^\top x +` constant with

.. math:: A = G + \lambda I + \sum_i d_i y_i y_i^\top, \qquad b = \sum_i q_i y_i

and :math:`d_i = \alpha |r_i|, q_i = (1 + d_i) p_i` or :math:`d_i = 1, q_i = r_i`, without G.

Source: Hu, Koren and Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets;
Rendle, Krichene, Zhang and Koren (2021), Revisiting the Performance of iALS on Item
Recommendation Benchmarks, for the exponent.
"""

from dataclasses import dataclass
from typing import Any, Literal

from daskml_exec.kernels.array_namespace import array_namespace


@dataclass(frozen=True)
class Objective:
    r"""The objective of every row of a side.

    Parameters
    ----------
    feedback : {"implicit", "explicit"}
    alpha : float
        How much one more of an implicit value adds to the confidence, from above 0.
    reg : float
        Strength of the penalty, from 0.
    reg_exponent : float
        The :math:`\nu` of :math:`\mathrm{reg} \cdot n^\nu` for a row of n entries.

    Examples
    --------
    >>> Objective("explicit", 1.0, 0.1, 0.5).penalty(4.0)
    0.2
    """

    feedback: Literal["implicit", "explicit"]
    alpha: float
    reg: float
    reg_exponent: float

    @property
    def implicit(self) -> bool:
        """Whether items without an entry count."""
        return self.feedback == "implicit"

    def penalty(self, counts: Any) -> Any:
        """Return what the squared norm of the factors of rows of so many entries is times."""
        return self.reg * counts**self.reg_exponent

    def weights(self, values: Any) -> tuple[Any, Any]:
        """Return d and q of entries, in their dtype."""
        xp = array_namespace(values)
        if not self.implicit:
            return xp.ones_like(values), values
        d = self.alpha * xp.abs(values)
        return d, xp.where(values > 0, 1.0 + d, xp.zeros_like(d))

    def losses(self, values: Any, predicted: Any) -> Any:
        """Return what each entry adds to the objective where it is predicted so."""
        xp = array_namespace(values)
        if not self.implicit:
            return (values - predicted) ** 2
        target = xp.astype(values > 0, values.dtype)
        confidence = 1.0 + self.alpha * xp.abs(values)
        return confidence * (target - predicted) ** 2 - predicted**2
