"""Samples: trees of arrays of any number of dimensions, from all that users hold."""

import pickle
import re
import sys
import warnings
from collections import namedtuple
from dataclasses import dataclass, replace

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.partitions import Partition, dealt, load_samples
from daskml_exec.training import Measured, Query, exchange, reduce, train

N = 11
IMAGES = (np.arange(N * 12) % 251).reshape(N, 2, 3, 2).astype(np.uint8)
AGES = np.arange(N) / 4
LABELS = np.arange(N) * 7 % 3

Scene = namedtuple("Scene", ["image", "box"])


@dataclass(frozen=True)
class Sums(Query):
    """Sums that tell X, y and weights apart."""

    def partial(self, partition):
        image = partition.X["image"]
        assert image.dtype == np.uint8
        weight = 1.0 if partition.sample_weight is None else partition.sample_weight
        pixels = image.reshape(len(image), -1).sum(axis=1, dtype=np.int64)
        return np.array([len(image), (pixels * weight).sum(), (pixels * partition.y).sum()])


def pieces_of(data):
    partitions = data.partitions
    return partitions.executor.client.gather(list(partitions.futures))


def leaves(tree):
    if isinstance(tree, dict):
        return [leaf for child in tree.values() for leaf in leaves(child)]
    if isinstance(tree, tuple):
        return [leaf for child in tree for leaf in leaves(child)]
    return [tree]


def check(pieces, expected, part="X"):
    """All samples are there, in order, C-ordered and in their dtypes."""
    found = [leaves(getattr(piece, part)) for piece in pieces]
    for mine, array in zip(zip(*found, strict=True), leaves(expected), strict=True):
        array = np.asarray(array)
        assert {each.dtype for each in mine} == {array.dtype}
        assert all(type(each) is np.ndarray and each.flags.c_contiguous for each in mine)
        np.testing.assert_array_equal(np.concatenate(mine), array)


def blocks(executor, array, chunks=(4, 0, 7)):
    ends = np.cumsum(chunks)
    parts = [array[end - n : end] for n, end in zip(chunks, ends, strict=True)]
    return [executor.client.submit(lambda part=part: part, pure=False) for part in parts]


def frame():
    return pd.DataFrame({"a": np.arange(N, dtype=np.int16), "b": np.arange(N) > 3, "c": 0.5})


def lazy_images(length):
    return da.from_array(IMAGES, chunks=(length, 2, 3, 2))


FRAME = np.column_stack([np.arange(N), np.arange(N) > 3, np.full(N, 0.5)])

KINDS = {
    "array": lambda _: (IMAGES, IMAGES),
    "dask array": lambda _: (lazy_images(4), IMAGES),
    "unknown chunks": lambda _: (
        da.from_array(IMAGES, chunks=(4, 2, 3, 2))[da.arange(N) >= 0],
        IMAGES,
    ),
    "futures": lambda executor: (blocks(executor, IMAGES), IMAGES),
    "lists": lambda _: (IMAGES.astype(int).tolist(), IMAGES.astype(int)),
    "booleans": lambda _: (LABELS > 1, LABELS > 1),
    "other bytes": lambda _: (AGES.astype(">f4"), AGES.astype(np.float32)),
    "reversed": lambda _: (IMAGES[::-1, :, ::-1], IMAGES[::-1, :, ::-1]),
    "frame": lambda _: (frame(), FRAME),
    "missing": lambda _: (pd.Series([1, 2, 3], dtype="Int64"), np.array([1, 2, 3])),
    "dask frame": lambda _: (dd.from_pandas(frame(), npartitions=3), FRAME),
    "series": lambda _: (frame()["a"], np.arange(N, dtype=np.int16)),
    "dask series": lambda _: (
        dd.from_pandas(frame()["a"], npartitions=3),
        np.arange(N, dtype=np.int16),
    ),
    "named tuple": lambda _: (
        Scene(
            da.from_array(IMAGES, chunks=(3, 2, 3, 2)), {"corner": AGES, "size": LABELS.tolist()}
        ),
        Scene(IMAGES, {"corner": AGES, "size": LABELS}),
    ),
    "bag": lambda _: (
        db.from_sequence(
            [{"image": i, "age": a} for i, a in zip(IMAGES, AGES.tolist(), strict=True)],
            npartitions=4,
        ),
        {"image": IMAGES, "age": AGES},
    ),
    "bag with empty partitions": lambda _: (
        db.from_sequence(range(N), npartitions=N).filter(lambda i: i in (2, 7)),
        np.array([2, 7]),
    ),
    "trees in futures": lambda executor: (
        [
            executor.client.submit(lambda s=s: Scene(IMAGES[s], (AGES[s], LABELS[s].tolist())))
            for s in (slice(0, 5), slice(5, N))
        ],
        Scene(IMAGES, (AGES, LABELS)),
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
def test_what_users_hold_becomes_arrays_of_their_own_dtypes(executor, kind):
    X, expected = KINDS[kind](executor)
    with load_samples(X, executor=executor) as data:
        pieces = pieces_of(data)
        check(pieces, expected)
        assert data.rows == tuple(piece.n_rows for piece in pieces)
        assert data.nbytes == sum(leaf.nbytes for piece in pieces for leaf in leaves(piece.X))
        assert [piece.start for piece in pieces] == np.cumsum((0, *data.rows[:-1])).tolist()
        shapes = [leaf.shape for leaf in leaves(data.like.X)]
        assert shapes == [(0, *np.shape(leaf)[1:]) for leaf in leaves(expected)]
        assert type(data.like.X) is type(expected)


def test_dtypes_of_blocks_are_brought_together(executor):
    X = [executor.client.submit(np.ones, (2, 2), dtype) for dtype in (np.int16, np.float32)]
    with load_samples(X, executor=executor) as data:
        check(pieces_of(data), np.ones((4, 2), np.float32))


@st.composite
def chunked_trees(draw):
    def chunks():
        cuts = sorted(draw(st.lists(st.integers(0, N), max_size=4)))
        return tuple(np.diff([0, *cuts, N]).tolist())

    def leaf(array):
        how = draw(st.sampled_from(["here", "known", "unknown"]))
        if how == "here":
            return array
        lazy = da.from_array(array, chunks=(chunks(), *array.shape[1:]))
        return lazy if how == "known" else lazy[da.arange(N, chunks=3) >= 0]

    image = da.from_array(IMAGES, chunks=(chunks(), 2, 3, 2))
    return {"image": image, "age": leaf(AGES)}, leaf(LABELS), leaf(np.arange(N) % 4 / 2)


@settings(max_examples=12)
@given(chunked_trees())
def test_any_chunks_equal_the_whole(executor, trees):
    X, y, weight = trees
    with load_samples(X, y, weight, executor=executor) as data:
        pieces = pieces_of(data)
        assert data.rows == X["image"].chunks[0]
    check(pieces, {"image": IMAGES, "age": AGES})
    check(pieces, LABELS, "y")
    check(pieces, np.arange(N) % 4 / 2, "sample_weight")


def test_in_memory_they_are_cut_by_the_size_of_the_tree_and_stay_here(executor):
    X, y = {"image": IMAGES, "age": AGES}, LABELS
    per_sample = 12 + 8 + 8
    with dask.config.set({"daskml-exec.partition-bytes": 4 * per_sample}):
        here = load_samples(X, y, 2.0)
        there = load_samples(X, y, 2.0, executor=executor)
    with there:
        assert here.rows == there.rows == (3, 4, 4)
        for pieces in (here.partitions.partitions, pieces_of(there)):
            check(pieces, X)
            check(pieces, y, "y")
            check(pieces, np.full(N, 2.0), "sample_weight")
        np.testing.assert_array_equal(reduce(Sums(), here), reduce(Sums(), there))
    assert here.partitions.partitions[0].X["age"].base is not None, "nothing is copied"
    assert here.in_memory and here.nbytes == N * (per_sample + 8)
    assert repr(here) == (
        "Data: 11 samples of X['image'] uint8[2, 3, 2], X['age'] float64, y int64 in 3 partitions "
        "in memory, 396 B"
    )
    with here.lent_samples("a network") as lent:
        assert lent.rows == here.rows
    assert here.rows, "who lends does not release"


def test_of_many_leaves_some_are_named():
    data = load_samples({f"x{i}": np.zeros((4, i + 1), np.float32) for i in range(9)}, np.ones(4))
    leaves = ", ".join(f"X['x{i}'] float32[{i + 1}]" for i in range(6))
    assert repr(data).startswith(f"Data: 4 samples of {leaves}, 3 more of X, y float64 in 1 part")


def test_buffers_that_cannot_be_written_to_give_no_warning(executor):
    X = IMAGES[::-1]
    X.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with load_samples(X, executor=executor) as data:
            check(pieces_of(data), X)
        check(load_samples(X).partitions.partitions, X)


class Tensor:
    """What of a tensor of torch is used."""

    def __init__(self, values, device="cpu"):
        self.values, self.dtype = values, values.dtype
        self.device = type("device", (), {"type": device})

    def detach(self):
        return self

    def numpy(self):
        if self.values.dtype == object:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values


def test_tensors_are_read_without_torch():
    data = load_samples({"image": Tensor(IMAGES)}, Tensor(AGES))
    check(data.partitions.partitions, IMAGES)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    X = torch.tensor(IMAGES).requires_grad_(False)
    grown = torch.ones(N, 2, requires_grad=True)
    data = load_samples({"image": X, "grown": grown}, torch.arange(N))
    check(data.partitions.partitions, {"image": IMAGES, "grown": np.ones((N, 2), np.float32)})
    with pytest.raises(TypeError, match=r"X is a tensor of torch\.bfloat16 that NumPy cannot hold"):
        load_samples(torch.ones(3, dtype=torch.bfloat16))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (None, TypeError, "X is None; allowed are arrays"),
        ({}, ValueError, "X is an empty dict; allowed are arrays"),
        ({"a": (AGES, None)}, TypeError, r"X\['a'\]\[1\] is None; allowed are arrays"),
        ("text", TypeError, "X is of str; allowed are arrays"),
        (3.0, TypeError, "X is a single number, without an axis of samples"),
        (Scene(AGES, 3), TypeError, r"X\.box is a single number, without an axis"),
        ({"a": sp.eye(3)}, TypeError, r"X\['a'\] is a SciPy sparse matrix; .* toarray\(\)"),
        ({"a": sp.dok_matrix((3, 3))}, TypeError, r"X\['a'\] is a SciPy sparse matrix; "),
        (np.array(["a", "b"]), TypeError, "X has dtype <U1; allowed are integers"),
        (AGES * 1j, TypeError, "X has dtype complex128; allowed are integers"),
        (np.array([[1], [1, 2]], dtype=object), TypeError, "X has dtype object; allowed are"),
        (object(), TypeError, "X has dtype object and is of object; allowed are"),
        (
            np.array(["2020-01-01"], "M8[D]"),
            TypeError,
            r"X has datetime64\[D\]; allowed are numbers",
        ),
        (np.ma.array(AGES, mask=AGES > 2), ValueError, "X is a masked array in which 2 values"),
        ([[1, 2], [3]], ValueError, r"X is ragged: sample 1 has shape \(1,\), sample 0"),
        ([[[1], [2, 3]]], ValueError, "X is ragged: sample 0 is so itself"),
        (pd.DataFrame({"a": [1], "b": ["x"]}), TypeError, "X has dtype .* in column 'b'; allowed"),
        (pd.DataFrame(index=[1, 2]), ValueError, "X is a frame without columns"),
        (Tensor(AGES, "cuda"), TypeError, r"X is a tensor on cuda; .* on the CPU: cpu\(\)"),
        (Tensor(np.array([None])), TypeError, "X is a tensor of object that NumPy cannot hold"),
        (np.empty((0, 3)), ValueError, "X has 0 rows: training needs at least one sample"),
        ({"a": AGES, "b": AGES[1:]}, ValueError, r"X\['a'\] has 11 samples, X\['b'\] has 10"),
    ],
)
def test_what_is_no_sample_is_named(X, error, message):
    with pytest.raises(error, match=message):
        load_samples(X)


TEXTS = np.array(["a", "long", "b"] * 4)[:N]


@pytest.mark.parametrize(
    "y",
    [
        TEXTS,
        TEXTS.tolist(),
        pd.Series(TEXTS),
        pd.Series(TEXTS, dtype="category"),
        da.from_array(TEXTS.astype(object), chunks=(4, 0, 7)),
        da.concatenate([da.from_array(TEXTS[:1]), da.from_array(TEXTS[1:])]),
        dd.from_pandas(pd.Series(TEXTS), npartitions=2),
        db.from_sequence(TEXTS.tolist(), npartitions=3),
    ],
    ids=["array", "list", "series", "categories", "objects", "lengths", "dask_series", "bag"],
)
def test_texts_are_labels(executor, y):
    with load_samples(AGES, y, executor=executor) as data:
        pieces = [future.result() for future in data.partitions.futures]
    assert {piece.y.dtype for piece in pieces} == {np.dtype("U4")}
    assert np.concatenate([piece.y for piece in pieces]).tolist() == TEXTS.tolist()


def test_texts_among_other_labels_are_refused(executor):
    mixed = executor.client.scatter([TEXTS[:4], LABELS[4:]])
    for y, message in {
        "missing": (np.array(["a", None], dtype=object), "y has None of NoneType in sample 1"),
        "numbers": (np.array(["a", 1], dtype=object), "y has 1 of int in sample 1"),
        "bytes": (np.array([b"a", b"b"]), "y has dtype |S1; allowed are integers"),
    }.values():
        with pytest.raises(TypeError, match=re.escape(message)):
            load_samples(AGES[:2], y)
    with pytest.raises(TypeError, match=r"y has dtype .*; allowed are texts in all, or numbers"):
        load_samples(da.from_array(AGES, chunks=((4, 7),)), mixed, executor=executor)


def test_lengths_and_weights_are_checked(executor):
    here = {"a": AGES}
    lazy = {"a": da.from_array(AGES, chunks=4)}
    first = r"X\['a'\]"
    for where, X in ((None, here), (executor, here), (executor, lazy)):
        for y, weight, message in (
            ((LABELS, LABELS[1:]), None, r"has 11 samples, y\[1\] has 10"),
            ({"l": LABELS[1:]}, None, first + r" has 11 samples, y\['l'\] has 10"),
            (None, [1.0, 2.0], first + " has 11 samples, sample_weight has 2"),
            (None, AGES - 1, "sample_weight has -1 in row 0"),
            (None, AGES * 0, "all sample weights are zero: training needs at least one sample"),
            (None, np.ones((N, 2)), "sample_weight has 2 dimensions and 2 columns"),
        ):
            with pytest.raises(ValueError, match=message):
                load_samples(X, y, weight, executor=where)


def test_what_is_wrong_on_the_cluster_is_named(executor):
    lazy = da.from_array(IMAGES, chunks=(4, 2, 2, 2))
    ragged = db.from_sequence([[0], [1], [2], [3, 3]], npartitions=2)
    sized = [executor.client.submit(np.ones, shape) for shape in ((2, 3), (2, 4))]
    kinds = [executor.client.submit(lambda x: x, x) for x in (AGES, {"a": AGES})]
    none = [executor.client.submit(lambda: 7)]
    strings = da.from_array(np.array(["a", "b"]), chunks=1)
    for X, error, message in (
        (
            {"image": lazy},
            ValueError,
            r"X\['image'\] has 2 chunks along axis 2; .*rechunk\(\{2",
        ),
        (
            ragged,
            ValueError,
            r"X has shape \(2,\) in sample 1 of partition 1, and",
        ),
        (sized, ValueError, r"X has samples of shape \(4,\) in partition 1, and of \(3,\)"),
        (kinds, ValueError, r"partition 1 has X\['a'\], partition 0 has X; all"),
        (none, TypeError, "a list of futures has a block of int; allowed are arrays"),
        (strings, TypeError, "X has dtype <U1; allowed are integers"),
        (da.ones(()), ValueError, "X is a single number, without an axis of samples"),
        (da.ones((0, 2)), ValueError, "X has 0 rows"),
        (db.from_sequence(["a"]), TypeError, "X is of str; allowed are"),
    ):
        with pytest.raises(error, match=message):
            load_samples(X, executor=executor)
    with pytest.raises(ValueError, match=r"sample_weight is of a collection .* and executor=None"):
        load_samples(AGES, sample_weight=da.ones(N))


@dataclass(frozen=True)
class Flipped(Query):
    """Another tree, with a leaf more."""

    def partial(self, partition):
        image = partition.X["image"]
        return replace(partition, X=(image[:, ::-1], image.mean(axis=(1, 2, 3))))


@dataclass(frozen=True)
class Heavier(Query):
    def partial(self, partition):
        return replace(partition, sample_weight=np.full(partition.n_rows, 2.0))


@dataclass(frozen=True)
class Pixels(Query):
    def partial(self, partition):
        return {"pixels": partition.X["image"].reshape(-1, 12)}


def check_dealt(data):
    """Dealt anew, as before training, each sample still has its label."""
    made = dealt(data.partitions, seed=0)
    pieces = made.executor.client.gather(list(made.futures))
    image, label = (np.concatenate([leaves(getattr(p, name))[0] for p in pieces]) for name in "Xy")
    order = np.argsort(image.reshape(N, -1)[:, 0])
    np.testing.assert_array_equal(image[order], IMAGES[np.argsort(IMAGES[:, 0, 0, 0])])
    np.testing.assert_array_equal(label[order], LABELS[np.argsort(IMAGES[:, 0, 0, 0])])


def test_queries_make_samples_of_samples(executor):
    X = {"image": da.from_array(IMAGES, chunks=((5, 0, 6), 2, 3, 2))}
    with load_samples(X, LABELS, np.full(N, 2.0**80), executor=executor) as data:
        with data.map(Flipped()) as made:
            check(pieces_of(made), np.ones(N), "sample_weight")
            assert made.partitions.form.exponent == data.partitions.form.exponent == 80
            check(pieces_of(made), (IMAGES[:, ::-1], IMAGES.mean(axis=(1, 2, 3))))
            assert "samples of X[0] uint8[2, 3, 2], X[1] float64, y int64 in 3" in repr(made)
            assert made.lent_samples("a network").like.X[1].dtype == np.float64
        with data.map(Pixels()) as other:
            assert "11 rows of Pixels" in repr(other)
            with pytest.raises(ValueError, match="Data that has no samples; Net needs"):
                other.lent_samples("Net")
        with pytest.raises(ValueError, match="returned another sample_weight for partition 0"):
            data.map(Heavier())
        with exchange(data, lambda partition: partition.y, 3) as by_label:
            for label, piece in enumerate(pieces_of(by_label)):
                np.testing.assert_array_equal(piece.X["image"], IMAGES[label == LABELS])
            assert by_label.like.X["image"].shape == (0, 2, 3, 2)
        check_dealt(data)
        with pytest.raises(ValueError, match="X is a Data of samples; LogisticRegression needs"):
            LogisticRegression().fit(data)
        assert "uint8[2, 3, 2]" in data._repr_html_()
    with pytest.raises(ValueError, match="a Data in memory; map needs one on a cluster"):
        load_samples(IMAGES).map(Flipped())


@dataclass(frozen=True)
class Twice:
    """Asks for the same sums two times."""

    states = (tuple,)

    def ask(self, state):
        return Sums() if len(state) < 2 else None

    def tell(self, state, query, answer):
        return (*state, answer.tolist()), Measured()


def test_training_is_the_same_in_memory_on_the_cluster_and_after_a_restart():
    weight = np.arange(N) % 4 / 2
    with (
        dask.config.set({"daskml-exec.partition-bytes": 80}),
        Executor(processes=False, n_workers=2) as executor,
        load_samples({"image": IMAGES}, LABELS, weight, executor=executor) as data,
    ):
        here = load_samples({"image": IMAGES}, LABELS, weight)
        chunks = (here.rows, 2, 3, 2)
        lazy = {"image": da.from_array(IMAGES, chunks=chunks)}
        with load_samples(lazy, LABELS, weight, executor=executor) as chunked:
            found = [train(Twice(), (), each, name="sums").state for each in (here, data, chunked)]
            executor.client.restart()
            found += [train(Twice(), (), each, name="sums").state for each in (data, chunked)]
    pixels = IMAGES.reshape(N, -1).sum(axis=1, dtype=np.int64)
    assert found[0][0] == [N, (pixels * weight).sum(), (pixels * LABELS).sum()]
    assert all(each == found[0] for each in found)


def test_partitions_of_trees_keep_what_partitions_promise():
    odd = np.frombuffer(b"x" + AGES.tobytes(), offset=1)
    piece = Partition(1, 4, {"image": IMAGES, "box": (odd, LABELS)}, (LABELS, AGES), AGES)
    assert piece.n_rows == N and piece.X["box"][0].flags.aligned
    assert sys.getsizeof(piece) >= piece.nbytes == IMAGES.nbytes + 5 * AGES.nbytes
    for some in (piece.take(np.array([3, 1])), pickle.loads(pickle.dumps(piece)).take([3, 1])):
        assert (some.index, some.start, some.n_rows) == (1, 4, 2)
        np.testing.assert_array_equal(some.X["image"], IMAGES[[3, 1]])
        assert some.X["box"][1].tolist() == LABELS[[3, 1]].tolist()
        assert some.y[1].tolist() == some.sample_weight.tolist() == [0.75, 0.25]
