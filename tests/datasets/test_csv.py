"""CSV files in byte ranges: the same rows and types for any cut, and errors that name the line."""

import gzip
import io

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from daskml_exec import Executor
from daskml_exec.datasets import _csv
from daskml_exec.datasets._csv import read_csv


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def read(path, block_bytes=2**26, choose=lambda names: names, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_csv, "_BLOCK_BYTES", block_bytes)
        return read_csv(str(path), choose, **options)


def whole(frame):
    """The rows of a frame, of which each block has the types of all."""
    blocks = dask.compute(*frame.to_delayed())
    for block in blocks:
        assert block.dtypes.to_dict() == frame.dtypes.to_dict()
    return pd.concat(blocks, ignore_index=True)


def assert_like_pandas(found, wanted):
    """Texts have the type that Dask has for them, which is not pandas's in all releases."""
    texts = [name for name, dtype in wanted.dtypes.items() if dtype.kind == "O"]
    assert all(pd.api.types.is_string_dtype(found.dtypes[name]) for name in texts)
    assert_frame_equal(found, wanted.astype({name: found.dtypes[name] for name in texts}))


@pytest.fixture
def written(tmp_path):
    def write(text, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


LATE = {
    "gap": (["1"] * 200 + [""] + ["2"] * 50, "float64"),
    "fraction": (["1"] * 200 + ["2.5"] + ["2"] * 50, "float64"),
    "text": ([""] * 30 + ["Bonn", "7", "007", "1.0"] * 50, "str"),
    "word": (["1"] * 200 + ["x"] + ["2"] * 50, "str"),
    "truth": (["True"] * 200 + [""] + ["False"] * 50, "str"),
    "numbers": (["1"] * 100 + ["2"] * 100, "int64"),
    "truths": (["True"] * 100 + ["False"] * 100, "bool"),
    "gaps": ([""] * 200, "float64"),
    "large": (["1"] * 100 + [str(2**70)] * 50 + ["2"], "str"),
}


@pytest.mark.parametrize("block_bytes", [150, 2**26])
@pytest.mark.parametrize("name", LATE)
def test_a_type_that_shows_late(written, executor, name, block_bytes):
    values, kind = LATE[name]
    text = "a,b\n" + "".join(f"{value},{i}\n" for i, value in enumerate(values))
    found = read(written(text), block_bytes)
    wanted = pd.read_csv(io.StringIO(text), dtype={"a": kind})
    assert (found.npartitions > 1) == (block_bytes < 2**26)
    assert_like_pandas(whole(found), wanted)


# Without integers of more than 64 bits: beside fractions pandas takes those by what comes first.
TOKENS = [
    "",
    "1",
    "-3",
    "007",
    "2.5",
    "1e3",
    "inf",
    "True",
    "FALSE",
    "x",
    '"a,b"',
    "NA",
]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(*[st.sampled_from(TOKENS)] * 2), max_size=8),
    st.integers(8, 60),
    st.sampled_from(["\n", "\r\n"]),
)
def test_cuts_change_nothing(tmp_path_factory, executor, rows, block_bytes, end):
    path = tmp_path_factory.mktemp("cuts") / "rows.csv"
    path.write_text(end.join(["a,b,c", *(f"{a},{b},1" for a, b in rows)]), newline="")
    assert_frame_equal(whole(read(path, block_bytes)), whole(read(path)))


@pytest.mark.parametrize("values", [["1", "2"], ["1", ""], ["x", ""], ["1.5", "2"], ["True", "x"]])
def test_types_are_those_of_pandas(written, executor, values):
    text = "a,b\n" + "".join(f"{value},0\n" for value in values)
    assert_like_pandas(whole(read(written(text))), pd.read_csv(io.StringIO(text)))


def test_texts_that_are_known(written, executor):
    path = written("a,b\n007,1\n1,2\n")
    assert whole(read(path, 8, texts=["a", "elsewhere"]))["a"].tolist() == ["007", "1"]


def test_columns_that_are_chosen(written, executor):
    path = written("a,b,a,\n1,2,3,4\n5,6,7,\n")
    found = read(path, 10, choose=lambda names: [name for name in names if name != "b"])
    assert found.columns.tolist() == ["a", "a.1", "Unnamed: 3"]
    assert whole(found).fillna(0).to_numpy().tolist() == [[1, 3, 4], [5, 7, 0]]
    turned = read(path, choose=lambda names: ["b", "a"])
    assert whole(turned).to_dict("list") == {"b": [2, 6], "a": [1, 5]}


def test_several_files(written, executor, tmp_path):
    written("a,b\n1,x\n2,y\n", "part-2.csv")
    written("\n\na,b\r\n3.5,z\r\n", "part-10.csv")
    found = whole(read(tmp_path / "part-*.csv", 6))
    assert found.to_dict("list") == {"a": [1.0, 2.0, 3.5], "b": ["x", "y", "z"]}


def test_a_compressed_file(tmp_path, executor):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,x\n,y\n"))
    np.testing.assert_equal(
        whole(read(path, 4)).to_dict("list"), {"a": [1, np.nan], "b": ["x", "y"]}
    )


def test_a_byte_order_mark_is_no_name(written, executor):
    found = read(written("\ufeffa,b\n1,2\n3,4\n"), 8)
    assert whole(found).to_dict("list") == {"a": [1, 3], "b": [2, 4]}


ROWS = "".join(f"{i},x\n" for i in range(1000, 1040)).encode()  # seven bytes each


@pytest.mark.parametrize("block_bytes", [60, 2**26])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a,b\n" + ROWS + b"1,\xf6\n", "line 42: the byte 0xf6 at offset 286 is not UTF-8"),
        (b"a,\xf6\n" + ROWS, "line 1: the byte 0xf6 at offset 2 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "line 1: the byte 0xff at offset 0 is not UTF-8"),
        (b"a,b\n" + ROWS + b"\n1,2,3,4\n" + ROWS, "line 43: 4 fields, and the header names 2"),
        (b"\na,b\n1,2,3\n" + ROWS, "line 3: 3 fields, and the header names 2"),
        (b'a,b\n1,"\nx"\n1,2,3\n', "line 4: 3 fields|EOF inside string"),
        (b"a,b\n" + ROWS + b'1,"x\n', r"lines \d+ to 42: EOF inside string"),
        (b"\n\n", "is empty; allowed is a line with the names"),
        (b"", "is empty; allowed is a line with the names"),
    ],
)
def test_what_cannot_be_read_is_named(written, executor, text, message, block_bytes):
    path = written(text)
    with pytest.raises(ValueError, match=f"^{path}.*({message})"):
        read(path, block_bytes).compute()


def test_fields_that_are_empty_behind_the_last_column(written, executor):
    assert whole(read(written("a,b\n1,2,\n3,4,\n"))).to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_files_with_other_columns_are_named(written, executor, tmp_path):
    written("a,b\n1,2\n", "1.csv")
    written("b,a\n1,2\n", "2.csv")
    with pytest.raises(ValueError, match=r"2.csv has the columns b, a, and .*1.csv has a, b"):
        read(tmp_path / "*.csv")


def test_a_broken_compressed_file(written, executor):
    with pytest.raises(OSError, match="gzip") as raised:
        read(written("a,b\n1,2\n", "rows.csv.gz"))
    assert (
        "while reading" in raised.value.__notes__[0] and "rows.csv.gz" in raised.value.__notes__[0]
    )


def test_a_missing_file(tmp_path, executor):
    with pytest.raises(FileNotFoundError, match=r"nope\.csv"):
        read(tmp_path / "nope.csv")
