"""`main` in this process, on a cluster of threads."""

import gzip
import os
import re

import dask
import numpy as np
import pytest
from safetensors.numpy import load_file

from daskml_exec.cli import _train, main
from daskml_exec.datasets._byte_ranges import find_files
from tests.cli.toolbox import ROWS, Terminal, error_line


def test_the_result_is_on_stdout_and_progress_on_stderr(run, libsvm, tmp_path):
    saved = tmp_path / "model.safetensors"
    result = run(
        libsvm(),
        "--partitions",
        "2",
        "--test",
        libsvm("1 1:3\n0 2:1\n", "test"),
        "--save",
        str(saved),
    )
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[:2] == [
        "data               4 rows x 3 features",
        "cluster            2 partitions on 2 workers",
    ]
    assert "training accuracy  100.00%" in lines
    assert "test accuracy      100.00%" in lines
    assert lines[-1] == f"saved              {saved}"
    first, plan, *rounds = result.err.splitlines()
    assert first.startswith("4 rows x 3 features, partitions: 2, workers: 2, dashboard: http")
    assert plan.startswith("LogisticRegression: 4 rows x 3 columns in 2 partitions, by ")
    assert all(line.startswith("round ") for line in rounds)
    assert len(rounds) == 2


@pytest.mark.parametrize("first", [0, 1])
def test_the_training_file_says_where_indices_start(run, libsvm, first):
    # The test file has no index 0: by itself it would count from 1.
    training = libsvm(f"1 {first}:1\n0 2:1\n1 {first}:2\n0 2:2\n")
    test = libsvm("1 1:1\n0 2:1\n" if first == 1 else "1 2:-1\n0 2:1\n", "test")
    result = run(training, "--test", test)
    assert result.code == 0
    assert f"file, from {first})" in result.out
    assert "test accuracy      100.00%" in result.out


def test_the_training_file_is_scanned_once(run, libsvm, monkeypatch):
    scanned = []

    def find(url):
        scanned.append(url)
        return find_files(url)

    monkeypatch.setattr("daskml_exec.datasets._libsvm.find_files", find)
    path = libsvm()
    assert run(path).code == 0
    assert scanned == [path]


def test_a_file_without_features_counts_from_zero(run, libsvm):
    result = run(libsvm("1\n0\n1\n"), "--test", libsvm("0\n1\n", "test"))
    assert (result.code, "3 rows x 1 features" in result.out) == (0, True)


def test_not_converged_is_a_warning(run, libsvm):
    result = run(libsvm(), "--max-iter", "1")
    assert result.code == 0
    assert "NOT converged" in result.out
    warning = result.err.splitlines()[-1]
    assert warning.startswith("daskml-exec: warning: LogisticRegression(solver='auto') stopped")


def test_a_network(run, digits_libsvm):
    test = digits_libsvm.with_name("digits_test.libsvm")
    arguments = "--model mlp --partitions 4 --epochs 4 --batch-size 64 --compression fp16"
    result = run(str(digits_libsvm), "--test", str(test), *arguments.split())
    assert result.code == 0
    assert result.out.startswith(
        "data               1,437 rows x 64 features\n"
        "cluster            4 partitions on 2 workers\n"
        "model              mlp, 10 classes, layers 64-100-10, 7,510 parameters\n"
        "training           4 epochs in "
    )
    first, last = re.search(r"loss +([\d.]+) in the first epoch, ([\d.]+) in", result.out).groups()
    assert float(last) < float(first) / 4
    assert float(re.search(r"test accuracy +([\d.]+)%", result.out)[1]) > 85
    # That it could go on is no warning: four epochs were asked for.
    _, plan, *rounds = result.err.splitlines()
    assert plan.startswith("MLPClassifier: layers 64-100-10, ")
    line = r"round +\d+  epoch +[\d.]+ of 4  train +loss [\d.]+  [\d.]+ ms"
    assert all(re.match(line, told) for told in rounds)


def test_the_same_seed_gives_the_same_network(run, libsvm, tmp_path):
    def arrays(seed):
        path = tmp_path / "model.safetensors"
        arguments = f"--model mlp --partitions 2 --epochs 2 --seed {seed} --save {path}"
        assert run(libsvm(), *arguments.split()).code == 0
        return load_file(path)

    one, again, other = (arrays(seed)["coefs_[0]"] for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes() != other.tobytes()


def test_a_sorted_file_is_told_and_can_be_mended(run, libsvm):
    path = libsvm("0 1:1\n" * 60 + "1 2:1\n" * 60)
    arguments = ["--model", "mlp", "--partitions", "2", "--epochs", "2"]
    [warning] = [line for line in run(path, *arguments).err.splitlines() if "warning" in line]
    assert "says much of its target" in warning
    assert "shuffle='partitions'" in warning
    assert "warning" not in run(path, *arguments, "--shuffle", "partitions").err


def test_a_terminal_gets_a_bar(run, libsvm, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert run(libsvm()).code == 0
    assert "training: " in terminal.getvalue()
    assert "loss=" in terminal.getvalue()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1:1\n0 1:2\n1 2:x\n", "rows.libsvm, line 3: could not convert string to float"),
        ("1 2:1 1:1\n", "rows.libsvm, line 1: Feature indices"),
        ("1 1:1\n1 1:2\n", "only one class"),
        ("", "at least two classes"),
        ("1 1:1\n0 1:nan\n", "rows.libsvm, line 2: index 1 is NaN"),
    ],
)
def test_a_bad_file(run, libsvm, text, message):
    result = run(libsvm(text))
    assert result.code == 1
    assert message in error_line(result.out, result.err)


def test_a_missing_file(run, tmp_path):
    missing = tmp_path / "missing.libsvm"
    result = run(str(missing))
    assert result.code == 1
    assert result.err == f"daskml-exec: error: urlpath='{missing}' matches no file\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_an_unreadable_file(run, libsvm):
    path = libsvm()
    os.chmod(path, 0)
    result = run(path)
    assert result.code == 1
    assert error_line(result.out, result.err) == f"{path}: Permission denied"


def test_a_broken_compressed_file(run, tmp_path):
    path = tmp_path / "rows.libsvm.gz"
    path.write_bytes(gzip.compress(ROWS.encode() * 100)[:-20])
    result = run(str(path))
    assert result.code == 1
    assert f"while reading {path}" in error_line(result.out, result.err)


def test_a_test_file_with_more_features(run, libsvm):
    test = libsvm("1 7:1\n", "test")
    result = run(libsvm(), "--test", test)
    assert (result.code, result.err) == (
        1,
        f"daskml-exec: error: --test {test} has 7 features, more than the 3 of the training file\n",
    )


def test_too_few_partitions_for_the_files(run, libsvm, tmp_path):
    libsvm(name="a.libsvm"), libsvm(name="b.libsvm")
    result = run(str(tmp_path / "*.libsvm"), "--partitions", "1")
    assert result.code == 1
    assert "npartitions=1 is less than" in error_line(result.out, result.err)


@pytest.mark.parametrize(
    ("address", "message"),
    [("tcp://127.0.0.1:1", "no scheduler answered at 'tcp://127.0.0.1:1'"), ("x", "'x' is not a")],
)
def test_a_bad_address(libsvm, capsys, address, message):
    with dask.config.set({"daskml-exec.connect-timeout": "500ms"}):
        assert main(["train", libsvm(), "--scheduler", address]) == 1
    assert message in error_line(*capsys.readouterr())


def test_what_nobody_expected_keeps_its_traceback(libsvm, monkeypatch):
    def broken(options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(_train, "open_executor", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["train", libsvm()])


def test_an_interrupt(libsvm, monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_train, "open_executor", interrupted)
    assert main(["train", libsvm()]) == 130
    assert capsys.readouterr() == ("", "daskml-exec: interrupted\n")


@pytest.mark.parametrize(
    ("bad", "first", "found"),
    [
        ("1 1:2 3:nan", 1, "index 3 is NaN"),
        ("1 1:2 3:nan", 0, "index 3 is NaN"),
        ("1 1:inf 3:1", 1, "index 1 is infinity"),
        ("nan 1:2", 1, "the label is nan"),
    ],
)
@pytest.mark.parametrize("which", ["training", "test"])
def test_what_is_not_finite_is_named_by_file_line_and_the_index_in_the_file(
    run, libsvm, which, bad, first, found
):
    good = f"1 {first}:1 4:1\n0 2:1\n1 {first}:2\n0 2:2\n"
    # Comments and blank lines are lines, and no rows; the last of several partitions is at fault.
    wrong = libsvm(f"# text\n\n{good}\n0 2:1 # nan\n{bad}\n", "wrong")
    argv = [wrong] if which == "training" else [libsvm(good), "--test", wrong]
    result = run(*argv, *(["--partitions", "3"] if which == "training" else []))
    assert result.code == 1
    line = error_line(result.out, result.err)
    assert line.startswith(f"{wrong}, line 9: {found}; allowed are finite numbers"), line


def test_images_with_their_labels(run, tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60).astype("u1")
    images = (rng.integers(0, 100, (60, 2, 2)) + 100 * labels[:, None, None]).astype("u1")
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (tmp_path / f"few-{name}-ubyte").write_bytes(header + array.tobytes())
    path = str(tmp_path / "few-images-idx3-ubyte")
    result = run(path, "--test", path, "--partitions", "3")
    assert result.code == 0
    assert "60 rows x 4 features" in result.out and "3 partitions" in result.out
    assert float(re.search(r"test accuracy +([\d.]+)%", result.out)[1]) > 85


def test_images_of_another_size_are_named(run, libsvm, tmp_path):
    for name, shape in (("images-idx3", (2, 3, 3)), ("labels-idx1", (2,))):
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        (tmp_path / f"few-{name}-ubyte").write_bytes(header + bytes(int(np.prod(shape))))
    result = run(libsvm(), "--test", str(tmp_path / "few-images-idx3-ubyte"))
    assert "has images of 9 values, the training file has 3 features" in error_line(
        result.out, result.err.splitlines()[-1] + "\n"
    )


def test_the_package_that_has_the_images_is_named(run, monkeypatch, tmp_path):
    monkeypatch.setattr("daskml_exec.cli._data._DEBIANS", str(tmp_path))
    result = run(str(tmp_path / "train-images-idx3-ubyte.gz"))
    assert result.code == 1 and "apt-get install dataset-fashion-mnist" in result.err
