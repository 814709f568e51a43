"""The arguments that the command takes, and its help."""

import argparse
from importlib.metadata import version

from daskml_exec.cli._errors import PROGRAM
from daskml_exec.linear_model import LogisticRegression

_TRAIN_EPILOG = """\
The result goes to stdout, progress and messages to stderr. Exit codes: 0 trained (also where a
warning says that it has not converged), 1 failed (also a value out of range), 2 wrong usage,
130 interrupted.

A model saved with --save is a safetensors file with the arrays "coef" and "intercept". Every
value of its metadata is JSON. To read it and to predict, with X an array or a sparse matrix:

  import json
  import numpy as np
  from safetensors import safe_open

  with safe_open("model.safetensors", framework="numpy") as file:
      coef, intercept = file.get_tensor("coef"), file.get_tensor("intercept")
      about = {key: json.loads(value) for key, value in file.metadata().items()}
  margins = X @ coef.T + intercept        # column j of X is index j + about["first_index"]
  if len(about["classes"]) == 2:          # one margin, that of the second class
      margins = np.hstack([-margins, margins])
  labels = np.take(about["classes"], margins.argmax(axis=1))
"""


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
    defaults = LogisticRegression()
    parser = commands.add_parser(
        "train",
        help="train a model on a libsvm file",
        description="Train a model on a libsvm file, with the rows spread over workers.",
        epilog=_TRAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="libsvm file: a path, URL or glob")
    parser.add_argument(
        "--test", metavar="FILE", help="libsvm file on which to measure the accuracy afterwards"
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
        help="use the cluster of this Dask scheduler instead, such as tcp://10.0.0.1:8786",
    )
    cluster.add_argument(
        "--partitions",
        type=int,
        metavar="N",
        help="row ranges to cut FILE into (default: one per 64 MiB, at least one per file)",
    )

    model = parser.add_argument_group("model")
    model.add_argument(
        "--model", choices=["logistic"], default="logistic", help="(default: %(default)s)"
    )
    model.add_argument(
        "--solver",
        choices=["auto", "newton", "lbfgs", "averaging"],
        default=defaults.solver,
        help="auto is newton: a few rounds; lbfgs sums gradients, averaging averages local models "
        "(default: %(default)s)",
    )
    model.add_argument(
        "--max-iter",
        type=int,
        metavar="N",
        default=defaults.max_iter,
        help="iterations at most (default: %(default)s)",
    )
    model.add_argument(
        "--tol",
        type=float,
        metavar="X",
        default=defaults.tol,
        help="stop when no component of the gradient is larger, relative to the square root of the "
        "objective and in standardised coordinates; see LogisticRegression (default: %(default)s)",
    )
    model.add_argument(
        "--C",
        type=float,
        metavar="X",
        default=defaults.C,
        help="inverse strength of the penalty, inf for none (default: %(default)s)",
    )
