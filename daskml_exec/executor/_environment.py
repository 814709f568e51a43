"""What is installed where: versions that must agree before a task of this package may travel.

A task names functions of this package. A worker that cannot import them fails while it reads the
message, closes its connection with the scheduler and dies, and the task goes to the next one. So
each worker is first asked in words that any Python understands: a string for `eval`.
"""

import re
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn, TypedDict

from distributed import Client

from daskml_exec.executor._failures import WorkerMismatchError

PACKAGE = "daskml-exec"
# Another release of these is another protocol: tasks and their answers cannot be read.
_EQUAL = (PACKAGE, "dask", "distributed")
# Minor releases of these may differ in what pickles and functions mean, and patches in last bits.
_ALIKE = ("numpy", "scipy", "scikit-learn", "cloudpickle")
_ASKED = (*_EQUAL, *_ALIKE, "numba")

# No names but those of the standard library, no function that would travel as byte code: that
# of another release of Python is not refused but misread. Nothing is imported but metadata.
PROBE = f"""
(lambda sys, util, metadata: {{
    "python": ".".join(map(str, sys.version_info[:3])),
    "found": util.find_spec("daskml_exec") is not None,
    "versions": {{
        name: next((found.version for found in metadata.Distribution.discover(name=name)), None)
        for name in {_ASKED!r}
    }},
}})(
    __import__("sys"),
    __import__("importlib.util", fromlist=["util"]),
    __import__("importlib.metadata", fromlist=["metadata"]),
)
""".strip()


class Environment(TypedDict):
    """What the probe answers."""

    python: str
    found: bool
    """Whether the package is on the path."""
    versions: dict[str, str | None]


@cache
def environment() -> Environment:
    """Return what this process would answer."""
    answer: Environment = eval(PROBE)
    return answer


def scheduler_environment(client: Client) -> Environment:
    """Ask the scheduler, which reads every task before it sends it on."""
    answer: Environment = client.run_on_scheduler(eval, PROBE)
    return answer


def installed(name: str) -> str | None:
    """Return the version of a distribution in this process; None where it is not installed."""
    return environment()["versions"].get(name)


def compare_environments(mine: Environment, answers: Mapping[str, Any]) -> None:
    """Raise for processes that cannot run our tasks; warn of those that may round otherwise.

    Parameters
    ----------
    mine : Environment
    answers : mapping of str to Environment or Exception
        By who gave the answer, such as "worker tcp://127.0.0.1:1234".

    Raises
    ------
    WorkerMismatchError
        Naming the process, both versions, and what to do.
    """
    other: dict[str, list[str]] = {}
    for who, answer in answers.items():
        if isinstance(answer, Exception):
            raise WorkerMismatchError(
                f"{who} did not answer the version check: {answer!r}"
            ) from answer
        for difference in _differences(who, mine, answer):
            other.setdefault(difference, []).append(who)
    if other:
        texts = (f"{what} on {', '.join(who)}" for what, who in other.items())
        warnings.warn(
            f"workers have other releases than the driver: {'; '.join(texts)}; results may differ "
            "in the last bits",
            RuntimeWarning,
            stacklevel=2,
        )


def _differences(who: str, mine: Environment, theirs: Environment) -> list[str]:
    """Return the differences that only matter for the last bits; raise for the others."""
    here, there = _minor(mine["python"]), _minor(theirs["python"])
    if here != there:
        raise WorkerMismatchError(
            f"{who} runs Python {there}, the driver {here}, and functions do not travel "
            f"between the two. Start it with Python {here}, or the driver with {there}"
        )
    if not theirs["found"]:
        raise missing_package_error(who)
    small = []
    for name in (*_EQUAL, *_ALIKE):
        here, there = mine["versions"][name] or "", theirs["versions"].get(name) or ""
        if here == there or (name == PACKAGE and not (here and there)):  # a source tree has none
            continue
        if not there:
            _refuse(who, name, "lacks", here)
        if name in _EQUAL or _minor(here) != _minor(there):
            _refuse(who, name, f"has {there} of", here)
        small.append(f"{name} {there} (here {here})")
    return small


def _refuse(who: str, name: str, what: str, here: str) -> NoReturn:
    raise WorkerMismatchError(
        f"{who} {what} {name}, the driver has {here}. Install the same there: "
        f"pip install {name}=={here}{_or_from_here(name)}"
    )


def missing_package_error(who: str, answer: Exception | None = None) -> WorkerMismatchError:
    """Name the process that cannot import this package, and what to do."""
    version = installed(PACKAGE)
    reason = "" if answer is None else f" ({answer})"
    requirement = f"{PACKAGE}=={version}" if version else PACKAGE
    return WorkerMismatchError(
        f"{who} cannot import daskml_exec{reason}. Install it in that "
        f"environment: pip install {requirement}{_or_from_here(PACKAGE)}"
    )


def _or_from_here(name: str) -> str:
    if name != PACKAGE:
        return ""
    return (
        ". Or send it from here to all workers, those to come among them: "
        "executor.install_on_workers()"
    )


def _minor(version: str) -> str:
    found = re.match(r"\d+(\.\d+)?", version)
    return found[0] if found else version
