"""A language model of counts alone, to compare with: n-grams, smoothed as Kneser and Ney do."""

from dataclasses import dataclass

import numpy as np

DISCOUNT = 0.75


@dataclass(frozen=True)
class Level:
    """How often what came after what; keys are in order.

    Attributes
    ----------
    grams, counts : ndarray of shape (n_grams,)
        Sequences of k ids, each as one number, and how often each came.
    contexts, totals, kinds : ndarray of shape (n_contexts,)
        Sequences of k - 1 ids; how often something came after each, and how many unlike things.
    """

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    kinds: np.ndarray


@dataclass(frozen=True)
class Counts:
    """Levels for sequences of 1, 2, ... ids, of a vocabulary of some size."""

    levels: tuple[Level, ...]
    vocabulary: int


def counted(ids: np.ndarray, order: int, vocabulary: int) -> Counts:
    """Return what is counted in a text, of sequences of up to `order` ids.

    Below the longest, a sequence counts once for each id that came before it: what came after
    many unlike things is likely to come after others, too.
    """
    _check(ids, order, vocabulary)
    grams, counts = np.unique(_keys(ids, order, vocabulary), return_counts=True)
    levels = [_level(grams, counts, vocabulary)]
    for length in range(order - 1, 0, -1):
        grams, counts = np.unique(grams % vocabulary**length, return_counts=True)
        levels.append(_level(grams, counts, vocabulary))
    return Counts(tuple(reversed(levels)), vocabulary)


def nats(counts: Counts, ids: np.ndarray) -> float:
    """Return the mean of -log p of each id of a text, but for the first few.

    Of the id w after the ids h, of which h' are all but the first, and with the discount D,

    p(w | h) = (max(c(hw) - D, 0) + D kinds(h) p(w | h')) / total(h)

    is interpolated Kneser-Ney; where h never came, p(w | h'). Without any ids before it, p is
    1 / vocabulary in place of p(w | h').

    Parameters
    ----------
    counts : Counts
    ids : ndarray of shape (n_ids,)
        As many as the order, at least.

    Returns
    -------
    float

    References
    ----------
    Kneser and Ney (1995), Improved backing-off for m-gram language modeling, ICASSP; Chen and
    Goodman (1999), An empirical study of smoothing techniques for language modeling, section 2.7.

    Examples
    --------
    >>> counts = counted(np.array([0, 1] * 50), order=3, vocabulary=2)
    >>> round(nats(counts, np.array([0, 1, 0, 1, 0])), 4)
    0.0058
    """
    order = len(counts.levels)
    _check(ids, order, counts.vocabulary)
    return float(-np.log(probabilities(counts, _keys(ids, order, counts.vocabulary))).mean())


def probabilities(counts: Counts, keys: np.ndarray) -> np.ndarray:
    """Return p of the last id of sequences, each as one number, after those before it."""
    p = np.full(len(keys), 1 / counts.vocabulary)
    for length, level in enumerate(counts.levels, 1):
        grams = keys % counts.vocabulary**length
        found = _looked_up(level.grams, level.counts, grams)
        contexts = grams // counts.vocabulary
        totals = _looked_up(level.contexts, level.totals, contexts)
        left = DISCOUNT * _looked_up(level.contexts, level.kinds, contexts)
        mixed = np.maximum(found - DISCOUNT, 0) + left * p
        p = np.divide(mixed, totals, out=p, where=totals > 0)
    return p


def _level(grams: np.ndarray, counts: np.ndarray, vocabulary: int) -> Level:
    contexts, starts, kinds = np.unique(grams // vocabulary, return_index=True, return_counts=True)
    return Level(grams, counts, contexts, np.add.reduceat(counts, starts), kinds)


def _looked_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the value of each key that is there, and else 0."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


def _keys(ids: np.ndarray, order: int, vocabulary: int) -> np.ndarray:
    """Return each sequence of `order` ids as one number."""
    n = len(ids) - order + 1
    keys = np.zeros(n, np.int64)
    for i in range(order):
        keys = keys * vocabulary + ids[i : i + n]
    return keys


def _check(ids: np.ndarray, order: int, vocabulary: int) -> None:
    if vocabulary**order >= 2**63:
        raise ValueError(f"vocabulary**order is {vocabulary}**{order}; allowed is less than 2**63")
    if len(ids) < order:
        raise ValueError(f"ids are {len(ids)}; needed are as many as the order, {order}, at least")
