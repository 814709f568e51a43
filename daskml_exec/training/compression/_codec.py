"""What every codec provides."""

from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Codec(Protocol):
    """A lossy, deterministic encoding of a change of the model.

    A change is a flat array in float32 or float64, not empty and finite. Whether it is finite is
    not checked, which would read it once more. A NaN comes back as NaN all the same, so that
    compression does not hide that a fit diverges.
    """

    @property
    def name(self) -> str:
        """The specification that `codec_named` makes this codec from."""

    def relative_error(self, length: int) -> float:
        r"""Return the largest loss that a change of this length may suffer, in the 2-norm.

        .. math:: ‖x - \mathrm{decode}(\mathrm{encode}(x))‖ \le r ‖x‖

        Any r below 1 is enough for stochastic gradient descent with error feedback to converge,
        in the end as fast as without compression (Karimireddy, Rebjock, Stich and Jaggi 2019, who
        call :math:`1 - r^2` δ).
        """

    def encode(self, change: Array) -> Any:
        """Return what travels: a dataclass that `payload_nbytes` can count."""

    def decode(self, encoded: Any) -> Array:
        """Return a new array of the length and dtype of the change that was encoded."""
