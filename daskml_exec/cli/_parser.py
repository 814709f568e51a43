"""The arguments that the command takes, and its help."""

import argparse
import textwrap
from importlib.metadata import version

from daskml_exec.cli._errors import PROGRAM
from daskml_exec.cli._models import MODELS

_TRAIN_EPILOG = """\
Of a table, numbers are scaled, with the mean in place of gaps, and each value of a column of texts
becomes a number of its own, 0 or 1. Of the column --text each word does: its TF-IDF weight, as
TfidfVectorizer has it, called words__WORD. The other columns are beside it, as numbers__COLUMN and
texts__COLUMN_VALUE, unless --drop leaves them out. A row without text is an error that names it.

The result goes to stdout, progress and messages to stderr. Exit codes: 0 trained (also where a
warning says that it has not converged; of a network, whose epochs are given, none does), 1 failed
(also a value out of range), 2 wrong usage, 130 interrupted.

A model saved with --save is the estimator of the package, fitted. To open it in Python and to
predict, with X an array or a sparse matrix, whose column j has the index j + first_index in FILE:

  from daskml_exec import open_model
  labels = open_model("model.safetensors").predict(X)

It is a safetensors file. Every value of its metadata is JSON; "notes" are the first_index and
whether training converged. Where the package is not installed:

  import json
  import numpy as np
  from safetensors import safe_open
  with safe_open("model.safetensors", framework="numpy") as file:
      notes = json.loads(file.metadata()["notes"])
"""

_FILE = """\
libsvm file: a path, URL or glob; a table, .csv or .parquet, with --target; or images whose name
ends in idx3-ubyte or idx3-ubyte.gz, beside a file of labels that is called labels-idx1-ubyte in
place of images-idx3-ubyte"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train machine-learning models on a Dask cluster.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"{PROGRAM} {version('daskml-exec')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    return parser


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "train",
        help="train a model on a libsvm file, a table, or images",
        description="Train a classifier on a libsvm file, a table in CSV or Parquet, or images in "
        "the IDX format of MNIST, with the rows spread over workers.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(wrong_usage=parser.error)
    parser.add_argument("file", metavar="FILE", help=_FILE)
    parser.add_argument(
        "--model", choices=list(MODELS), default="logistic", help="(default: %(default)s)"
    )
    parser.add_argument("--target", metavar="COLUMN", help="of a table: the column to predict")
    parser.add_argument(
        "--text",
        metavar="COLUMN",
        help="of a table: a column to be read word by word, such as descriptions; a CSV is cut at "
        "ends of lines, so that longer texts want Parquet",
    )
    parser.add_argument(
        "--drop",
        metavar="COLUMN",
        action="append",
        default=[],
        help="of a table: a column to leave out, such as numbers of rows; may be given again",
    )
    parser.add_argument(
        "--test",
        metavar="FILE",
        help="as FILE: on which to measure the accuracy afterwards, and which labels are "
        "taken for which",
    )
    parser.add_argument(
        "--save", metavar="PATH", help="path or URL to save the model at; replaces what is there"
    )

    cluster = parser.add_argument_group("cluster")
    where = cluster.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes to start on this machine (default: one per CPU core)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="use the cluster of this Dask scheduler instead: its address, such as "
        "tcp://10.0.0.1:8786, or its scheduler file",
    )
    cluster.add_argument(
        "--partitions",
        type=int,
        metavar="N",
        help="row ranges to cut FILE into (default: one per 64 MiB, at least one per file)",
    )
    for kind in MODELS.values():
        # Without defaults, so that an option is known to have been given.
        group = parser.add_argument_group(
            f"--model {kind.name}", kind.about, argument_default=argparse.SUPPRESS
        )
        kind.add_options(group)


def _epilog() -> str:
    readings = (
        f"  # --model {kind.name}\n{textwrap.indent(kind.reading, '  ')}"
        for kind in MODELS.values()
    )
    return "\n".join([_TRAIN_EPILOG, *readings])
