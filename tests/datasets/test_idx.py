"""Images in the IDX format of MNIST, whole, in parts, compressed, and broken."""

import gzip
import pickle
import struct

import dask
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from daskml_exec.datasets import read_idx
from daskml_exec.datasets._idx import is_idx

CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (7, 3, 2)).astype("u1")
LABELS = RNG.integers(0, 10, 7).astype("u1")


def idx(array):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, CODES[array.dtype.str.lstrip("|")], array.ndim]) + sizes + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ({}, (7,)),
        ({"npartitions": 3}, (2, 2, 3)),
        ({"blocksize": 50}, (1, 2, 2, 2)),
        ({"blocksize": 1}, (1,) * 7),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_rows_and_labels_in_order(folder, arguments, rows, compressed):
    path = folder / "train-images-idx3-ubyte"
    if compressed:
        for plain in list(folder.iterdir()):
            plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
            plain.unlink()
        path = path.with_name(path.name + ".gz")
    X, y = read_idx(path, **arguments)
    assert X.chunks == (rows, (6,)) and y.chunks == (rows,)
    assert (X.dtype, y.dtype) == (np.float32, np.int64)
    with dask.config.set(scheduler="synchronous"):
        found, labels = dask.compute(X, y)
    assert np.array_equal(found, IMAGES.reshape(7, 6) / np.float32(255))
    assert np.array_equal(labels, LABELS)
    assert pickle.loads(pickle.dumps(X)).shape == (7, 6)


@pytest.mark.parametrize("dtype", CODES)
def test_numbers_of_every_type(tmp_path, dtype):
    values = RNG.integers(0, 100, (4, 5)).astype(dtype)
    (tmp_path / "a.idx2-ubyte").write_bytes(idx(values))
    (tmp_path / "b").write_bytes(idx(LABELS[:4]))
    X, _ = read_idx(tmp_path / "a.idx2-ubyte", tmp_path / "b")
    assert X.dtype == (np.float64 if dtype in (">i4", ">f8") else np.float32)
    scale = np.float32(255) if dtype == "u1" else 1
    assert np.array_equal(X.compute(scheduler="synchronous"), values.astype(X.dtype) / scale)


def test_arrays_are_what_estimators_take(folder):
    X, y = read_idx(folder / "train-images-idx3-ubyte", npartitions=2)
    LogisticRegression().fit(X.compute(scheduler="synchronous"), y.compute(scheduler="synchronous"))
    assert X.name == read_idx(folder / "train-images-idx3-ubyte", npartitions=2)[0].name


@pytest.mark.parametrize(
    ("name", "yes"),
    [
        ("train-images-idx3-ubyte.gz", True),
        ("s3://bucket/emnist-letters-test-images-idx3-ubyte", True),
        ("t10k-images.idx3-ubyte", True),
        ("idx.libsvm", False),
        ("my-idx3-ubyte.txt.libsvm", False),
    ],
)
def test_files_are_known_by_their_names(name, yes):
    assert is_idx(name) == yes


def test_what_is_wrong_is_named(folder):
    images, labels = folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"
    with pytest.raises(ValueError, match=r"npartitions=8 is more than the 7 images"):
        read_idx(images, npartitions=8)
    with pytest.raises(TypeError, match=r"images must be a path or URL.*got 3"):
        read_idx(3)
    with pytest.raises(FileNotFoundError, match=r"images='.*nowhere' does not exist"):
        read_idx(folder / "nowhere", labels)
    with pytest.raises(ValueError, match=r"labels=None.*Pass labels"):
        read_idx(images.rename(folder / "pictures"))
    images = (folder / "pictures").rename(images)
    with pytest.raises(ValueError, match=r"images has the shape \(7,\) and labels \(7, 3, 2\)"):
        read_idx(labels, images)
    labels.write_bytes(idx(LABELS[:6]))
    with pytest.raises(ValueError, match=r"has 7 images, .* has 6 labels"):
        read_idx(images)
    labels.unlink()
    with pytest.raises(FileNotFoundError, match=r"labels='.*labels-idx1-ubyte' does not"):
        read_idx(images)


@pytest.mark.parametrize(
    "content", [b"", b"0 1:2\n", bytes([0, 0, 7, 1, 0, 0, 0, 0]), b"\0\0\x08\x03\0"]
)
def test_other_formats_are_refused(folder, content):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images=.* is not in the IDX format"):
        read_idx(path)


def test_a_file_that_ends_early_is_named(folder):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(idx(IMAGES)[:-8])
    X, _ = read_idx(path, npartitions=2)
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte ends before row 5.* 7 rows"):
        X.compute(scheduler="synchronous")
