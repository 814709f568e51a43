"""Every benchmark runs at tiny sizes, so that none rots between two measurements."""

import importlib
import inspect
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from daskml_exec import Executor

ASV_BENCH = Path(__file__).parents[1] / "asv_bench"
MODULES = sorted(
    path.stem for path in (ASV_BENCH / "benchmarks").glob("*.py") if not path.stem.startswith("_")
)


def benchmarks(module: ModuleType) -> Iterator[tuple[type, list[str]]]:
    """The classes that the module defines and their methods that asv would measure."""
    for _, cls in inspect.getmembers(module, inspect.isclass):
        methods = [name for name in dir(cls) if name.startswith(("time_", "track_", "peakmem_"))]
        if methods and cls.__module__ == module.__name__:
            yield cls, methods


def combinations(cls: type) -> Iterator[tuple]:
    """What asv passes: the product of `params`, where one plain list stands for one parameter."""
    params = list(getattr(cls, "params", ()))
    if params and not isinstance(params[0], list | tuple):
        params = [params]
    return itertools.product(*params)


def run_once(cls: type, methods: list[str], arguments: tuple) -> None:
    """Run each method once, after one `setup`: starting processes for each again takes longest."""
    benchmark = cls()
    if hasattr(benchmark, "setup"):
        try:
            benchmark.setup(*arguments)
        except NotImplementedError:
            return  # asv's way to leave a combination out
    try:
        for method in methods:
            result = getattr(benchmark, method)(*arguments)
            if method.startswith("track_"):
                json.dumps(result)  # asv stores it so, and rejects NumPy's scalars
    finally:
        if hasattr(benchmark, "teardown"):
            benchmark.teardown(*arguments)


LONG = {"auto_parallel", "block_memory", "gradient_pass", "libsvm"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in MODULES],
)
def test_benchmarks_run(name, monkeypatch, tmp_path):
    monkeypatch.setenv("DASKML_EXEC_BENCH_SCALE", "tiny")
    monkeypatch.syspath_prepend(ASV_BENCH)
    monkeypatch.chdir(tmp_path)  # asv gives setup_cache a folder of its own too
    found = list(benchmarks(importlib.import_module(f"benchmarks.{name}")))
    assert found, f"benchmarks/{name}.py has no class with a time_, track_ or peakmem_ method"
    for cls, methods in found:
        cached = (cls().setup_cache(),) if hasattr(cls, "setup_cache") else ()
        for combination in combinations(cls):
            run_once(cls, methods, cached + combination)


@pytest.mark.filterwarnings("ignore")  # networks that have not converged
def test_bits_of_fits_are_compared(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(ASV_BENCH)
    bits = importlib.import_module("bits")
    cases = [
        bits.linear_case("ridge", way="memory", cut="1"),
        bits.linear_case("ridge", way="nowhere", cut="1"),
        bits.beside_theirs("2", "float64", solver="adam"),
    ]
    with Executor(processes=False, n_workers=1) as executor:
        lines = [bits.line(case, executor) for case in cases]
    ridge, fails, network = (line.split() for line in lines)
    assert float(ridge[2]) < 1e-9 and float(network[2]) < 1e-9
    assert fails[1] == "KeyError"
    before, after = tmp_path / "before.txt", tmp_path / "after.txt"
    before.write_text("one aa 1e-9 3\ntwo bb 1e-9 3\nthree cc - 4\nfour dd 1e-3 1\nfive ee - 1\n")
    after.write_text(
        "one aa 1e-9 3\ntwo xx 1e-6 3\nthree xx - 4\nfour xx 1e-4 1\nfive OSError - -\n"
    )
    assert bits.compare(before, after) == 2
    said = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in said] == [
        "two: FARTHER",
        "three: other bits",
        "four: at least as near",
        "five: FAILS",
        "1 of 5 fits have the same bits",
    ]


def test_the_path_of_fits_is_followed(monkeypatch):
    monkeypatch.syspath_prepend(ASV_BENCH)
    path = importlib.import_module("path")
    found = path.walks()
    for name, layer in (
        ("LogisticRegression.fit", "linear_model"),
        ("MLPClassifier.fit", "neural_network"),
    ):
        walk = found[name]
        assert {layer, "training", "partitions", "executor", "kernels"} == set(walk.layers)
        assert f"{layer}/_{'logistic' if layer == 'linear_model' else 'mlp'}.py" in walk.files
        assert not any("planning" in file for file in walk.files)  # for parallel="auto" alone
        assert walk.files_of_driver <= walk.files and 5 < walk.depth < 50
    text = path.table(found, listed=True)
    assert ".py  (other threads)\n" in text
    assert text.count("\n") > sum(len(walk.files) for walk in found.values())


def test_lines_of_code_are_counted(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ASV_BENCH)
    size = importlib.import_module("size")
    source = '''"""A module."""

# A comment.
NAME = """two
lines"""  # and a comment
"""Of NAME."""


def function(
    argument,
):
    """Return it."""

    return argument
'''
    assert size.code_lines(source) == 6
    (tmp_path / "daskml_exec" / "one").mkdir(parents=True)
    (tmp_path / "daskml_exec" / "one" / "a.py").write_text(source)
    (tmp_path / "daskml_exec" / "b.py").write_text("x = 1\n")
    before = size.sizes(tmp_path)
    assert before == {"one": (1, 6), ".": (1, 1)} == size.sizes(tmp_path / "daskml_exec")
    lines = size.table({"one": size.Size(2, 9)}, before).splitlines()
    assert [line.split() for line in lines[1:]] == [
        [".", "1", "1", "0", "0", "-1"],
        ["one", "1", "6", "2", "9", "+3"],
        ["all", "2", "7", "2", "9", "+2"],
    ]
    with pytest.raises(ValueError, match="no Python files; allowed is a checkout"):
        size.sizes(tmp_path / "nothing")
