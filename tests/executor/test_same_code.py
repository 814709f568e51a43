"""Modules that were changed after a worker has imported them are found before a fit uses them."""

import importlib
import sys
from functools import partial

import cloudpickle
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.executor import WorkerMismatchError, require_same_code
from daskml_exec.executor._same_code import _modules_of, digests_of
from daskml_exec.partitions import load
from daskml_exec.training import Query, train

TEXT = '''
"""What is used."""

class Doubler:
    FACTOR = 2

    @property
    def twice(self):
        return 2

    @staticmethod
    def of(x):
        return {{1, 2}} and (lambda: {number} * x)()


def total(rows):
    return {number}
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return the name of a module, and what writes it anew and reloads it."""
    name = f"changing_{tmp_path.name.replace('-', '_')}"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / f"{name}.py"

    def write(text):
        file.write_text(text)
        importlib.invalidate_caches()
        return importlib.reload(importlib.import_module(name))

    yield name, write
    sys.modules.pop(name, None)


def test_digests_tell_code_from_its_place(module):
    name, write = module
    write(TEXT.format(number=1))
    first = digests_of(name)
    assert set(first) == {"Doubler.twice", "Doubler.of", "total"}
    write("\n\n" + TEXT.format(number=1))
    assert digests_of(name) == first
    write(TEXT.format(number=3))
    changed = {each for each in first if digests_of(name)[each] != first[each]}
    assert changed == {"Doubler.of", "total"}


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Return a module that the other one imports."""
    name = f"imported_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text("def scale(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_modules_that_functions_come_to(module, other):
    name, write = module
    text = f"import {other}\nimport numpy as np\n\ndef loss(x):\n    return {other}.scale(x)\n"
    found = write(text)

    class Net:
        def forward(self, x):
            return found.loss(x)

    def calling(x):
        return [found.loss(each) for each in x]

    by_name = {name, other}
    given = (found.loss, found, calling, partial(calling, 1), lambda x: calling(x), Net, Net())
    for each in (*given, Net().forward):
        assert by_name <= _modules_of([each], set())
    assert not {"numpy", "builtins", "daskml_exec"} & _modules_of(given, set())
    assert _modules_of([found.loss], {name}) == {other}
    assert _modules_of([np.sum, print, 3, np.ones(2), Query, None], set()) == set()


def test_what_was_not_imported_has_none():
    assert digests_of("no_such_module") == {}


ALGORITHM = """
from dataclasses import dataclass
from daskml_exec.training import Measured, Query

@dataclass(frozen=True)
class Rows(Query):
    def partial(self, partition):
        return {factor} * partition.n_rows


@dataclass(frozen=True)
class Count:
    def ask(self, state):
        return Rows() if state == 0 else None

    def tell(self, state, query, answer):
        return answer, Measured(0.0)
"""


def test_a_worker_with_the_old_code(module, tmp_path):
    name, write = module
    found = write(ALGORITHM.format(factor=1))
    with Executor(n_workers=1) as executor, load(np.ones((6, 1))) as data:
        executor.client.run(sys.path.insert, 0, str(tmp_path))
        assert train(found.Count(), 0, data, name="count").state == 6
        found = write(ALGORITHM.format(factor=10))
        with pytest.raises(WorkerMismatchError, match=rf"another {name}.Rows.partial than this"):
            train(found.Count(), 0, data, name="count")
        require_same_code(executor, [Query, np.sum, print])
        with pytest.raises(WorkerMismatchError, match=r"another \w+.Rows.partial than this"):
            require_same_code(executor, [lambda: found.Count()])
        write(ALGORITHM.format(factor=1) + "\n\ndef extra():\n    return 1\n")
        require_same_code(executor, [found.Count()])  # what nobody there has is no other code
        found = write(ALGORITHM.format(factor=10))
        cloudpickle.register_pickle_by_value(found)
        try:  # Dask does not ask cloudpickle first
            require_same_code(executor, [found.Count()], by_cloudpickle=True)
            with pytest.raises(WorkerMismatchError, match=r"and a new Executor there$"):
                train(found.Count(), 0, data, name="count")
        finally:
            cloudpickle.unregister_pickle_by_value(found)
