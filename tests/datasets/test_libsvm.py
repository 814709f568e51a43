"""What read_libsvm returns: scikit-learn's arrays, whatever the ranges."""

import dask
import dask.array as da
import fsspec
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from distributed import Client, LocalCluster, wait
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_svmlight_file

from daskml_exec.datasets import _libsvm, read_libsvm

SPACES = st.sampled_from([" ", "  ", "\t", " \t "])
ENDS = st.sampled_from(["", " ", "\t", "#", " # note 1:2", "# 7", "\r"])
LABELS = st.sampled_from(["1", "-1", "+1", "0", "2.5", "1e2"])
LABEL_LISTS = st.one_of(st.just(""), LABELS, st.lists(LABELS, min_size=2, max_size=3).map(",".join))
INDEX_FORMATS = st.sampled_from(["{}", "{}", "{}", "0{}", "+{}"])
EMPTY_LINES = st.sampled_from(["", " ", "\t", "# only a note", " # 3:4", "\r"])


@st.composite
def texts_and_options(draw: st.DrawFn) -> tuple[bytes, dict[str, object]]:
    zero_based = draw(st.sampled_from(["auto", True, False]))
    multilabel, query_id = draw(st.booleans()), draw(st.booleans())
    lowest = 1 if zero_based is False else draw(st.sampled_from([0, 1, 2]))

    def sample_line() -> str:
        label = draw(LABEL_LISTS if multilabel else LABELS)
        tokens = [label] if label else []
        if query_id or draw(st.booleans()):
            tokens.append(f"qid:{draw(st.integers(0, 9))}")
        for index in sorted(draw(st.sets(st.integers(lowest, 40), max_size=4))):
            value = draw(st.floats(-1e3, 1e3))
            tokens.append(f"{draw(INDEX_FORMATS).format(index)}:{value!r}")
        spaced = [token + draw(SPACES) for token in tokens[:-1]] + tokens[-1:]
        return draw(st.sampled_from(["", " "])) + "".join(spaced) + draw(ENDS)

    lines = [
        draw(EMPTY_LINES) if draw(st.integers(0, 4)) == 0 else sample_line()
        for _ in range(draw(st.integers(0, 12)))
    ]
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))
    options = {"zero_based": zero_based, "multilabel": multilabel, "query_id": query_id}
    return text.encode(), options


CUTS = st.one_of(
    st.builds(lambda n: {"blocksize": n}, st.integers(1, 300)),
    st.builds(lambda n: {"npartitions": n}, st.integers(1, 12)),
)


@settings(max_examples=25)
@given(text_and_options=texts_and_options(), cut=CUTS)
@example(text_and_options=(b"", {}), cut={"npartitions": 3})
@example(text_and_options=(b"1 qid:1 3:1\n2 qid:2", {}), cut={"blocksize": 1})
def test_any_text_and_cut_give_what_sklearn_gives(text_and_options, cut, assert_reads_like_sklearn):
    text, options = text_and_options
    fsspec.filesystem("memory").pipe_file("/property.txt", text)
    with dask.config.set(scheduler="sync"):
        arrays = read_libsvm("memory://property.txt", **cut, **options)
    assert_reads_like_sklearn(arrays, text, **options)
    if "npartitions" in cut:
        assert arrays[0].numblocks == (cut["npartitions"], 1)


def test_the_sample_file_of_spark(sample_libsvm_path, assert_reads_like_sklearn):
    X, y = read_libsvm(sample_libsvm_path, blocksize="16KiB")
    assert X.shape == (100, 692)
    assert X.numblocks[0] > 3
    assert_reads_like_sklearn((X, y), sample_libsvm_path.read_bytes())


@pytest.mark.parametrize("dtype", [np.float32, "float64", np.int16])
def test_dtype_is_that_of_X_alone(tmp_path, assert_reads_like_sklearn, dtype):
    path = tmp_path / "data.txt"
    path.write_bytes(b"1 1:2.5\n0 2:3\n")
    assert_reads_like_sklearn(
        read_libsvm(path, npartitions=2, dtype=dtype), path.read_bytes(), dtype=dtype
    )


def test_given_n_features_is_the_width(tmp_path, assert_reads_like_sklearn):
    path = tmp_path / "data.txt"
    path.write_bytes(b"1 1:2.5\n0 2:3\n")
    assert_reads_like_sklearn(read_libsvm(path, n_features=9), path.read_bytes(), n_features=9)


@pytest.mark.parametrize("given", [{}, {"n_features": 9}, {"zero_based": True}])
@pytest.mark.parametrize("multilabel", [False, True])
def test_scan_looks_only_for_what_is_not_given(monkeypatch, tmp_path, given, multilabel):
    path = tmp_path / "data.txt"
    path.write_bytes(b"1 1:2.5\n0 2:3\n")
    seen = []

    def spy(byte_range, **wanted):
        seen.append(wanted)
        return scan_range(byte_range, **wanted)

    scan_range = _libsvm.scan_range
    monkeypatch.setattr(_libsvm, "scan_range", spy)
    read_libsvm(path, multilabel=multilabel, **given)
    assert seen == [
        {
            "find_smallest": "zero_based" not in given,
            "find_largest": "n_features" not in given,
            "multilabel": multilabel,
        }
    ]


def test_index_base_is_decided_over_all_files_together(tmp_path):
    for name, text in [("a.txt", "1 1:1\n"), ("b.txt", "1 0:2\n"), ("c.txt", "1\n")]:
        (tmp_path / name).write_text(text)
    X, _ = read_libsvm([tmp_path / "a.txt", tmp_path / "b.txt"])
    np.testing.assert_array_equal(X.compute().toarray(), [[0, 1], [2, 0]])
    X, _ = read_libsvm([tmp_path / "a.txt", tmp_path / "c.txt"])
    np.testing.assert_array_equal(X.compute().toarray(), [[1], [0]])


def test_slices_of_rows(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("".join(f"{i} {i % 7 + 1}:{i}\n" for i in range(50)))
    X, y = read_libsvm(path, npartitions=4)
    expected_X, expected_y = load_svmlight_file(path)
    for rows in (slice(3, 31), slice(0, 0), slice(49, 50)):
        assert (X[rows].compute() != expected_X[rows]).nnz == 0
        np.testing.assert_array_equal(y[rows].compute(), expected_y[rows])


def test_keys_follow_the_file_and_the_parameters(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("1 1:1\n")
    X, y = read_libsvm(path)
    again_X, again_y = read_libsvm(path)
    assert (X.name, y.name) == (again_X.name, again_y.name)
    assert read_libsvm(path, n_features=7)[0].name != X.name
    path.write_text("1 1:1\n2 1:1\n")
    assert read_libsvm(path)[0].name != X.name


def test_workers_give_the_sparse_class_that_the_driver_is_configured_for(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("1 1:1\n")
    with sklearn.config_context(sparse_interface="sparray"):
        X, _ = read_libsvm(path)
    assert isinstance(X._meta, sp.csr_array)
    assert isinstance(X.compute(), sp.csr_array)


def count_calls_of_parse_range():
    parse_range = _libsvm.parse_range

    def counting(*args):
        counting.calls += 1
        return parse_range(*args)

    counting.calls = 0
    _libsvm.parse_range = counting


def test_processes_parse_each_range_once_for_all_arrays(tmp_path):
    path = tmp_path / "data.txt"
    text = "".join(f"{i % 2} qid:{i} {i % 7 + 1}:{i}\n" for i in range(300))
    path.write_text(text)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(count_calls_of_parse_range)
        arrays = dask.persist(*read_libsvm(path, npartitions=6, query_id=True))
        wait(arrays)
        assert sum(client.run(lambda: _libsvm.parse_range.calls).values()) == 6
        X, _, query_id = dask.compute(*arrays)
        np.testing.assert_array_equal(query_id, np.arange(300))
        assert X.shape == (300, 7)

        path.write_text(text + "1 qid:1 1:abc\n")
        X, _ = read_libsvm(path, npartitions=6, n_features=7)
        with pytest.raises(ValueError, match=r"data\.txt, line 301: .*abc"):
            X.compute()


def test_arrays_are_those_of_the_engine_in_use(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("1 1:1\n")
    assert all(isinstance(array, da.Array) for array in read_libsvm(path))


@pytest.mark.parametrize(
    ("text", "zero_based", "width"), [("1 1:1 3:1\n", False, 3), ("1\n", True, 1)]
)
def test_the_options_say_what_was_found(tmp_path, text, zero_based, width):
    path = tmp_path / "rows.txt"
    path.write_text(text)
    (X, _), options = _libsvm.read_with_options(path)
    assert (options.zero_based, options.n_features) == (zero_based, width)
    assert X.shape == (1, width)
