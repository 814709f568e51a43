"""Half of the bytes of float32, a quarter of those of float64: values in float16."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array

_LARGEST = np.finfo(np.float16).max  # 65504, the last number below 2**16


@dataclass(frozen=True)
class HalfChange:
    """A change as its scale times numbers in float16.

    Attributes
    ----------
    values : ndarray of shape (n_parameters,)
        In float16.
    scale : floating scalar
        A power of two, in the dtype of the change.
    """

    values: Array
    scale: np.floating[Any]


@dataclass(frozen=True)
class HalfPrecision:
    r"""Values in float16, after the whole change was scaled by a power of two.

    The scale takes the entry of largest magnitude, M, to between :math:`2^{15}` and
    :math:`2^{16}`, as high as float16 reaches, so that as few entries as possible fall among its
    subnormal numbers. Scaling by a power of two is exact; what is lost is lost in rounding:

    .. math:: |x_i - x'_i| \le \max(2^{-11} |x_i|, \; 2^{-40} M, \; \phi)

    The first term is half a unit in the last of float16's eleven binary digits, which all entries
    above :math:`2^{-29} M` keep. The second is half of its smallest subnormal number, scaled back;
    no entry above :math:`2^{-40} M` becomes zero. The third is there because the scale must itself
    be a normal number of the dtype. In float64, :math:`\phi = 2^{-1047}` exceeds the second term
    when M is below :math:`2^{-1007}`, about 1e-303; `relative_error` leaves it out. In float32 it
    is zero: even its subnormal numbers, so scaled, are multiples of float16's smallest.

    Source: Micikevicius et al. (2018), Mixed precision training, ICLR, section 3.2, for the
    scaling into float16's range.

    Examples
    --------
    >>> import numpy as np
    >>> codec = HalfPrecision()
    >>> encoded = codec.encode(np.array([1.0, -0.001, 1e-13]))
    >>> encoded.values, float(encoded.scale) == 2**-15
    (array([ 3.277e+04, -3.278e+01,  0.000e+00], dtype=float16), True)
    >>> codec.decode(encoded)
    array([ 1.       , -0.0010004,  0.       ])
    """

    @property
    def name(self) -> str:
        return "fp16"

    def relative_error(self, length: int) -> float:
        return math.hypot(2.0**-11, 2.0**-40 * math.sqrt(length))

    def encode(self, change: Array) -> HalfChange:
        # Two reductions take half the time of one over the absolute values, and no memory.
        largest = max(change.max(), -change.min())
        scale = _scale(largest)
        highest = scale * _LARGEST
        if highest < largest:
            # This would round up to 2**16, and after scaling back might be infinite. Cut to 65504,
            # its relative error stays below 2**-11.
            change = np.clip(change, -highest, highest)
        values = np.empty(change.shape, np.float16)
        np.multiply(change, 1 / scale, out=values, casting="unsafe")
        return HalfChange(values, scale)

    def decode(self, encoded: HalfChange) -> Array:
        return encoded.values * encoded.scale


def _scale(largest: np.floating[Any]) -> np.floating[Any]:
    """Return the power of two that `largest` is less than 2**16 times of, or NaN."""
    dtype = largest.dtype.type
    if not math.isfinite(largest):
        return dtype(np.nan)  # it makes all values NaN
    _, exponent = math.frexp(largest)
    # A subnormal scale would be taken for zero by threads that flush those.
    return np.ldexp(dtype(1), max(exponent - 16, np.finfo(dtype).minexp))
