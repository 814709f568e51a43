"""Few entries instead of all: those of largest magnitude."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class SparseChange:
    """Some entries of a change; the others are taken for zero.

    Attributes
    ----------
    indices : ndarray of shape (n_kept,)
        In increasing order; int32 where that holds every index of the change, else int64.
    values : ndarray of shape (n_kept,)
        In the dtype of the change.
    length : int
        Of the change.
    """

    indices: Array
    values: Array
    length: int


@dataclass(frozen=True)
class TopK:
    r"""The k entries of largest magnitude, k being a share of all n, rounded, and at least one.

    What is lost is the smallest part of the change:

    .. math:: ‖x - x'‖^2 \le (1 - k / n) ‖x‖^2

    with equality when all magnitudes are the same. Of equal magnitudes the lower index is kept,
    so that the choice depends on the values only, not on the processor's way of selecting.

    An entry takes 8 bytes in float32 and 12 in float64: fewer bytes than the change itself has
    are sent when the share is below 1/2 or 2/3.

    Source: Stich, Cordonnier and Jaggi (2018), Sparsified SGD with memory, NeurIPS, definition 2.1.

    Parameters
    ----------
    share : float
        In (0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> codec = TopK(0.4)
    >>> encoded = codec.encode(np.array([1.0, -3.0, 0.5, 3.0, 3.0]))
    >>> encoded.indices, encoded.values
    (array([1, 3], dtype=int32), array([-3.,  3.]))
    >>> codec.decode(encoded)
    array([ 0., -3.,  0.,  3.,  0.])
    """

    share: float

    @property
    def name(self) -> str:
        return f"topk:{self.share!r}"

    def relative_error(self, length: int) -> float:
        return math.sqrt(1 - self._n_kept(length) / length)

    def encode(self, change: Array) -> SparseChange:
        n = len(change)
        indices = _largest(change, self._n_kept(n))
        return SparseChange(indices.astype(index_dtype(n)), change[indices], n)

    def decode(self, encoded: SparseChange) -> Array:
        change = np.zeros(encoded.length, encoded.values.dtype)
        change[encoded.indices] = encoded.values
        return change

    def _n_kept(self, length: int) -> int:
        return max(1, round(self.share * length))


def index_dtype(length: int) -> type[np.signedinteger[Any]]:
    """Return the smaller dtype that holds all indices of an array of this length."""
    return np.int32 if length <= 2**31 else np.int64


def _largest(change: Array, k: int) -> Array:
    """Return the sorted indices of the k entries of largest magnitude."""
    # Selecting a value takes half the time of selecting indices, and settles ties as we want.
    magnitudes = np.abs(change)
    magnitudes.partition(len(change) - k)
    threshold = magnitudes[len(change) - k]
    np.abs(change, out=magnitudes)  # in the order of the change again
    # Not ">=": selection counts a NaN as larger than any number, and so it must be sent.
    indices = np.flatnonzero(~(magnitudes < threshold))
    if len(indices) > k:
        ties = np.flatnonzero(magnitudes[indices] == threshold)
        indices = np.delete(indices, ties[k - len(indices) :])
    return indices
