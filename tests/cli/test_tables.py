"""Tables in CSV and Parquet: what the command makes of their columns."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction import text
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline

from daskml_exec import open_model
from daskml_exec.datasets._tables import is_table
from daskml_exec.linear_model import LogisticRegression as ours
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


@pytest.mark.parametrize("asked", ["predict", "score"])
def test_test_rows_are_predicted_once(run, files, monkeypatch, asked):
    rows, method = [], getattr(ours, asked)

    def counted(self, X, *others):
        rows.append(len(X))
        return method(self, X, *others)

    monkeypatch.setattr(ours, asked, counted)
    assert run(files["train.csv"], *ABOUT, "--test", files["test.csv"]).code == 0
    assert rows == {"predict": [50], "score": [150]}[asked]


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


def reviews(n=240):
    """A table with a column of texts, whose labels are in the words and in the numbers."""
    rng = np.random.default_rng(0)
    words = np.array(["age", "fast", "slow", "good", "bad", "kind", "cold", "warm"])
    told = rng.random((n, len(words))) < 0.5
    texts = [" ".join(["it", "is", *words[row]]) for row in told]
    price, shop = rng.normal(size=n).round(3), rng.choice(["Bonn", "Rome"], n)
    frame = pd.DataFrame({"id": np.arange(n), "text": texts, "age": price, "shop": shop})
    liked = 3.0 * told[:, 3] - 3.0 * told[:, 4] + 2 * price
    return frame.assign(stars=np.select([liked > 1, liked < -1], ["five", "one"], "three"))


@pytest.fixture
def texts(tmp_path):
    paths = {}
    for kind in ("csv", "parquet"):
        for name, rows in (("train", reviews()[:180]), ("test", reviews()[180:])):
            paths[f"{name}.{kind}"] = path = str(tmp_path / f"{name}.{kind}")
            rows.to_csv(path, index=False) if kind == "csv" else rows.to_parquet(path)
    return paths


OF_TEXTS = ("--target", "stars", "--text", "text")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_words_of_a_column(run, texts, tmp_path, kind):
    saved = str(tmp_path / "model.safetensors")
    dropped = [part for name in ("id", "age", "shop") for part in ("--drop", name)]
    arguments = (*OF_TEXTS, *dropped, "--partitions", "3", "--C", "10", "--save", saved)
    result = run(texts[f"train.{kind}"], *arguments, "--test", texts[f"test.{kind}"])
    assert result.code == 0, result.err
    assert "180 rows x 1 features, as 10 numbers" in result.out
    assert "words__good:" in result.out
    frame = reviews()
    theirs = make_pipeline(
        text.TfidfVectorizer(),
        LogisticRegression(C=10, solver="newton-cg", tol=1e-10, max_iter=1000),
    ).fit(frame["text"][:180], frame["stars"][:180])
    opened = open_model(saved)
    np.testing.assert_allclose(opened[-1].coef_, theirs[-1].coef_, atol=1e-4)
    tested = frame[180:]
    found = opened.predict(tested)
    accuracy, table = np.mean(found == tested["stars"]), confusion_matrix(tested["stars"], found)
    assert f"test accuracy      {accuracy:.2%}" in result.out
    lines = result.out.splitlines()
    start = lines.index("rows of the test file by label: true downwards, predicted across")
    assert lines[start + 1].split() == ["five", "one", "three"]
    assert [line.split()[1:] for line in lines[start + 2 : start + 5]] == table.astype(str).tolist()


def test_words_beside_numbers_and_categories(run, texts, tmp_path):
    saved = str(tmp_path / "model.safetensors")
    arguments = (*OF_TEXTS, "--drop", "id", "--C", "100", "--save", saved)
    result = run(texts["train.csv"], *arguments, "--test", texts["test.csv"])
    assert "180 rows x 3 features, as 13 numbers" in result.out
    # The word and the column of numbers have one name.
    names = set(open_model(saved)[0].get_feature_names_out())
    assert {"words__age", "numbers__age", "texts__shop_Rome"} < names
    accuracy = next(line for line in result.out.splitlines() if line.startswith("test accuracy"))
    assert float(accuracy.split()[-1].rstrip("%")) > 75
    assert (open_model(saved).predict(reviews()) == reviews()["stars"]).mean() > 0.75


def test_a_network_of_words(run, texts):
    result = run(texts["train.csv"], *OF_TEXTS, "--model", "mlp", "--epochs", "2", "--hidden", "4")
    assert result.code == 0
    assert "layers 14-4-3" in result.out


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_row_without_text_is_named(run, texts, tmp_path, kind):
    frame = reviews()[:180]
    frame.loc[[100, 150], "text"] = None
    path = tmp_path / f"gaps.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path, row_group_size=60)
    told = "has no text in 2 of 180 rows, the first of which is row 100 (counted from 0; in"
    result = run(str(path), *OF_TEXTS)
    assert result.code == 1
    assert f"--text text: {path} {told} partition" in error_line(result.out, result.err)
    result = run(texts[f"train.{kind}"], *OF_TEXTS, "--test", str(path))
    assert result.code == 1
    assert f"--text text: --test {path} {told}" in error_line(result.out, result.err)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("age", r"the column of .* has numbers \(float64\); allowed are texts"),
        ("x", "no such column"),
    ],
)
def test_a_column_that_has_no_texts(run, texts, column, message):
    result = run(texts["train.csv"], "--target", "stars", "--text", column)
    assert result.code == 1
    assert re.search(f"--text {column}: .*{message}", error_line(result.out, result.err))


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
    table = files["train.csv"]
    for arguments in (
        [table],
        [libsvm(), "--target", "y"],
        [libsvm(), "--text", "y"],
        [table, "--target", "bought", "--text", "bought"],
        [table, "--target", "bought", "--drop", "id", "--drop", "bought"],
        [table, "--target", "bought", "--text", "id", "--drop", "id"],
    ):
        with pytest.raises(SystemExit) as stopped:
            run(*arguments)
        assert stopped.value.code == 2


def test_names_of_files():
    assert all(map(is_table, ("a.csv", "a.CSV.gz", "s3://b/*.parquet", "folder.parquet/", "a.pq")))
    assert not any(map(is_table, ("a.libsvm", "csv", "train-images-idx3-ubyte.gz", "a.csv.zstd")))
