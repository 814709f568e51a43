"""What all partial results that are sums have in common."""

from dataclasses import fields, is_dataclass
from typing import Self


class FieldwiseSum:
    """Mixin of dataclasses whose fields add up one by one.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Counts(FieldwiseSum):
    ...     rows: int
    ...     weight: float
    >>> Counts(1, 0.5) + Counts(2, 1.0)
    Counts(rows=3, weight=1.5)
    """

    def __add__(self, other: Self) -> Self:
        assert is_dataclass(self)
        names = [field.name for field in fields(self)]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))
