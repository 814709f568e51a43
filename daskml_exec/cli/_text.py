"""Numbers and columns in words."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


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


def aligned(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Write a line for each name and what there is to say of it."""
    return [f"{name:<19}{value}" for name, value in pairs]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align the columns, numbers to the right."""
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield line.rstrip()
