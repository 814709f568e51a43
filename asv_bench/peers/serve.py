"""The loop inside another interpreter: a request comes in on a line, its answer goes out on one.

Imports nothing of ours, nor anything outside the standard library.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Answer = tuple[float, list[float], float]
"""Seconds, coefficients, intercept."""


def serve(fit: Callable[[dict[str, Any]], Answer]) -> None:
    """Answer settings with fitted linear models."""
    respond(lambda setting: dict(zip(("seconds", "coef", "intercept"), fit(setting), strict=True)))


def respond(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Say that the data is ready, then answer each line of standard input."""
    answers = own_standard_output()
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def own_standard_output() -> Any:
    """Return the standard output, and lead to the errors what others print there."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers
