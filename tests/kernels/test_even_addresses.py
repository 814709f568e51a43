"""Arrays that came out of messages are put where BLAS takes them; nothing else is touched."""

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.kernels.even_addresses import at_even_addresses
from daskml_exec.partitions import Partition
from tests.kernels.test_unaligned import odd, odd_csr

X = np.arange(12.0).reshape(4, 3)


@dataclass(frozen=True)
class Record:
    a: Any
    b: Any = None


TREES = {
    "array": lambda of: of(X),
    "tuple": lambda of: (1, of(X), None),
    "list": lambda of: [of(X), "text"],
    "dict": lambda of: {"a": of(X), "b": 2},
    "record": lambda of: Record((of(X),), X),
}


def arrays(tree):
    if isinstance(tree, np.ndarray):
        return [tree]
    if isinstance(tree, Record):
        return arrays((tree.a, tree.b))
    if isinstance(tree, dict):
        return arrays(tuple(tree.values()))
    return (
        [leaf for node in tree for leaf in arrays(node)] if isinstance(tree, tuple | list) else []
    )


@pytest.mark.parametrize("name", TREES)
def test_odd_arrays_are_copied(name):
    moved = at_even_addresses(TREES[name](odd))
    assert all(array.flags.aligned for array in arrays(moved))
    assert type(moved) is type(TREES[name](odd))
    for found, expected in zip(arrays(moved), arrays(TREES[name](np.copy)), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", TREES)
def test_what_is_even_stays_the_same_object(name):
    tree = TREES[name](np.copy)
    assert at_even_addresses(tree) is tree


def test_sparse_rows():
    matrix = at_even_addresses(odd_csr(sp.csr_array(X)))
    assert matrix.data.flags.aligned and np.array_equal(matrix.toarray(), X)


def test_partitions_are_even_however_they_come():
    made = Partition(0, 0, odd(X), odd(X[:, 0]), None)
    buffers = []
    pickled = pickle.dumps(made, protocol=5, buffer_callback=buffers.append)
    there = [memoryview(b"x" + buffer.raw().tobytes())[1:] for buffer in buffers]
    for partition in (made, pickle.loads(pickled, buffers=there)):
        assert partition.X.flags.aligned and partition.y.flags.aligned
        assert np.array_equal(partition.X, X)
