"""What users are shown, as text and as HTML from the same parts: facts, and tables."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd


class Part(Protocol):
    """What can be shown."""

    def lines(self) -> Iterable[str]:
        """Return the lines of its text."""

    def html(self) -> str:
        """Return it as HTML."""


@dataclass(frozen=True)
class Facts:
    """A line for each name, and what there is to say of it.

    Attributes
    ----------
    pairs : sequence of tuple of str
    width : int
        Of the names.
    title : str
        What stands above them, and has them indented; empty for nothing.

    Examples
    --------
    >>> Facts([("rows", "1,000"), ("columns", "4")]).lines()
    ['rows      1,000', 'columns   4']
    """

    pairs: Sequence[tuple[str, str]]
    width: int = 10
    title: str = ""

    def lines(self) -> list[str]:
        indent = "  " if self.title else ""
        facts = [f"{indent + name:<{self.width}}{fact}" for name, fact in self.pairs]
        return [self.title, *facts] if self.title else facts

    def html(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(fact)}</td></tr>" for name, fact in self.pairs
        )
        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        return f"<table>{caption}<tbody>{rows}</tbody></table>"


@dataclass(frozen=True)
class Table:
    """Rows of texts below a header.

    Attributes
    ----------
    header : sequence of str
    rows : sequence of sequence of str
    words : collection of str
        The columns that begin at the left; numbers end at the right.

    Examples
    --------
    >>> table = Table(("city", "people"), [("Bonn", "330"), ("Rome", "2,800")], words=["city"])
    >>> table.lines()
    ['city  people', 'Bonn     330', 'Rome   2,800']
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Collection[str] = ()

    def lines(self) -> list[str]:
        cells = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return ["  ".join(self._aligned(row, widths)).rstrip() for row in cells]

    def _aligned(self, row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
        for title, cell, width in zip(self.header, row, widths, strict=True):
            yield cell.ljust(width) if title in self.words else cell.rjust(width)

    def html(self) -> str:
        header = "".join(f"<th>{escape(title)}</th>" for title in self.header)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"


class Readable:
    """Base of what is printed as text, and shown by notebooks as HTML."""

    __slots__ = ()

    def _parts(self) -> Iterable[Part]:
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join(line for part in self._parts() for line in part.lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return "".join(part.html() for part in self._parts())


def frame_of(records: Iterable[Any], kind: type) -> "pd.DataFrame":
    """Return a dataframe with a row for each dataclass record, and a column for each field.

    Parameters
    ----------
    records : iterable of `kind`
    kind : type
        Which says the columns where there are no records.
    """
    import pandas as pd

    columns = [field.name for field in fields(kind)]
    return pd.DataFrame([asdict(record) for record in records], columns=columns)
