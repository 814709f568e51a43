"""Compare every worker with the driver before work starts: versions, BLAS and CPU."""

import platform
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dask
import distributed
from distributed import Client

from daskml_exec.executor import _config
from daskml_exec.executor._blas import blas_controller
from daskml_exec.executor._failures import WorkerMismatchError, no_worker_error

_PACKAGE = "daskml-exec"
_IMPORT_ERROR = re.compile("ModuleNotFoundError|ImportError")
# How often the workers are asked, when some go away instead of answering.
_MAX_ASKS = 5


@dataclass(frozen=True)
class Fingerprint:
    """What must agree for the code to run, and what must agree for the bits to."""

    package: str
    dask: str
    distributed: str
    arithmetic: str
    """BLAS builds with the kernels they chose, the CPU, and Numba if it is there: results may
    differ in last bits."""


@cache
def fingerprint() -> Fingerprint:
    """Return this process's fingerprint."""
    blas = sorted(
        f"{lib['internal_api']} {lib['version']} ({lib.get('architecture', 'unknown kernel')})"
        for lib in blas_controller().info()
    )
    numba = _installed("numba")
    compiler = [f"numba {numba}"] if numba else []
    return Fingerprint(
        package=_installed(_PACKAGE) or "unknown",
        dask=dask.__version__,
        distributed=distributed.__version__,
        arithmetic=", ".join([*blas, *compiler, _cpu_model()]),
    )


def check_workers(client: Client) -> tuple[str, ...]:
    """Ask all workers for their fingerprints and return the workers' addresses.

    Raises
    ------
    WorkerMismatchError
        A worker lacks the package, or has another version of it or of Dask.
    TimeoutError
        The cluster has no worker, and none came in time.
    ConnectionError
        A worker cannot be reached, and does not leave either.

    Warns
    -----
    RuntimeWarning
        Workers differ in BLAS, Numba or CPU, so that results may differ in the last bits.
    """
    answers = _ask(client)
    compare(fingerprint(), answers)
    return tuple(answers)


def _ask(client: Client) -> dict[str, Fingerprint | Exception]:
    """Return the answers of all workers, once none of them is on its way out."""
    unreachable: dict[str, OSError] = {}
    for _ in range(_MAX_ASKS):
        answers: dict[str, Fingerprint | Exception] = client.run(fingerprint, on_error="return")
        unreachable = {who: what for who, what in answers.items() if isinstance(what, OSError)}
        if not answers:
            _wait_for_a_worker(client)
        elif not unreachable:
            return answers
    if not unreachable:
        raise ConnectionError(f"workers leave before they answer, {_MAX_ASKS} times in a row")
    address, error = next(iter(unreachable.items()))
    raise ConnectionError(
        f"worker {address} did not answer the version check: {error!r}. It was asked {_MAX_ASKS} "
        "times; see its log"
    ) from error


def compare(mine: Fingerprint, answers: Mapping[str, Fingerprint | Exception]) -> None:
    """Raise for workers that cannot run our tasks; warn for workers that may round otherwise."""
    by_arithmetic: dict[str, list[str]] = {}
    for address, answer in answers.items():
        # A worker that cannot unpickle our function sends the error back as text.
        if isinstance(answer, Exception) and _IMPORT_ERROR.search(repr(answer)):
            raise WorkerMismatchError(
                f"worker {address} cannot import daskml_exec ({answer}). Install the package in "
                f"the workers' environment: pip install {_PACKAGE}=={mine.package}"
            ) from answer
        if isinstance(answer, Exception):
            raise WorkerMismatchError(
                f"worker {address} did not answer the version check: {answer!r}. Its daskml_exec "
                f"is probably another version than the driver's {mine.package}"
            ) from answer
        for name, here, there in (
            (_PACKAGE, mine.package, answer.package),
            ("dask", mine.dask, answer.dask),
            ("distributed", mine.distributed, answer.distributed),
        ):
            if here != there:
                raise WorkerMismatchError(
                    f"worker {address} has {name} {there}, the driver has {here}. Install the "
                    f"same version there: pip install {name}=={here}"
                )
        by_arithmetic.setdefault(answer.arithmetic, []).append(address)
    if len(by_arithmetic) > 1:
        groups = "; ".join(f"{', '.join(who)}: {what}" for what, who in by_arithmetic.items())
        warnings.warn(
            "workers differ in BLAS, Numba or CPU, so results may differ in the last bits: "
            + groups,
            RuntimeWarning,
            stacklevel=2,
        )


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _wait_for_a_worker(client: Client) -> None:
    """Wait for the first worker, asking for one by work: adaptive clusters start at none."""
    limit = _config.seconds("workers-timeout")
    try:
        client.submit(int, pure=False).result(timeout=limit)
    except TimeoutError as error:
        raise no_worker_error(client, limit) from error


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
