"""What every codec provides."""

from typing import Any, Protocol

from daskml_exec.kernels.arrays import Array


class Codec(Protocol):
    """A deterministic encoding of a change of the model, lossy but for `WholeChange`.

    A change is a flat array in float32 or float64, not empty and finite. Whether it is finite is
    not checked, which would read it once more. A NaN comes back as NaN all the same, so that
    compression does not hide that a fit diverges.
    """

    @property
    def name(self) -> str:
        """The specification that `codec_named` makes this codec from, if users may ask for it."""

    def relative_error(self, length: int) -> float:
        r"""Return the largest loss that a change of this length may suffer, in the 2-norm.

        .. math:: ‖x - \mathrm{decode}(\mathrm{encode}(x))‖ \le r ‖x‖

        Any r below 1 is enough for stochastic gradient descent with error feedback to converge,
        in the end as fast as without compression (Karimireddy, Rebjock, Stich and Jaggi 2019, who
        call :math:`1 - r^2` δ).
        """

    def encode(self, change: Array) -> Any:
        """Return what travels: a dataclass or array that `payload_nbytes` can count."""

    def decode(self, encoded: Any) -> Array:
        """Return a new array of the length and dtype of the change that was encoded."""
