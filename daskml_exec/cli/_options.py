"""What was asked for on the command line, checked."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields

from daskml_exec.cli._models import MODELS, ModelKind, option
from daskml_exec.cli._models._kind import require
from daskml_exec.datasets._tables import is_table


@dataclass(frozen=True)
class TrainOptions:
    """Options of ``train``; None where the default depends on the machine or the data."""

    file: str
    model: ModelKind
    workers: int | None
    scheduler: str | None
    partitions: int | None
    test: str | None
    save: str | None
    target: str | None = None
    drop: Sequence[str] = ()
    text: str | None = None

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "TrainOptions":
        """Take the fields from what argparse parsed; exit where they do not go together."""
        values = {field.name: getattr(arguments, field.name) for field in fields(cls)}
        frame = is_table(arguments.file)
        if frame and arguments.target is None:
            arguments.wrong_usage(
                f"{arguments.file} has columns with names; needed is --target COLUMN, the one to "
                "predict"
            )
        if not frame and any((arguments.target, arguments.drop, arguments.text)):
            arguments.wrong_usage(
                "--target, --text and --drop are for files whose columns have names: .csv and "
                ".parquet"
            )
        if arguments.target is not None and arguments.target in arguments.drop:
            arguments.wrong_usage(
                f"--drop {arguments.target} is also what --target names; allowed is another "
                "column, to leave out"
            )
        if arguments.text is not None and arguments.text in (arguments.target, *arguments.drop):
            arguments.wrong_usage(
                f"--text {arguments.text} is also what --target or --drop names; allowed is "
                "another column, to learn from"
            )
        given = {"model": _model(arguments), "drop": tuple(arguments.drop)}
        return cls(**{**values, **given})

    def check(self) -> None:
        """Raise CommandError for a value out of range: before anything is started or read."""
        for name in ("workers", "partitions"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "integers from 1")
        self.model.check()


def _model(arguments: argparse.Namespace) -> ModelKind:
    """Return the model with the options that were given; those of another one are wrong usage."""
    kind = MODELS[arguments.model]
    own = [field.name for field in fields(kind)]
    for other in MODELS.values():
        for field in fields(other):
            if field.name not in own and hasattr(arguments, field.name):
                arguments.wrong_usage(
                    f"{option(field.name)} is an option of --model {other.name}; allowed with "
                    f"--model {kind.name} are {', '.join(map(option, own))}"
                )
    return kind(**{name: getattr(arguments, name) for name in own if hasattr(arguments, name)})
