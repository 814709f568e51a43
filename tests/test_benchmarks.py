"""Every benchmark runs at tiny sizes, so that none rots between two measurements."""

import importlib
import inspect
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

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


@pytest.mark.parametrize("name", MODULES)
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
