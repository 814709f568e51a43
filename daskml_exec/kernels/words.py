"""Words of many documents at once, exactly those of scikit-learn's default token pattern."""

import itertools
import re
from collections.abc import Sequence

END = "\0"
"""Stands behind the words of each document; no word has this character."""
PATTERN = r"(?u)\b\w\w+\b"
"""The pattern: runs of two and more letters, digits and underscores."""

_BETWEEN = f" {END} "
_WORDS_AND_ENDS = re.compile(rf"{PATTERN}|{END}")


def _table(*, lowercase: bool) -> bytes:
    """Return what ASCII becomes: characters of words, and a space for all others but the end."""
    kept = [chr(code) for code in range(128)]
    kept = [each if re.match(rf"\w|{END}", each) else " " for each in kept]
    ascii_part = "".join(kept).lower() if lowercase else "".join(kept)
    return ascii_part.encode() + bytes(range(128, 256))


_TABLES = {lowercase: _table(lowercase=lowercase) for lowercase in (False, True)}


def words(documents: Sequence[str], *, lowercase: bool) -> list[str]:
    r"""Return the words of all documents in order, with `END` behind those of each.

    Of ASCII texts, also runs of one character are returned, which are no words: to find them among
    distinct words is far less work than among all.

    Parameters
    ----------
    documents : sequence of str
    lowercase : bool
        Whether upper-case letters become lower-case ones first.

    Examples
    --------
    >>> words(["It is a Test.", ""], lowercase=True)
    ['it', 'is', 'a', 'test', '\x00', '\x00']
    >>> words(["Où, Test"], lowercase=False)
    ['Où', 'Test', '\x00']
    """
    text = _joined(documents)
    if text.isascii():
        return text.encode().translate(_TABLES[lowercase]).decode("ascii").split()
    runs = [(ascii, list(run)) for ascii, run in itertools.groupby(documents, str.isascii)]
    found = [
        words(run, lowercase=lowercase)
        if ascii
        # What a letter becomes depends on its neighbours at most, and between documents is space.
        else _WORDS_AND_ENDS.findall(_joined(run).lower() if lowercase else _joined(run))
        for ascii, run in runs
    ]
    return list(itertools.chain.from_iterable(found))


def _joined(documents: Sequence[str]) -> str:
    text = _BETWEEN.join([*documents, ""])
    if text.count(END) == len(documents):
        return text
    return _BETWEEN.join([*(each.replace(END, " ") for each in documents), ""])
