"""Numbers and columns in words."""

from typing import Any

import numpy as np


def number(value: Any) -> str:
    """Write four digits, with the zeros at the end that align a column.

    Examples
    --------
    >>> number(0.25), number(1234.5)
    ('0.2500', '1234')
    """
    return f"{value:#.4g}".rstrip(".")


def count(n: int, one: str, many: str | None = None) -> str:
    """Write a number of things.

    Examples
    --------
    >>> count(1, "round"), count(2000, "round"), count(2, "class", "classes")
    ('1 round', '2,000 rounds', '2 classes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def label(value: Any) -> str:
    """Write a label, whole numbers as such.

    Examples
    --------
    >>> label("no"), label(2.0), label(2.5)
    ('no', '2', '2.5')
    """
    if isinstance(value, (str, bool, np.bool_)):
        return str(value)
    return str(int(value)) if float(value).is_integer() else repr(float(value))
