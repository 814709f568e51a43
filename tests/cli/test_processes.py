"""The command as a shell runs it, with worker processes."""

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.cli.toolbox import error_line

LOGGED = (
    "1,437 rows",
    "LogisticRegression: 1,437 rows x 64 columns",
    "MLPClassifier: layers 64-100-10, ",
    "round ",
)


def first_round(process):
    """Read stderr up to the first line of progress."""
    for line in process.stderr:
        if line.startswith("round "):
            return
    pytest.fail("no round was told of")


def test_digits(spawn, digits_libsvm, tmp_path):
    test = digits_libsvm.with_name("digits_test.libsvm")
    arguments = ["--partitions", "4", "--workers", "1", "--test", str(test), "--tol", "1e-4"]
    saved = tmp_path / "model.safetensors"
    process = spawn("train", str(digits_libsvm), *arguments, "--save", str(saved))
    out, err = process.communicate()
    assert process.returncode == 0
    assert out.startswith(
        "data               1,437 rows x 64 features\n"
        "cluster            4 partitions on 1 worker\n"
        "model              logistic, 10 classes, C=1\n"
    )
    assert ", converged (tol=0.0001)\n" in out
    accuracy = re.search(r"test accuracy +([\d.]+)%", out)
    assert float(accuracy[1]) > 96
    assert all(line.startswith(LOGGED) for line in err.splitlines())
    assert saved.exists()


@pytest.mark.slow
def test_digits_on_a_network(spawn, digits_libsvm, tmp_path):
    saved = tmp_path / "model.safetensors"
    arguments = f"--model mlp --partitions 4 --workers 2 --epochs 10 --save {saved}"
    process = spawn("train", str(digits_libsvm), *arguments.split())
    out, err = process.communicate()
    assert process.returncode == 0
    assert "\nmodel              mlp, 10 classes, layers 64-100-10, 7,510 parameters\n" in out
    assert all(line.startswith(LOGGED) for line in err.splitlines())
    assert saved.exists()


@pytest.mark.slow
def test_a_bad_file_is_one_line(spawn, libsvm):
    path = libsvm("1 1:1\n0 1:x\n" * 4)
    process = spawn("train", path, "--workers", "2", "--partitions", "2")
    out, err = process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(rf"{re.escape(path)}, line [26]: .*", error_line(out, err))
    assert len(err.splitlines()) == 1


# That an interrupt ends `main` with this line `test_train` has; that fits on worker processes end
# by it, `tests/failures/test_interrupts`.
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs process groups")
def test_ctrl_c_ends_it_with_a_line(spawn, digits_libsvm):
    # tol=0 is not reached: it would go on for long.
    arguments = ["--workers", "1", "--partitions", "2", "--tol", "0", "--max-iter", "1000000"]
    process = spawn("train", str(digits_libsvm), *arguments)
    first_round(process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    *rounds, last = err.splitlines()
    assert last == "daskml-exec: interrupted"
    assert all(line.startswith("round ") for line in rounds)


@pytest.fixture
def scheduler():
    """A Dask scheduler of its own, with one worker: the process and its address."""
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    where = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with subprocess.Popen([*module, *where], stderr=subprocess.PIPE, text=True) as process:
        address = next(
            found[1] for line in process.stderr if (found := re.search(r"at: +(tcp:\S+)", line))
        )
        module = [sys.executable, "-m", "distributed.cli.dask_worker"]
        worker = subprocess.Popen(
            [*module, address, "--no-nanny", "--no-dashboard"], stderr=subprocess.DEVNULL
        )
        yield process, address
        for started in (worker, process):
            started.kill()
            started.wait()


@pytest.mark.slow
def test_a_lost_scheduler_is_one_line(spawn, digits_libsvm, scheduler):
    process, address = scheduler
    arguments = ["--scheduler", address, "--partitions", "2", "--tol", "0"]
    command = spawn("train", str(digits_libsvm), *arguments)
    first_round(command)
    process.kill()
    out, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert error_line(out, err) == f"lost the scheduler at {address}"
