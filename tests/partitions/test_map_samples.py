"""The lazy map over samples: trees of arrays of any number of dimensions."""

import os
from functools import partial
from typing import Any, NamedTuple

import cloudpickle
import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec import Executor
from daskml_exec.partitions import from_dataset, load, load_samples, map_samples, tokens
from daskml_exec.training import Data

CHUNKS = (4, 0, 3, 1)
N = sum(CHUNKS)
IMAGES = np.arange(N * 6, dtype=np.uint8).reshape(N, 2, 3)
TOKENS = np.arange(N * 5).reshape(N, 5)


class Found(NamedTuple):
    boxes: Any
    texts: Any


def described(X):
    """What a model of images and tokens may return."""
    images, tokens = X["image"], X["tokens"]
    return {
        "logits": (images.sum(axis=2, dtype=np.float32), tokens[:, ::2]),
        "found": Found(images[:, None] + images[:, :, None], [f"t{row.sum()}" for row in tokens]),
    }


EXPECTED = described({"image": IMAGES, "tokens": TOKENS})
META = {
    "logits": (np.empty((0, 2), np.float32), np.empty((0, 3), np.int64)),
    "found": Found(np.empty((0, 2, 2, 3), np.uint8), np.empty(0, object)),
}


def of_arrays(chunks=CHUNKS, tokens=CHUNKS):
    return {
        "image": da.from_array(IMAGES, chunks=(chunks, 2, 3)),
        "tokens": da.from_array(TOKENS, chunks=(tokens, 5)),
    }


def check(result, rows=slice(None)):
    assert list(result) == ["logits", "found"] and type(result["found"]) is Found
    for found, expected in [
        *zip(result["logits"], EXPECTED["logits"], strict=True),
        (result["found"].boxes, EXPECTED["found"].boxes),
        (result["found"].texts, np.array(EXPECTED["found"].texts, dtype=object)),
    ]:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected[rows])


def cuts(n=N):
    return st.lists(st.integers(0, n), max_size=4).map(
        lambda ends: tuple(np.diff([0, *sorted(ends), n]).tolist())
    )


@given(chunks=cuts(), tokens=cuts(), meta=st.sampled_from([None, META]), whole=st.booleans())
def test_any_chunks_give_what_the_whole_gives(chunks, tokens, meta, whole):
    X = of_arrays(chunks, tokens)
    if whole:
        X["tokens"] = TOKENS
    result = map_samples(described, X, meta=meta)
    assert {leaf.chunks[0] for leaf in [*result["logits"], *result["found"]]} == {chunks}
    check(dask.compute(result, scheduler="sync")[0])


def test_in_memory_the_function_is_called_once():
    calls = []

    def counted(X):
        calls.append(len(X["image"]))
        return described(X)

    check(map_samples(counted, {"image": IMAGES, "tokens": TOKENS}))
    assert calls == [N]
    nothing = map_samples(described, {"image": IMAGES[:0], "tokens": TOKENS[:0]}, meta=META)
    assert nothing["found"].boxes.shape == (0, 2, 2, 3)
    check(map_samples(described, {"image": IMAGES[:0], "tokens": TOKENS[:0]}), slice(0))


def samples():
    return [{"image": image, "tokens": row} for image, row in zip(IMAGES, TOKENS, strict=True)]


def blocks():
    return np.split(np.arange(N), np.cumsum(CHUNKS)[:-1])


def a_bag(_):
    parts = [[samples()[row] for row in block] for block in [[], *blocks()]]
    return db.from_delayed([dask.delayed(list)(part) for part in parts]).map(dict)


def trees_of(executor):
    return executor.client.scatter(
        [{"image": IMAGES[block], "tokens": TOKENS[block]} for block in blocks()], hash=False
    )


def lists_of(executor):
    return executor.client.scatter([samples()[:3], [], samples()[3:]], hash=False)


def persisted(executor):
    return {key: executor.client.persist(leaf) for key, leaf in of_arrays().items()}


def unknown(_):
    return {
        name: leaf.map_blocks(lambda block: block, chunks=((np.nan,) * 4, *leaf.chunks[1:]))
        for name, leaf in of_arrays().items()
    }


@pytest.mark.parametrize("meta", [None, META], ids=["dry", "meta"])
@pytest.mark.parametrize("source", [a_bag, trees_of, lists_of, persisted, unknown])
def test_any_collection_of_samples(executor, source, meta):
    X = source(executor)
    result = map_samples(described, X, meta=meta)
    assert result["found"].boxes.shape[1:] == (2, 2, 3)
    if source is persisted:
        assert result["found"].texts.chunks == (CHUNKS,)
    else:
        assert np.isnan(result["found"].texts.chunks[0]).all()
    check(dask.compute(result, scheduler=executor.client)[0])
    check(dask.persist(result, scheduler=executor.client)[0])


@pytest.mark.parametrize("meta", [None, META], ids=["dry", "meta"])
def test_a_data_of_samples_begins_at_once_and_is_outlived(executor, meta):
    with executor:
        futures = trees_of(executor)
        about = {"rows": CHUNKS, "nbytes": [100] * 4, "fields": ("image", "tokens")}
        with Data.from_partitions(futures, **about) as data:
            result = map_samples(described, data, meta=meta)
        assert result["found"].boxes.chunks == (CHUNKS, (2,), (2,), (3,))
        check(dask.compute(result, scheduler=executor.client)[0])
        check(
            dask.compute(
                {
                    "logits": tuple(leaf[2:5] for leaf in result["logits"]),
                    "found": Found(*(leaf[2:5] for leaf in result["found"])),
                },
                scheduler=executor.client,
            )[0],
            slice(2, 5),
        )
        with load(TOKENS.astype(float)) as data:
            found = map_samples(lambda X: X.sum(axis=1), data)
        np.testing.assert_array_equal(found.compute(scheduler=executor.client), TOKENS.sum(axis=1))


def test_frames_become_arrays(executor):
    frame = pd.DataFrame(TOKENS, columns=list("abcde"))
    for X in (dd.from_pandas(frame, npartitions=3), {"X": dd.from_pandas(frame, npartitions=3)}):
        result = map_samples(lambda X: (X["X"] if isinstance(X, dict) else X)[:, :2] * 2.0, X)
        found = result.compute(scheduler=executor.client)
        np.testing.assert_array_equal(found, TOKENS[:, :2] * 2.0)
    np.testing.assert_array_equal(map_samples(lambda X: X[:, 0], frame), TOKENS[:, 0])


def test_the_tree_is_made_once_for_all_its_leaves():
    calls = []

    def counted(X):
        calls.append(len(X["image"]))
        return described(X)

    result = map_samples(counted, of_arrays(), meta=META)
    assert calls == []
    check(dask.compute(result, scheduler="threads")[0])
    assert sorted(calls) == [1, 3, 4], "blocks without samples are left out"
    calls.clear()
    a, b = result["logits"]
    dask.compute(a[5:, 0], (b[6:] * 2).sum(), scheduler="threads")
    assert calls == [3, 1] or calls == [1, 3]
    calls.clear()
    dask.persist(result, scheduler="threads")
    assert len(calls) == 3


class Heavy:
    """A model that tells how often it is pickled."""

    pickled = 0

    def __call__(self, X):
        raise AssertionError("called where there is no data to call it with")

    def __reduce__(self):
        Heavy.pickled += 1
        return Heavy, ()


@pytest.mark.parametrize("source", [lambda: of_arrays(), lambda: a_bag(None)])
def test_the_model_is_one_node(source):
    result = dask.optimize(map_samples(Heavy(), source(), meta=META))[0]
    with_model = set()
    for leaf in [*result["logits"], *result["found"]]:
        for key, task in dict(leaf.__dask_graph__()).items():
            Heavy.pickled = 0
            cloudpickle.dumps(task)
            with_model |= {key} if Heavy.pickled else set()
    assert len(with_model) == 1


class Large:
    """A model larger than a graph may be, that counts how often a process gets one."""

    def __init__(self):
        self.weights = np.zeros(1_500_000)
        self.arrived = 0

    def __setstate__(self, state):
        self.__dict__.update(state)
        Large.made = getattr(Large, "made", 0) + 1

    def __call__(self, X):
        return np.full(len(X), os.getpid()), np.full(len(X), getattr(Large, "made", 0))


@pytest.mark.parametrize("source", ["arrays", pytest.param("bag", marks=pytest.mark.slow)])
def test_a_large_model_arrives_once_at_each_worker(two_processes, source):
    X = da.ones((40, 2), chunks=(1, 2))
    if source == "bag":
        X = db.from_sequence([np.ones(2)] * 40, npartitions=40)
    with two_processes as executor:
        before = executor.client.run(pid_and_made)
        result = map_samples(Large(), X, meta=(np.empty(0, int), np.empty(0, int)))
        found, _ = dask.compute(*result, scheduler=executor.client)
        after = executor.client.run(pid_and_made)
    assert set(found) <= {pid for pid, _ in after.values()}
    made = [after[worker][1] - before[worker][1] for worker in after]
    assert max(made) == 1


def pid_and_made():
    return os.getpid(), getattr(Large, "made", 0)


@pytest.fixture(scope="module")
def two_processes():
    with Executor(n_workers=2) as executor:
        yield executor


def test_two_processes_give_what_one_gives(two_processes):
    with two_processes as executor:
        check(dask.compute(map_samples(described, of_arrays()), scheduler=executor.client)[0])


def test_the_call_on_one_sample_takes_the_first_where_zeros_do_not_do(executor):
    seen = []

    def picky(X):
        seen.append(X.copy())
        if not X.any():
            raise ZeroDivisionError("nothing to divide by")
        return X[:, 0] / X.sum(axis=1)

    X = da.from_array(TOKENS[1:] + 0, chunks=((0, 3, N - 4), 5))
    with executor:
        result = map_samples(picky, X)
    assert [len(block) for block in seen] == [1, 1] and (seen[1] == TOKENS[1:2]).all()
    assert result.dtype == float

    def never(X):
        raise KeyError("vocabulary")

    with (
        executor,
        pytest.raises(
            ValueError, match=r"function raised KeyError in the call on one sample .*'vocabulary'"
        ),
    ):
        map_samples(never, X)
    with executor, pytest.raises(ValueError, match=r"no samples to call function with"):
        map_samples(never, X[:0])


SECOND = np.empty((0, 2)), np.empty(0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda X: (X[:, :2] * 1.0, X[1:, 0]), r"function\(X\)\[1\] has 3 samples for 4 of X"),
        (lambda X: (X * 1.0, X[:, 0]), r"\[0\] has the shape \(4, 5\) .* expected was \(4, 2\)"),
        (lambda X: (X[:, :2] * 1.0, X[:, 0]), r"\[1\] has the dtype int64 .* was float64"),
        (lambda X: X[:, :2], r"function returned function\(X\) for a block; expected were fun"),
        (lambda X: (X[:, :2] * 1.0, None), r"function\(X\)\[1\] is None; allowed are arrays and"),
    ],
)
def test_blocks_are_checked_where_they_are(executor, function, message):
    X = da.from_array(TOKENS, chunks=(4, 5))
    result = map_samples(function, X, meta=SECOND)
    with pytest.raises(ValueError, match=message):
        dask.compute(result, scheduler=executor.client)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            {"image": da.ones((4, 6, 6), chunks=(2, 3, 2))},
            r"X\['image'\] has 2 chunks along axis 1; allowed is 1: X\['image'\].rechunk\(\{1: -1",
        ),
        (da.ones((4, 6), chunks=(2, 2)), r"X has 3 chunks along axis 1"),
        ((da.ones(4), np.ones(3)), r"X\[1\] has 3 samples, X\[0\] has 4; allowed is one number"),
        ((da.ones(4), da.ones(3)), r"X\[1\] has 3 samples, X\[0\] has 4"),
        (da.ones(4).sum(), r"X has no dimensions"),
        ((unknown(None)["tokens"], np.ones(4)), r"X\[1\] is in memory, and X\[0\] has chunks"),
        ((unknown(None)["tokens"], da.ones(N, chunks=4)), r"X\[1\] has 2 chunks .*X\[0\] has 4"),
        ((np.ones(3), np.ones(4)), r"samples 3 of X\[0\], 4 of X\[1\]"),
        ([{"a": 1}, {"b": 1}], r"sample 1 of X has X\['b'\], sample 0 has X\['a'\]"),
        ([{"a": [1, 2]}, {"a": [1]}], r"X\['a'\] has shape \(1,\) in sample 1 of X, and \(2,\) in"),
    ],
)
def test_what_cannot_be_aligned_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        map_samples(lambda X: X, X, meta=np.empty(0))


@pytest.mark.parametrize("meta", [np.empty(3), {"a": None}, 3, (np.empty(0), [])])
def test_a_meta_is_of_arrays_without_samples(meta):
    with pytest.raises(ValueError, match=r"meta.* allowed are NumPy arrays of shape \(0, "):
        map_samples(lambda X: X, np.ones(3), meta=meta)


def test_what_is_no_array_is_refused_in_a_tree(executor):
    bag = db.from_sequence([1, 2])
    with pytest.raises(TypeError, match=r"X\['b'\] is a Dask bag; in a tree, allowed are"):
        map_samples(len, {"a": da.ones(2), "b": bag})
    futures = executor.client.scatter([np.ones(1)] * 2, hash=False)
    with pytest.raises(TypeError, match=r"X\['b'\] is a future; in a tree, allowed are"):
        map_samples(len, {"b": futures})


def test_leaves_of_unknown_chunks_must_agree_in_each_block():
    X = unknown(None)
    X["tokens"] = X["tokens"].map_blocks(lambda block: block[:1])
    result = map_samples(described, X, meta=META)
    with pytest.raises(ValueError, match=r"samples \d of X\['image'\], 1 of X\['tokens'\]"):
        dask.compute(result, scheduler="sync")


def total(X):
    return X.sum(axis=1)


def test_samples_that_were_loaded_in_memory():
    with dask.config.set({"daskml-exec.partition-bytes": 64}), load_samples(TOKENS) as data:
        assert data.n_partitions > 1
        np.testing.assert_array_equal(map_samples(total, data), TOKENS.sum(axis=1))


def test_windows_of_tokens_in_memory():
    windows = tokens(np.arange(10), 4)
    np.testing.assert_array_equal(map_samples(total, windows), [6, 18, 30])
    X = {"window": windows, "tokens": da.ones((3, 2), chunks=(2, 2))}
    result = map_samples(lambda X: X["window"].sum(axis=1) + X["tokens"][:, 0], X)
    np.testing.assert_array_equal(result.compute(scheduler="sync"), [7, 19, 31])


def test_what_is_read_on_workers_is_loaded_first(executor):
    windows = tokens(da.arange(10, chunks=5), 4)
    expected = [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    np.testing.assert_array_equal(map_samples(np.negative, windows), np.negative(expected))
    found = map_samples(lambda X: X["a"][:, 0], {"a": windows})
    np.testing.assert_array_equal(found.compute(), [0, 3, 6])
    found = map_samples(np.negative, from_dataset(partial(np.arange, 5.0), 2))
    np.testing.assert_array_equal(found.compute(), -np.arange(5.0))
