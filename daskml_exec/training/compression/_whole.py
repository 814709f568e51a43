"""All of a change, as it is."""

from dataclasses import dataclass

from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class WholeChange:
    """The codec that loses nothing, and makes nothing smaller: what travels is the change itself.

    With it, what compressed rounds leave on the Workers, such as the moments of an optimiser, stays
    there, and only the changes of the parameters travel. Users cannot ask for it by name.

    Examples
    --------
    >>> import numpy as np
    >>> codec = WholeChange()
    >>> codec.decode(codec.encode(np.array([3.0, 2.0])))
    array([3., 2.])
    """

    @property
    def name(self) -> str:
        return "whole"

    def relative_error(self, length: int) -> float:
        return 0.0

    def encode(self, change: Array) -> Array:
        return change

    def decode(self, encoded: Array) -> Array:
        return encoded.copy()
