"""Pairs of texts in two languages, and their ids: names by gettext, or numbers in words."""

import gettext
from pathlib import Path

import numpy as np

PADDING, BEGIN, END = range(3)
VOCABULARY = 3 + 256
"""Three ids of ours, and then bytes of UTF-8."""
CATALOGUES = Path("/usr/share/locale/fr/LC_MESSAGES")
"""Where Debian's packages have their French; `iso-codes` has names of languages and places."""
LONGEST = 40
"""Bytes of a text, at most."""


def french_names(folder: Path = CATALOGUES) -> dict[str, str]:
    """Return French names of languages, places, scripts and currencies, by the English ones.

    Those are left out that are the same in both, and that are longer than `LONGEST` bytes.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.glob("iso_*-*.mo")):
        with path.open("rb") as file:
            catalogue = vars(gettext.GNUTranslations(file))["_catalog"]
        for source, target in catalogue.items():
            if source and source != target and _are_short(source, target):
                found.setdefault(source, target)
    if not found:
        raise SystemExit(f"{folder} has no French names: apt-get install iso-codes")
    return found


def french_numbers(n: int) -> dict[str, str]:
    """Return the numbers below n, at most 1,000, in words of both languages.

    Examples
    --------
    >>> numbers = french_numbers(1_000)
    >>> numbers["seventy-one"], numbers["two hundred"], numbers["nine hundred and ninety-nine"]
    ('soixante et onze', 'deux cents', 'neuf cent quatre-vingt-dix-neuf')
    """
    return {in_english(number): in_french(number) for number in range(n)}


_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ENGLISH += ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen")
_ENGLISH += ("seventeen", "eighteen", "nineteen")
_ENGLISH_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_FRENCH = ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix")
_FRENCH += ("onze", "douze", "treize", "quatorze", "quinze", "seize")
_FRENCH += ("dix-sept", "dix-huit", "dix-neuf")
_FRENCH_TENS = ("vingt", "trente", "quarante", "cinquante", "soixante", "soixante")
_FRENCH_TENS += ("quatre-vingt", "quatre-vingt")


def in_english(number: int) -> str:
    """Return a number below 1,000 in words."""
    hundreds, rest = divmod(number, 100)
    if hundreds:
        return f"{_ENGLISH[hundreds]} hundred" + (f" and {in_english(rest)}" if rest else "")
    if number < 20:
        return _ENGLISH[number]
    tens, ones = divmod(number, 10)
    return _ENGLISH_TENS[tens - 2] + (f"-{_ENGLISH[ones]}" if ones else "")


def in_french(number: int) -> str:
    """Return a number below 1,000 in words.

    From 60 to 99 one counts in twenties; "vingt" and "cent" have a plural only at the end.
    """
    hundreds, rest = divmod(number, 100)
    if hundreds:
        first = "cent" if hundreds == 1 else f"{_FRENCH[hundreds]} cent"
        if rest:
            return f"{first} {in_french(rest)}"
        return first if hundreds == 1 else f"{first}s"
    if number < 20:
        return _FRENCH[number]
    tens = number // 10
    first = _FRENCH_TENS[tens - 2]
    ones = number % 20 if tens >= 6 else number % 10
    if ones == 0:
        return f"{first}s" if number == 80 else first
    return (
        f"{first} et {_FRENCH[ones]}"
        if ones in (1, 11) and number < 80
        else f"{first}-{_FRENCH[ones]}"
    )


def split(
    pairs: dict[str, str], n_test: int, seed: int = 0
) -> tuple[dict[str, str], dict[str, str]]:
    """Return pairs to train on and others to test with, which have no source in common.

    Each source is there once, and its pair is in one of both.
    """
    if not 0 < n_test < len(pairs):
        raise ValueError(f"n_test is {n_test}; allowed is 1 to {len(pairs) - 1}")
    order = np.random.default_rng(seed).permutation(len(pairs))
    items = list(pairs.items())
    return (
        dict(items[i] for i in order[:-n_test]),
        dict(items[i] for i in order[-n_test:]),
    )


def as_samples(pairs: dict[str, str]) -> dict[str, np.ndarray]:
    """Return ids, padded to one length: of sources (n, 41), and of targets (n, 42).

    Both end with `END`, and targets begin with `BEGIN`.

    Examples
    --------
    >>> samples = as_samples({"ab": "c"})
    >>> samples["source"][0, :4].tolist(), samples["target"][0, :4].tolist()
    ([100, 101, 2, 0], [1, 102, 2, 0])
    """
    n = len(pairs)
    source = np.full((n, LONGEST + 1), PADDING, np.int16)
    target = np.full((n, LONGEST + 2), PADDING, np.int16)
    for i, (before, after) in enumerate(pairs.items()):
        _put(source[i], [*_ids(before), END])
        _put(target[i], [BEGIN, *_ids(after), END])
    return {"source": source, "target": target}


def as_text(ids: np.ndarray) -> str:
    """Return what stands before the first `END`."""
    ids = np.asarray(ids)
    (ends,) = np.nonzero(ids == END)
    kept = ids[: ends[0]] if len(ends) else ids
    return bytes((kept[kept > END] - 3).astype(np.uint8)).decode(errors="replace")


def _ids(text: str) -> list[int]:
    return [3 + byte for byte in text.encode()]


def _put(row: np.ndarray, ids: list[int]) -> None:
    if len(ids) > len(row):
        raise ValueError(f"a text has {len(ids)} ids; allowed are {len(row)} at most")
    row[: len(ids)] = ids


def _are_short(*texts: str) -> bool:
    return all(len(text.encode()) <= LONGEST for text in texts)
