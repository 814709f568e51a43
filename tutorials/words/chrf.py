"""How alike texts are, by the sequences of letters that they share."""

from collections import Counter
from collections.abc import Sequence

import numpy as np


def chrf(found: Sequence[str], true: Sequence[str], longest: int = 6, beta: float = 2.0) -> float:
    """Return chrF of texts, from 0 to 100.

    Of all sequences of n letters that were found, over all texts, the share P_n is also in the true
    text, each as often as it is there; of all that are true, the share R_n was found. Spaces do not
    count. With the means P and R for n from 1 to `longest`, of those n that both have,

    chrF = 100 (1 + beta^2) P R / (beta^2 P + R)

    Parameters
    ----------
    found, true : sequence of str
        Of equal length.
    longest : int, default=6
    beta : float, default=2.0
        By how much R counts more than P.

    Returns
    -------
    float
        0 where nothing is shared.

    References
    ----------
    Popović (2015), chrF: character n-gram F-score for automatic MT evaluation, WMT; who had a beta
    of 1 and 3. Today 2 is usual.

    Examples
    --------
    >>> chrf(["abc"], ["abc"]), chrf(["abc"], ["xyz"])
    (100.0, 0.0)
    >>> chrf(["ab"], ["abcd"], longest=1, beta=1)  # P is 1, R a half
    66.66666666666667
    """
    if len(found) != len(true):
        raise ValueError(f"found has {len(found)} texts and true {len(true)}; they must be equal")
    precisions, recalls = [], []
    for n in range(1, longest + 1):
        pairs = [(_sequences(a, n), _sequences(b, n)) for a, b in zip(found, true, strict=True)]
        shared = sum((a & b).total() for a, b in pairs)
        n_found, n_true = (sum(each.total() for each in side) for side in zip(*pairs, strict=True))
        if n_found and n_true:
            precisions.append(shared / n_found)
            recalls.append(shared / n_true)
    if not any(precisions):
        return 0.0
    p, r = np.mean(precisions), np.mean(recalls)
    return float(100 * (1 + beta**2) * p * r / (beta**2 * p + r))


def _sequences(text: str, n: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[i : i + n] for i in range(len(letters) - n + 1))
