"""A report or a progress bar that cannot be written costs nobody the model."""

import errno
import io
import json
import os
import subprocess
import sys

import pytest
from safetensors import safe_open

from daskml_exec.cli import main
from daskml_exec.cli._errors import CommandError
from daskml_exec.cli._streams import tell, tolerant
from daskml_exec.linear_model import LogisticRegression
from tests.cli.toolbox import error_line


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


class FullAtFlush(io.StringIO):
    def flush(self):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


def ascii_only():
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii")


@pytest.mark.parametrize("make", [Full, FullAtFlush, closed, ascii_only, lambda: None])
def test_messages_fall_silent(make):
    log = tolerant(make())
    for _ in range(2):
        print("größer", file=log, flush=True)
        assert not log.isatty()


def test_messages_that_can_be_written_are():
    stream = io.StringIO()
    print("one", file=tolerant(stream), flush=True)
    assert stream.getvalue() == "one\n"


@pytest.mark.parametrize("make", [Full, FullAtFlush, closed, ascii_only])
def test_a_result_that_cannot_be_written_is_told(make):
    with pytest.raises(CommandError, match="cannot write the result to stdout: "):
        tell("größer", make())


def test_a_closed_standard_output_takes_everything():
    tell("result", None)


@pytest.mark.parametrize("make", [Full, FullAtFlush, closed])
def test_the_model_is_saved_and_the_exit_code_says_that_the_report_is_lost(
    run, libsvm, tmp_path, monkeypatch, make
):
    saved = tmp_path / "model"
    monkeypatch.setattr("sys.stdout", make())
    result = run(libsvm(), "--save", str(saved))
    assert result.code == 1
    assert error_line("", result.err).startswith("cannot write the result to stdout: ")
    with safe_open(saved, framework="numpy") as file:
        assert json.loads(file.metadata()["notes"])["converged"] is True


@pytest.mark.parametrize("make", [Full, FullAtFlush, closed, lambda: None])
def test_training_goes_on_where_progress_cannot_be_told(run, libsvm, tmp_path, monkeypatch, make):
    saved = tmp_path / "model"
    monkeypatch.setattr("sys.stderr", make())
    result = run(libsvm(), "--save", str(saved), "--max-iter", "1")
    assert (result.code, saved.exists()) == (0, True)
    assert "training accuracy" in result.out


def test_the_model_is_saved_before_it_is_scored(run, libsvm, tmp_path, monkeypatch):
    saved = tmp_path / "model"

    def fail(*args):
        assert saved.exists()
        raise OSError("the test rows are gone")

    monkeypatch.setattr(LogisticRegression, "score", fail)
    result = run(libsvm(), "--save", str(saved))
    assert (result.code, error_line(result.out, result.err)) == (1, "the test rows are gone")
    assert saved.exists()


TELL = """
import sys
from daskml_exec.cli._errors import CommandError
from daskml_exec.cli._streams import tell, tolerant

print("message", file=tolerant(sys.stderr), flush=True)
try:
    tell("result", sys.stdout)
except CommandError:
    sys.exit(3)
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_nothing_is_written_again_at_the_end_of_the_process():
    """What is left in a stream's buffer would fail once more, with an exit code of its own."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", TELL], stdout=full, stderr=full, timeout=120)
    assert done.returncode == 3


def test_the_message_of_a_failure_may_be_lost(monkeypatch):
    monkeypatch.setattr("sys.stderr", Full())
    assert main(["train", "missing", "--workers", "0"]) == 1
