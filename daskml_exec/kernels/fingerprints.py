"""What tells columns that are alike in all rows from others, added up in any order of the rows."""

import numpy as np

from daskml_exec.kernels.arrays import Array

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(bits: Array) -> Array:
    """Return the bits mixed: others for nearly all that differ.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014, Fast splittable pseudorandom number
    generators, OOPSLA).

    Parameters
    ----------
    bits : ndarray of uint64
    """
    with np.errstate(over="ignore"):
        z = bits + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def hashes_of_numbers(values: Array) -> Array:
    """Return a number for each, the same for the same values: all NaN are one, and both zeros.

    Parameters
    ----------
    values : ndarray of float64
    """
    there = np.where(np.isnan(values), np.nan, values + 0.0)
    return mixed(there.view(np.uint64))


def fingerprint(hashes: Array, start: int) -> int:
    """Return the sum of what values and their rows mix to, modulo 2**64.

    Parameters
    ----------
    hashes : ndarray of uint64 of shape (n,)
    start : int
        Number of the first row.

    Examples
    --------
    >>> hashes = hashes_of_numbers(np.array([1.0, 2.0, np.nan]))
    >>> whole = fingerprint(hashes, 0)
    >>> whole == (fingerprint(hashes[:1], 0) + fingerprint(hashes[1:], 1)) % 2**64
    True
    >>> whole == fingerprint(hashes[::-1], 0)
    False
    """
    rows = mixed(np.arange(start, start + len(hashes), dtype=np.uint64))
    with np.errstate(over="ignore"):
        return int(mixed(hashes ^ rows).sum(dtype=np.uint64))
