"""What the columns of a model are called in the file that it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from daskml_exec.cli._text import count


class Columns(Protocol):
    """Names of columns."""

    @property
    def made(self) -> str:
        """What was made of the columns of the file, in words; empty for nothing."""

    def name(self, column: int) -> str:
        """Return what a column is called."""

    def in_words(self) -> str:
        """Say what the names are."""


@dataclass(frozen=True)
class Indices:
    """Columns that a file numbers.

    Attributes
    ----------
    first : int
        What column 0 has in the file: 0 or 1.
    """

    first: int
    made: ClassVar[str] = ""

    def name(self, column: int) -> str:
        return str(column + self.first)

    def in_words(self) -> str:
        return f"index:value (indices as in the file, from {self.first})"


@dataclass(frozen=True)
class Names:
    """Columns that a file names.

    Attributes
    ----------
    names : sequence of str
    """

    names: Sequence[str]

    @property
    def made(self) -> str:
        return f", as {count(len(self.names), 'number')}"

    def name(self, column: int) -> str:
        return self.names[column]

    def in_words(self) -> str:
        return "column:value"
