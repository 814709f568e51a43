import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from daskml_exec import Executor
from daskml_exec.cli import _train, main
from tests.cli.toolbox import COMMAND, ROWS, error_line


@pytest.fixture
def libsvm(tmp_path: Path) -> Callable[..., str]:
    """Write a libsvm file and return its path."""

    def write(text: str = ROWS, name: str = "rows.libsvm") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    """A cluster in this process, with two workers."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture
def run(threads: Executor, monkeypatch, capsys) -> Callable[..., SimpleNamespace]:
    """Call `main` on the cluster in this process."""

    def call(*argv: str) -> SimpleNamespace:
        monkeypatch.setattr(_train, "open_executor", lambda options: threads)
        code = main(["train", *argv])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return call


@pytest.fixture
def refused(monkeypatch, capsys) -> Callable[..., str]:
    """Call `main` where it must fail before anything is started; return its one line."""

    def call(*argv: str) -> str:
        def open_executor(options):
            raise AssertionError("a cluster was wanted")

        monkeypatch.setattr(_train, "open_executor", open_executor)
        assert main(["train", *argv]) == 1
        return error_line(*capsys.readouterr())

    return call


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command in a process group of its own, as a shell does."""
    started = []

    def start(*argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
