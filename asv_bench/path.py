"""The path of a fit through the package: which files and layers it enters, and how deep calls go.

``cd asv_bench; python -m path`` counts, for one `LogisticRegression.fit` and one data parallel
`MLPClassifier.fit` on small data in memory, without and with an open Executor, the files of
`daskml_exec` that have a function called, in all threads and in the one that calls `fit`; the
layers (top folders) that they are of; and the greatest number of the package's calls that are under
way in one thread. Each fit has run once before, so that imports and what is done once for a cluster
do not count. What dataclasses generate is of no file. ``--list`` prints the files, layer by layer,
too.
"""

import argparse
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import daskml_exec
from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier

PACKAGE = Path(daskml_exec.__file__).parent
ROWS, FEATURES = 400, 8


@dataclass
class Walk:
    """What is entered while it is recorded."""

    files: set[str] = field(default_factory=set)
    """Relative to the package."""
    files_of_driver: set[str] = field(default_factory=set)
    """Those that the thread of the fit enters."""
    depth: int = 0
    thread: int = field(default_factory=threading.get_ident)

    @property
    def layers(self) -> list[str]:
        return sorted({_layer(file) for file in self.files})

    def saw(self, frame: FrameType) -> None:
        """Note a call of the package's, and how many there are up to it."""
        file = Path(frame.f_code.co_filename).relative_to(PACKAGE).as_posix()
        self.files.add(file)
        if threading.get_ident() == self.thread:
            self.files_of_driver.add(file)
        depth = 0
        at: FrameType | None = frame
        while at is not None:
            depth += _is_ours(at.f_code)
            at = at.f_back
        self.depth = max(self.depth, depth)


class Recorder:
    """Follows the calls of all threads that are started while it does, when asked to record.

    Threads of a cluster must have been started within `following`.
    """

    def __init__(self) -> None:
        self._walk: Walk | None = None

    @contextmanager
    def following(self) -> Iterator[None]:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def record(self, call: Callable[[], object]) -> Walk:
        self._walk = walk = Walk()
        try:
            call()
        finally:
            self._walk = None
        return walk

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        walk = self._walk
        if walk is not None and event == "call" and _is_ours(frame.f_code):
            walk.saw(frame)


def fits() -> dict[str, Callable[[], object]]:
    """Return what is followed, by name."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(ROWS, FEATURES))
    y = (X[:, 0] + draw.logistic(size=ROWS) > 0).astype(int)
    return {
        "LogisticRegression.fit": lambda: LogisticRegression().fit(X, y),
        "MLPClassifier.fit": lambda: MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y),
    }


def walks() -> dict[str, Walk]:
    """Return the path of each fit."""
    recorder = Recorder()
    found = {}
    with recorder.following(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a fit this short has not converged
        for name, fit in fits().items():
            fit()
            found[name] = recorder.record(fit)
        with Executor(processes=False, n_workers=2):
            for name, fit in fits().items():
                fit()
                found[f"{name}, Executor"] = recorder.record(fit)
    return found


def table(found: dict[str, Walk], *, listed: bool = False) -> str:
    """Return the counts in lines, with the files if they are to be listed."""
    lines = [f"{'':33} {'files':>6} {'of the driver':>14} {'layers':>7} {'depth':>6}"]
    lines += [
        f"{name:33} {len(walk.files):6} {len(walk.files_of_driver):14} {len(walk.layers):7} "
        f"{walk.depth:6}"
        for name, walk in found.items()
    ]
    if listed:
        for name, walk in found.items():
            lines += ["", name]
            for layer in walk.layers:
                files = sorted(file for file in walk.files if _layer(file) == layer)
                lines.append(f"  {layer}, {len(files)}")
                lines += [f"    {file}{_where(walk, file)}" for file in files]
    return "\n".join(lines)


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(f"{PACKAGE}/")


def _where(walk: Walk, file: str) -> str:
    return "" if file in walk.files_of_driver else "  (other threads)"


def _layer(file: str) -> str:
    return file.partition("/")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the files, too")
    print(table(walks(), listed=parser.parse_args().list))


if __name__ == "__main__":
    main()
