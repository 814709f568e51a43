"""Where data is not finite, and how to say so to whoever has to mend it."""

from collections.abc import Sequence

Place = tuple[int, int, int, str]
"""Partition, row in it, column, and "NaN" or "infinity"."""


class ColumnError(ValueError):
    """What is wrong with a column, whose name only the driver knows: names do not travel.

    Parameters
    ----------
    before, after : str
        What is said before the name and after it.
    column : int

    Examples
    --------
    >>> error = not_finite((2, 7, 0, "NaN"))
    >>> print(error)
    Input X contains NaN in partition 2, column 0 (row 7 of the partition)
    >>> print(error.named(["age"]))
    Input X contains NaN in partition 2, column 0 ('age') (row 7 of the partition)
    """

    def __init__(self, before: str, after: str, column: int) -> None:
        super().__init__(before, after, column)
        self.before, self.after, self.column = before, after, column

    def __str__(self) -> str:
        return self.before + self.after

    def named(self, names: Sequence[str] | None) -> ValueError:
        """Return the error that the user sees, with the column's name if there is one."""
        name = f" ({names[self.column]!r})" if names else ""
        return ValueError(f"{self.before}{name}{self.after}")


def not_finite(place: Place) -> ColumnError:
    """Return the error that says where X is not finite."""
    partition, row, column, what = place
    return ColumnError(
        f"Input X contains {what} in partition {partition}, column {column}",
        f" (row {row} of the partition)",
        column,
    )


class ColumnTypeError(TypeError):
    """What is wrong with the types of a column, as `ColumnError`.

    Parameters
    ----------
    before, after, column : as of `ColumnError`
    """

    def __init__(self, before: str, after: str, column: int) -> None:
        super().__init__(before, after, column)
        self.before, self.after, self.column = before, after, column

    def __str__(self) -> str:
        return self.before + self.after

    def named(self, names: Sequence[str] | None) -> TypeError:
        """Return the error that the user sees, with the column's name if there is one."""
        name = f" ({names[self.column]!r})" if names else ""
        return TypeError(f"{self.before}{name}{self.after}")
