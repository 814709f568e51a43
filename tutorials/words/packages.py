"""Texts to learn from: what Debian's packages are, or else what Python's own modules are."""

import ast
import re
import subprocess
import sysconfig
import warnings
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


def topics_of_packages() -> list[tuple[str, str]]:
    """Return the description and the section of each package that apt knows."""
    told = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True)
    return package_topics(told.stdout)


def package_topics(told: str) -> list[tuple[str, str]]:
    """Return the description and the section of each paragraph of a list of packages.

    Each name counts once, and in order; of a section such as "contrib/net" the last part does.

    Examples
    --------
    >>> package_topics("Package: abc\\nDescription: A tool\\n for all\\nSection: contrib/utils\\n")
    [('A tool for all', 'utils')]
    """
    found = {}
    for paragraph in told.split("\n\n"):
        fields = dict(
            re.findall(r"^(Package|Section|Description): (.*(?:\n .*)*)", paragraph, re.MULTILINE)
        )
        if len(fields) == 3:
            section = fields["Section"].split("/")[-1]
            found[fields["Package"]] = " ".join(fields["Description"].split()), section
    return [found[name] for name in sorted(found)]


def topics_of_docstrings(folder: Path | None = None) -> list[tuple[str, str]]:
    """Return the docstrings of Python's library, each with the module or package it is from.

    Parameters
    ----------
    folder : Path or None
        Of modules; None for those that Python has brought along. Tests are left out.
    """
    folder = Path(sysconfig.get_path("stdlib")) if folder is None else folder
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not {"site-packages", "dist-packages", "test", "tests"} & {*parts}:
            found += [(text, parts[0]) for text in docstrings(path.read_text("utf-8"))]
    return found


def docstrings(source: str) -> list[str]:
    """Return the docstrings of a module, in order and each in one line.

    Examples
    --------
    >>> docstrings("'A module.'\\ndef f():\\n    'Return  nothing.'")
    ['A module.', 'Return nothing.']
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in texts that are not ours
        tree = ast.parse(source)
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return [" ".join(text.split()) for text in texts if text and text.strip()]


def topics_or_docstrings(
    topics: Callable[[], Sequence[tuple[str, str]]] = topics_of_packages, least: int = 10_000
) -> Sequence[tuple[str, str]]:
    """Return packages' topics, or docstrings of Python's where apt is absent or has no lists."""
    try:
        found = topics()
    except (OSError, subprocess.CalledProcessError):
        found = []
    return found if len(found) >= least else topics_of_docstrings()


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
