"""What urlpath may name, and how files are cut."""

import bz2
import gzip
import lzma
import os

import fsspec
import numpy as np
import pytest

from daskml_exec.datasets import read_libsvm
from daskml_exec.datasets._byte_ranges import cut_by_size, cut_into, find_files

ROW = "1 1:1\n"


@pytest.fixture
def three_files(tmp_path):
    for number, rows in [(1, 10), (2, 200), (10, 40)]:
        text = "".join(f"{number} 1:{i}\n" for i in range(rows))
        (tmp_path / f"part-{number}.txt").write_text(text)
    return tmp_path


def labels(urlpath, **options):
    return np.unique(read_libsvm(urlpath, **options)[1].compute(), return_index=True)


def test_a_glob_gives_its_matches_in_natural_order(three_files):
    found, first = labels(f"{three_files}/part-*.txt")
    assert dict(zip(found, first, strict=True)) == {1: 0, 2: 10, 10: 210}


def test_a_list_keeps_its_order_and_may_mix_file_systems(three_files):
    fsspec.filesystem("memory").pipe_file("/folder/rows.txt", b"7 1:1\n")
    paths = [
        three_files / "part-10.txt",
        "memory://folder/rows.txt",
        f"{three_files}/part-[12].txt",
    ]
    found, first = labels(paths)
    assert dict(zip(found, first, strict=True)) == {10: 0, 7: 40, 1: 41, 2: 51}


def test_a_name_with_characters_of_globs_is_taken_literally(tmp_path):
    (tmp_path / "rows[1].txt").write_text(ROW)
    assert read_libsvm(tmp_path / "rows[1].txt")[0].shape == (1, 1)


@pytest.mark.parametrize(
    ("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_a_compressed_file_is_one_partition(tmp_path, assert_reads_like_sklearn, suffix, compress):
    text = b"".join(b"1 %d:1.5\n" % (i % 9 + 1) for i in range(200))
    path = tmp_path / f"rows.txt.{suffix}"
    path.write_bytes(compress(text))
    arrays = read_libsvm(path, blocksize=10)
    assert arrays[0].numblocks == (1, 1)
    assert_reads_like_sklearn(arrays, text)


def test_a_damaged_compressed_file_is_named(tmp_path):
    path = tmp_path / "rows.txt.gz"
    path.write_bytes(gzip.compress(ROW.encode() * 100)[:-12])
    with pytest.raises(EOFError) as caught:
        read_libsvm(path)
    assert any(str(path) in note for note in caught.value.__notes__)


@pytest.mark.parametrize("npartitions", [3, 4, 7, 300, 3000])
def test_npartitions_is_exact_over_all_files(three_files, npartitions):
    X, y = read_libsvm(f"{three_files}/*", npartitions=npartitions)
    assert X.numblocks == (npartitions, 1)
    assert y.numblocks == (npartitions,)
    assert X.shape == (250, 1)


def test_npartitions_follow_the_sizes_of_the_files(three_files):
    ranges = cut_into(find_files(f"{three_files}/*"), 25)
    per_file = [sum(r.file.path.endswith(f"-{n}.txt") for r in ranges) for n in (1, 2, 10)]
    assert per_file == [1, 20, 4]


def test_a_compressed_file_gets_none_of_the_extra_partitions(three_files):
    (three_files / "part-3.txt.gz").write_bytes(gzip.compress(ROW.encode()))
    ranges = cut_into(find_files(f"{three_files}/*"), 10)
    assert sum(r.stop is None for r in ranges) == 1
    assert len(ranges) == 10


@pytest.mark.parametrize(("blocksize", "count"), [(1, 60), (7, 9), ("16 B", 4), ("1kB", 1)])
def test_blocksize_is_the_largest_size_of_a_range(tmp_path, blocksize, count):
    path = tmp_path / "rows.txt"
    path.write_text(ROW * 10)
    X, _ = read_libsvm(path, blocksize=blocksize)
    assert X.numblocks[0] == count
    assert X.shape[0] == 10


def test_ranges_share_no_byte_and_lose_none(tmp_path):
    path = tmp_path / "rows.txt"
    text = b"".join(b"%d 1:1%s\n" % (i, b"0" * (i * 37 % 90)) for i in range(60)) + b"\n\n1 1:1"
    path.write_bytes(text)
    for size in (1, 2, 3, 10, 50, 91, 1000, len(text)):
        assert b"".join(r.read() for r in cut_by_size(find_files(path), size)) == text


@pytest.mark.parametrize("name", ["missing.txt", "missing-*.txt"])
def test_no_match_names_the_urlpath(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"urlpath='.*missing.*matches no file"):
        read_libsvm(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="urlpath='memory://missing"):
        read_libsvm(f"memory://{name}")


def test_a_folder_is_refused_with_the_remedy(three_files):
    with pytest.raises(IsADirectoryError, match=r"urlpath names the directory .*/\*'"):
        read_libsvm(three_files)


def test_a_file_that_changed_after_the_scan_is_noticed(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text(ROW * 3)
    X, _ = read_libsvm(path, npartitions=1)
    path.write_text(ROW * 2)
    with pytest.raises(RuntimeError, match=r"rows\.txt has changed .*: 2 rows where there were 3"):
        X.compute()


def test_path_objects_of_any_kind(tmp_path):
    class Path(os.PathLike):
        def __fspath__(self):
            return str(tmp_path / "rows.txt")

    (tmp_path / "rows.txt").write_text(ROW)
    assert read_libsvm(Path())[0].shape == (1, 1)
