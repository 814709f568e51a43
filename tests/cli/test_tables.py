"""Tables in CSV and Parquet: what the command makes of their columns."""

import re

import numpy as np
import pandas as pd
import pytest

from daskml_exec import open_model
from daskml_exec.datasets._tables import is_table
from tests.cli.toolbox import error_line


def table(n=200):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 80, n),
            "size": rng.normal(size=n).round(6),
            "city": rng.choice(["Bonn", "Rome", "Oslo"], n),
            "id": [f"id{i}" for i in range(n)],
        }
    )
    wanted = (frame["age"] - 50) / 10 + frame["size"] * 2 + (frame["city"] == "Rome") * 3
    frame["bought"] = np.where(wanted > 1, "yes", "no")
    return frame


@pytest.fixture
def files(tmp_path):
    frame, paths = table(), {}
    for name, rows in (("train", frame[:150]), ("test", frame[150:])):
        paths[f"{name}.csv"] = str(tmp_path / f"{name}.csv")
        paths[f"{name}.parquet"] = str(tmp_path / f"{name}.parquet")
        rows.to_csv(paths[f"{name}.csv"], index=False)
        rows.to_parquet(paths[f"{name}.parquet"])
    return paths


ABOUT = ("--target", "bought", "--drop", "id")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table(run, files, kind):
    result = run(
        files[f"train.{kind}"], *ABOUT, "--test", files[f"test.{kind}"], "--partitions", "2"
    )
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "data               150 rows x 3 features, as 5 numbers"
    assert lines[1] == "cluster            2 partitions on 2 workers"
    assert "largest, as column:value" in result.out
    assert "city_Rome:" in result.out and "age:" in result.out
    accuracy = next(line for line in lines if line.startswith("test accuracy"))
    assert float(accuracy.split()[-1].rstrip("%")) > 85


def test_a_network(run, files):
    result = run(files["train.csv"], *ABOUT, "--model", "mlp", "--epochs", "2", "--hidden", "4")
    assert result.code == 0
    assert "layers 5-4-1" in result.out


def test_what_is_saved_takes_the_table(run, files, tmp_path):
    saved = str(tmp_path / "model.safetensors")
    assert run(files["train.csv"], *ABOUT, "--save", saved).code == 0
    frame = table()
    columns = frame[["age", "size", "city"]]
    found = open_model(saved).predict(columns)
    assert (found == frame["bought"]).mean() > 0.9
    elsewhere = columns.assign(city="Paris")
    assert len(open_model(saved).predict(elsewhere)) == len(frame)


def test_gaps_between_numbers(run, tmp_path):
    path = tmp_path / "gaps.csv"
    table().assign(size=lambda f: f["size"].where(f["age"] > 30)).to_csv(path, index=False)
    assert run(str(path), *ABOUT).code == 0


NONE_LEFT = [part for name in ("age", "size", "city", "bought") for part in ("--drop", name)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "boght"), "--target boght: .* has no such column; allowed are age, size,"),
        ((*ABOUT, "--drop", "ids"), "--drop ids: .* has no such column"),
        (("--target", "id", *NONE_LEFT), "no column beside id"),
    ],
)
def test_columns_that_are_not_there(run, files, arguments, message):
    result = run(files["train.csv"], *arguments)
    assert result.code == 1
    assert re.search(message, error_line(result.out, result.err))


def test_dates_are_named(run, tmp_path):
    path = tmp_path / "dates.parquet"
    table().assign(day=pd.Timestamp("2020-01-01")).to_parquet(path)
    result = run(str(path), *ABOUT)
    assert result.code == 1
    assert "the column day of" in error_line(result.out, result.err)
    assert "--drop day" in result.err


def test_a_test_file_without_a_column(run, files, tmp_path):
    path = tmp_path / "test.csv"
    table()[["age", "size", "bought"]].to_csv(path, index=False)
    result = run(files["train.csv"], *ABOUT, "--test", str(path))
    assert result.code == 1
    assert "lacks the columns city of the training file" in error_line(result.out, result.err)


def test_wrong_usage(run, files, libsvm):
    for arguments in ([files["train.csv"]], [libsvm(), "--target", "y"]):
        with pytest.raises(SystemExit) as stopped:
            run(*arguments)
        assert stopped.value.code == 2


def test_names_of_files():
    assert all(map(is_table, ("a.csv", "a.CSV.gz", "s3://b/*.parquet", "folder.parquet/", "a.pq")))
    assert not any(map(is_table, ("a.libsvm", "csv", "train-images-idx3-ubyte.gz", "a.csv.zstd")))
