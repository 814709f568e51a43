"""Both engines of dask.array, which it chooses between once, when it is imported."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import dask
dask.config.set({"array.query-planning": sys.argv[1] == "expressions", "scheduler": "sync"})
import dask.array as da
import numpy as np
from sklearn.datasets import load_svmlight_file
from daskml_exec.datasets import _libsvm, read_libsvm

parses = 0
parse_range = _libsvm.parse_range

def counting_parse_range(*args):
    global parses
    parses += 1
    return parse_range(*args)

_libsvm.parse_range = counting_parse_range
path = sys.argv[2]
assert ("array_expr" in da.Array.__module__) == (sys.argv[1] == "expressions"), da.Array
expected_X, expected_y, expected_qid = load_svmlight_file(path, query_id=True)
arrays = read_libsvm(path, npartitions=5, query_id=True)
assert parses == 0, parses

for together in (dask.persist, dask.compute):
    parses = 0
    X, y, qid = together(*arrays)
    assert parses == 5, (together, parses)
    X, y, qid = dask.compute(X, y, qid)
    assert type(X) is type(expected_X)
    assert (X != expected_X).nnz == 0
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(qid, expected_qid)

X, y, qid = arrays
assert X.shape == expected_X.shape and X.chunks[0] == y.chunks[0] == qid.chunks[0]
parses = 0
assert (X[3:9].compute() != expected_X[3:9]).nnz == 0
assert 1 <= parses < 5, parses
sums = X.map_blocks(lambda block: block.sum(axis=1).A1, drop_axis=1, dtype=float)
np.testing.assert_allclose(sums.compute(), expected_X.sum(axis=1).A1)
"""


@pytest.mark.parametrize("engine", ["legacy", "expressions"])
def test_each_range_is_parsed_once_for_all_arrays(tmp_path, engine):
    path = tmp_path / "data.txt"
    path.write_text("".join(f"{i % 2} qid:{i} {i % 7}:{i}\n" for i in range(40)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, engine, path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
