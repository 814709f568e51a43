"""Values of tables that cannot be used: found where the rows are, told with column and row."""

import datetime
import decimal
import re

import numpy as np
import pandas as pd
import pytest

from daskml_exec.cli._errors import CommandError
from daskml_exec.cli._values import look_at, require_usable
from daskml_exec.datasets import _csv
from tests.cli.toolbox import error_line


def table(n=240, **columns):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(20, 80, n), "size": rng.normal(size=n).round(3)})
    frame["bought"] = np.where((frame["age"] - 50) / 10 + frame["size"] > 0, "yes", "no")
    return frame.assign(**columns)


@pytest.fixture
def written(tmp_path):
    def write(frame, name="rows.csv"):
        path = tmp_path / name
        if name.endswith("parquet"):
            frame.to_parquet(path, row_group_size=60)
        else:
            frame.to_csv(path, index=False)
        return str(path)

    return write


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_csv, "_BLOCK_BYTES", 1000)


def with_value(row, value, n=240):
    column = table(n)["age"].astype(object)
    column[row] = value
    return column


LATE = {
    "a gap": ({"age": with_value(200, None)}, "2 features, as 2 numbers"),
    "a fraction": ({"age": with_value(200, 2.5)}, "2 features, as 2 numbers"),
    "texts": ({"shop": [None] * 30 + ["Bonn", "Rome"] * 105}, "3 features, as 5 numbers"),
    "codes": ({"shop": ["007", "7"] * 60 + ["x"] * 120}, "3 features, as 5 numbers"),
    "labels": ({"bought": ["1", "2"] * 119 + ["other"] * 2}, "2 features, as 2 numbers"),
}


@pytest.mark.parametrize("name", LATE)
def test_a_type_that_shows_late(run, written, small_blocks, name):
    columns, told = LATE[name]
    result = run(written(table(**columns)), "--target", "bought")
    assert result.code == 0, result.err
    assert f"240 rows x {told}" in result.out


def test_texts_that_look_like_numbers_in_the_test_file(run, written):
    shops = np.array(["7", "007", "x"] * 80)
    # Half of the rows are sold by shop alone, so that an unknown shop would be seen.
    bought = table()["bought"].where(np.arange(240) < 120, np.where(shops == "7", "yes", "no"))
    told = []
    for words in ({"7": "7", "007": "007", "x": "x"}, {"7": "seven", "007": "agent", "x": "ex"}):
        frame = table(bought=bought, shop=[words[each] for each in shops])
        tested = written(frame[shops != "x"], "test.csv")
        result = run(written(frame), "--target", "bought", "--test", tested)
        assert result.code == 0, result.err
        told += [line for line in result.out.splitlines() if line.startswith("test accuracy")]
    assert told[0] == told[1]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"age": "old"}, "the column age has texts .*, and numbers .* in the training file"),
        ({"bought": 1}, "the column bought has numbers .*, and texts .* in the training file"),
    ],
)
def test_columns_of_another_kind_in_the_test_file(run, written, kind, columns, message):
    if kind == "csv" and columns == {"bought": 1}:
        pytest.skip("what looks like numbers is read as the texts of the training file")
    about = ("--target", "bought", "--test", written(table(**columns), f"test.{kind}"))
    result = run(written(table()), *about)
    assert result.code == 1
    assert re.search(f"--test .*test.{kind}: {message}", error_line(result.out, result.err))


NO_VALUE = "has no value in 2 of 240 rows, the first of which is row 150 (counted from 0; in"
NOT_WHOLE = "has numbers that are not whole in 1 of 240 rows, the first of which is row 200"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("bought", "message"),
    [
        (table()["bought"].where(~table().index.isin([150, 170])), NO_VALUE),
        (pd.Series(1.0, range(240)).where(~table().index.isin([150, 170])), NO_VALUE),
        (np.arange(240) % 2 + (np.arange(240) == 200) * 0.25, NOT_WHOLE),
        (np.where(np.arange(240) == 200, np.inf, 1.0), NOT_WHOLE),
    ],
)
def test_labels_that_are_none(run, written, small_blocks, kind, bought, message):
    path = written(table(bought=bought), f"bad.{kind}")
    result = run(path, "--target", "bought")
    assert result.code == 1
    line = error_line(result.out, result.err)
    assert line.startswith("--target bought: ") and f"{path} {message}" in line
    good = table(bought=1 + np.arange(240) % 2 if bought.dtype.kind == "f" else "yes")
    result = run(written(good, "good.csv"), "--target", "bought", "--test", path)
    assert f"--test {path} {message}" in error_line(result.out, result.err)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([1, 2], r"lists in 240 of 240 rows, the first of which is row 0 .*: \[1 2\]"),
        ({"a": 1}, "dict in 240 of 240 rows"),
        (datetime.date(2020, 1, 1), r"dates in 240 of 240 rows|dates \(date32"),
        (datetime.time(1), "time in 240 of 240 rows"),
        (pd.Timestamp("2020-01-01"), r"dates \(datetime64"),
        (pd.Timedelta("1 day"), r"dates \(timedelta64"),
    ],
)
def test_values_that_are_no_numbers_or_texts(run, written, value, what):
    path = written(table(odd=[value] * 240), "rows.parquet")
    wanted = {
        ("bought", None): f"the column odd of {path} has {what}.*leave it out with --drop odd",
        ("odd", None): f"--target odd: the column of {path} has {what}.*whole numbers",
        ("bought", "odd"): f"--text odd: the column of {path} has {what}.*allowed are texts",
    }
    for (target, text), message in wanted.items():
        more = () if text is None else ("--text", text)
        result = run(path, "--target", target, *more)
        assert result.code == 1
        assert re.search(message, error_line(result.out, result.err))
    assert run(path, "--target", "bought", "--drop", "odd").code == 0


@pytest.mark.parametrize("value", [b"ab", decimal.Decimal("1.5"), True, None])
def test_other_values_of_parquet(run, written, value):
    path = written(table(odd=[value] * 239 + [None]), "rows.parquet")
    assert run(path, "--target", "bought").code == 0
    if not isinstance(value, (bool, type(None))):
        result = run(path, "--target", "odd")
        line = error_line(result.out, result.err)
        assert line.startswith(f"--target odd: the column of {path} has ")


def test_what_is_told_of_files(run, written, tmp_path):
    for name, content, message in (
        ("empty.csv", b"", "empty.csv is empty"),
        ("header.csv", b"a,b\n", "header.csv has no rows"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "ragged.csv, line 3: 3 fields"),
        ("latin.csv", b"a,b\n1,M\xfcnchen\n", "latin.csv, line 2: the byte 0xfc at offset 7 is"),
        ("bad.parquet", b"nothing", "bad.parquet"),
    ):
        (tmp_path / name).write_bytes(content)
        result = run(str(tmp_path / name), "--target", "b")
        assert result.code == 1
        line = error_line(result.out, result.err)
        assert message in line and "An error occurred while calling" not in line
    for name in ("none.csv", "none.parquet"):
        result = run(str(tmp_path / name), "--target", "b")
        line = error_line(result.out, result.err)
        assert name in line and "An error occurred while calling" not in line


def test_labels_of_libsvm_that_are_not_whole(run, libsvm):
    result = run(libsvm("1 1:2\n0.25 1:3\n0 1:3\n"))
    told = "rows.libsvm has labels that are not whole numbers, the first of which is 0.25 in row 1"
    assert told in error_line(result.out, result.err)


def test_the_row_and_the_partition():
    blocks = [table(5, text="a"), table(0, text="a"), table(4, text="a"), table(3, text="a")]
    blocks[2].loc[[1, 3], "text"] = None
    blocks[3].loc[[0], "text"] = None
    seen = [look_at(each, each["bought"], "text")[0] for each in blocks]
    assert [each.rows for each in seen] == [5, 0, 4, 3]
    with pytest.raises(CommandError, match=r"3 of 12 rows, .* row 6 \(.* in partition 2\)"):
        require_usable(seen, "bought", "text", "file")
    assert require_usable(seen[:2], "bought", "text", "file") == 5
    with pytest.raises(CommandError, match="file has no rows"):
        require_usable(seen[1:2], "bought", "text", "file")
