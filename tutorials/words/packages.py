"""Texts to learn from: what Debian's packages are, or else what Python's own modules are."""

import re
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

VOCABULARY = 128
"""Ids are bytes of ASCII; what is none becomes a question mark."""
RUN = 40
"""Lines that follow one another stay together, as the names of neighbours are alike."""


def debian_packages() -> list[str]:
    """Return a line for each package that apt knows: its name, section and short description.

    Examples
    --------
    ``libpng16-16 (libs) PNG library - runtime``
    """
    told = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True)
    return package_lines(told.stdout)


def package_lines(told: str) -> list[str]:
    """Return a line for each paragraph of a list of packages, each name once and in order.

    Examples
    --------
    >>> package_lines("Package: abc\\nVersion: 1\\nDescription: A tool\\nSection: utils\\n")
    ['abc (utils) A tool']
    """
    found = {}
    for paragraph in told.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Section|Description): (.*)$", paragraph, re.MULTILINE))
        if len(fields) == 3:
            found[fields["Package"]] = "{Package} ({Section}) {Description}".format(**fields)
    return [found[name] for name in sorted(found)]


def python_sources(n_files: int | None = None) -> list[str]:
    """Return the lines of Python's own modules, of so many files, without empty ones."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:n_files]
    lines = (line for path in paths for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line.strip()]


def packages_or_sources(
    packages: Callable[[], Sequence[str]] = debian_packages, least: int = 10_000
) -> Sequence[str]:
    """Return lines of packages, or of Python's modules where apt is absent or has no lists."""
    try:
        found = packages()
    except (OSError, subprocess.CalledProcessError):
        found = []
    return found if len(found) >= least else python_sources()


def dealt(lines: Sequence[str], share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of a text to train on, and of another to validate with.

    Runs of lines are put in an order that is drawn once; the last of them are for validation.

    Parameters
    ----------
    lines : sequence of str
    share : float
        Of the runs, for validation.
    seed : int, default=0
        Of the order.

    Returns
    -------
    train, validation : ndarray of shape (n_ids,), uint8

    Examples
    --------
    >>> train, validation = dealt(["line"] * 400, 0.1)
    >>> len(train), len(validation), as_text(validation[:10])
    (1800, 200, 'line\\nline\\n')
    """
    runs = ["".join(f"{line}\n" for line in lines[i : i + RUN]) for i in range(0, len(lines), RUN)]
    order = np.random.default_rng(seed).permutation(len(runs))
    n = max(round(share * len(runs)), 1)
    train, validation = ("".join(runs[i] for i in some) for some in (order[:-n], order[-n:]))
    return as_ids(train), as_ids(validation)


def as_ids(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("ascii", errors="replace"), np.uint8)


def as_text(ids: np.ndarray) -> str:
    return bytes(np.asarray(ids, np.uint8)).decode("ascii")
