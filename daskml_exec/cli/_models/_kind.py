"""What the command must know of a kind of model."""

import argparse
from collections.abc import Iterable
from dataclasses import Field
from typing import Any, ClassVar, Protocol

from daskml_exec.cli._columns import Columns
from daskml_exec.cli._errors import CommandError
from daskml_exec.training import Callback


class ModelKind(Protocol):
    """A kind of model, with the values of its options: a frozen dataclass of these.

    Each field is an option of the same name, and has the option's default.

    Attributes
    ----------
    name : str
        The value of ``--model``.
    about : str
        The kind in a few words, for the help.
    reading : str
        Python code that makes "labels" of "X" with the arrays of a saved model alone, for the help.
    usual_warnings : tuple of warning classes
        What a fit that went as was asked for warns of; not told.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    reading: ClassVar[str]
    usual_warnings: ClassVar[tuple[type[Warning], ...]]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @classmethod
    def add_options(cls, group: "argparse._ArgumentGroup") -> None:
        """Add the options, none with a default: what is not given is not set."""

    def check(self) -> None:
        """Raise CommandError for a value out of range."""

    def estimator(self, callbacks: list[Callback]) -> Any:
        """Return the estimator to fit."""

    def head(self, model: Any, *, converged: bool) -> Iterable[tuple[str, str]]:
        """Say what was fitted, and how that went: names with texts."""

    def details(self, model: Any, columns: Columns) -> Iterable[str]:
        """Return the lines about the parameters; there may be none."""

    def loss(self, model: Any) -> str:
        """Say what the training loss is."""


def option(name: str) -> str:
    """Return how the option of a field is written.

    Examples
    --------
    >>> option("max_iter")
    '--max-iter'
    """
    return "--" + name.replace("_", "-")


def require(allowed: bool, name: str, value: Any, what: str) -> None:
    """Raise CommandError unless the value of a field is allowed."""
    if not allowed:
        raise CommandError(f"{option(name)} {value} is out of range; allowed are {what}")
