"""What was asked for on the command line, checked."""

import argparse
from dataclasses import dataclass, fields
from typing import Any

from daskml_exec.cli._errors import CommandError


@dataclass(frozen=True)
class TrainOptions:
    """Options of ``train``; None where the default depends on the machine or the data."""

    file: str
    model: str
    workers: int | None
    scheduler: str | None
    partitions: int | None
    test: str | None
    solver: str
    max_iter: int
    tol: float
    C: float
    save: str | None

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "TrainOptions":
        """Take the fields from what argparse parsed."""
        values = {field.name: getattr(arguments, field.name) for field in fields(cls)}
        return cls(**values)

    def check(self) -> None:
        """Raise CommandError for a value out of range: before anything is started or read."""
        for name in ("workers", "partitions", "max_iter"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "integers from 1")
        _require(self.tol >= 0, "tol", self.tol, "numbers from 0")
        _require(self.C > 0, "C", self.C, "numbers above 0, and inf for no penalty")


def _require(allowed: bool, name: str, value: Any, what: str) -> None:
    if not allowed:
        option = "--" + name.replace("_", "-")
        raise CommandError(f"{option} {value} is out of range; allowed are {what}")
