"""Lines that cannot be parsed, and arguments that are not allowed."""

import gzip
import pickle

import numpy as np
import pytest

from daskml_exec.datasets import read_libsvm
from daskml_exec.datasets._libsvm_scan import scan_text

GOOD = b"1 1:1 2:1\n"


@pytest.mark.parametrize(
    ("bad", "options", "reason"),
    [
        (b"1 1:abc\n", {}, "could not convert string to float: .*abc"),
        (b"one 1:1\n", {}, "could not convert string to float: .*one"),
        (b"1 x:1\n", {}, "invalid literal for int"),
        (b"1 1\n", {}, "to unpack"),
        (b"1 2:1 1:1\n", {}, "sorted and unique"),
        (b"1 1:1 1:1\n", {}, "sorted and unique"),
        (b"1 0:1\n", {"zero_based": False}, "Invalid index 0"),
        (b"1 -1:1\n", {}, "Invalid index -1"),
        (b"1 1:1 3:1\n", {"n_features": 2}, "n_features was set to 2, but .* 3 features"),
        (b"1 99999999999999999999:1\n", {}, "too large|too big"),
        (b"1 qid:1 99999999999999999999:1\n", {}, "too large|too big"),
        (b"1 1:1\n", {"query_id": True}, "query_id=True needs one on every line"),
        (b"1 qid:x 1:1\n", {"query_id": True}, "invalid literal for int"),
        (b"1,x 1:1\n", {"multilabel": True}, "could not convert string to float: .*x"),
    ],
)
@pytest.mark.parametrize("npartitions", [1, 4, 40])
def test_the_error_names_file_and_line(tmp_path, bad, options, reason, npartitions):
    good = b"1 qid:3 1:1 2:1\n" if options.get("query_id") else GOOD
    path = tmp_path / "rows.txt"
    path.write_bytes(b"# a note\n\n" + good * 10 + bad + b"\r\n" + good * 7)
    X, _, *_ = read_libsvm(path, npartitions=npartitions, **options)
    with pytest.raises(ValueError, match=rf"rows\.txt, line 13: .*{reason}") as caught:
        X.compute(scheduler="sync")
    assert str(caught.value).startswith(f"{path}, line 13: ")
    assert isinstance(caught.value.__cause__, ValueError | OverflowError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_first_of_several_bad_lines_is_named(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes(GOOD * 3 + b"1 1:first\n" + GOOD * 3 + b"1 1:second\n" * 5)
    X, _ = read_libsvm(path)
    with pytest.raises(ValueError, match=r"rows\.txt, line 4: .*first"):
        X.compute()


def test_line_numbers_start_again_in_every_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(GOOD * 9)
    (tmp_path / "b.txt").write_bytes(GOOD * 4 + b"1 1:abc\n")
    X, _ = read_libsvm([tmp_path / "a.txt", tmp_path / "b.txt"], npartitions=5)
    with pytest.raises(ValueError, match=r"b\.txt, line 5: "):
        X.compute()


def test_the_line_is_counted_in_the_decompressed_text(tmp_path):
    path = tmp_path / "rows.txt.gz"
    path.write_bytes(gzip.compress(GOOD * 1000 + b"1 1:abc\n"))
    X, _ = read_libsvm(path)
    with pytest.raises(ValueError, match=r"rows\.txt\.gz, line 1001: "):
        X.compute()


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (TypeError, {"n_features": 2.0}, "n_features .*; got 2.0"),
        (TypeError, {"n_features": True}, "n_features .*; got True"),
        (ValueError, {"n_features": 0}, "n_features .* at least 1, or None; got 0"),
        (TypeError, {"npartitions": "3"}, "npartitions .*; got '3'"),
        (ValueError, {"npartitions": 0}, "npartitions .* at least 1, or None; got 0"),
        (TypeError, {"blocksize": None}, "blocksize .*; got None"),
        (TypeError, {"blocksize": 1e6}, "blocksize .*; got 1000000.0"),
        (ValueError, {"blocksize": 0}, "blocksize .*; got 0"),
        (ValueError, {"blocksize": "large"}, "blocksize .*; got 'large'"),
        (TypeError, {"dtype": None}, "dtype .*; got None"),
        (TypeError, {"dtype": "no such"}, "dtype .*; got 'no such'"),
        (ValueError, {"dtype": complex}, "dtype .*; got complex128"),
        (ValueError, {"dtype": np.float16}, "dtype .*; got float16"),
        (ValueError, {"zero_based": "no"}, "zero_based .*; got 'no'"),
        (TypeError, {"zero_based": 1}, "zero_based .*; got 1"),
        (TypeError, {"multilabel": 1}, "multilabel .*; got 1"),
        (TypeError, {"query_id": None}, "query_id .*; got None"),
    ],
)
def test_arguments_are_checked(tmp_path, error, options, message):
    (tmp_path / "rows.txt").write_bytes(GOOD)
    with pytest.raises(error, match=f"^{message}$"):
        read_libsvm(tmp_path / "rows.txt", **options)


@pytest.mark.parametrize(
    ("error", "urlpath"), [(TypeError, 3), (ValueError, ""), (ValueError, []), (TypeError, [None])]
)
def test_urlpath_is_checked(error, urlpath):
    with pytest.raises(error, match=r"^urlpath must be .*; got "):
        read_libsvm(urlpath)


def test_more_files_than_partitions(tmp_path):
    (tmp_path / "a.txt").write_bytes(GOOD)
    with pytest.raises(ValueError, match="npartitions=1 is less than the number of files, 2"):
        read_libsvm([tmp_path / "a.txt"] * 2, npartitions=1)


def test_more_partitions_than_can_be_cut(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(GOOD))
    with pytest.raises(ValueError, match="npartitions=2 is more than the number of files, 1"):
        read_libsvm(tmp_path / "a.txt.gz", npartitions=2)


def test_the_scan_leaves_bad_lines_to_the_parser():
    text = b"1 x:1 y:2\n1 2:1 4:1\n1 3\n: :\n#\n"
    scan = scan_text(text, find_smallest=True, find_largest=True, multilabel=False)
    assert (scan.lines, scan.rows, scan.smallest, scan.largest) == (5, 4, 2, 4)
