"""One table for everything measured."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HEADER = ("case", "who", "setting", "seconds", "suboptimality", "peer / ours, or as said")


@dataclass(frozen=True)
class Row:
    """One side of one case."""

    case: str
    who: str
    setting: str = ""
    seconds: tuple[float, ...] = ()
    suboptimality: str = ""
    result: str = ""


def spread(values: Sequence[float]) -> str:
    """Return the median and, in brackets, the lowest and the highest."""
    if len(values) == 1:
        return _short(values[0])
    return f"{_short(statistics.median(values))} ({_short(min(values))} - {_short(max(values))})"


def render(rows: Sequence[Row]) -> str:
    cells = [HEADER] + [
        (
            row.case,
            row.who,
            row.setting,
            spread(row.seconds) if row.seconds else "",
            row.suboptimality,
            row.result,
        )
        for row in rows
    ]
    return aligned(cells)


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """Return the rows of cells, the first of them the header, in columns."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _short(value: float) -> str:
    """Return three significant digits, never as a power of ten: columns are read downwards."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(2 - magnitude, 0)}f}"
