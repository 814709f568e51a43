import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from sklearn.datasets import load_svmlight_file

TUTORIALS = Path(__file__).parents[1] / "tutorials"
DATA = TUTORIALS / "data"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    runpy.run_path(str(DATA / "make_digits.py"))["write_digits"](folder)
    return folder


@pytest.mark.parametrize(("name", "n_rows"), [("digits.libsvm", 1437), ("digits_test.libsvm", 360)])
def test_files_are_what_the_script_makes(made, name, n_rows):
    assert (DATA / name).read_bytes() == (made / name).read_bytes()
    X, y = load_svmlight_file(str(DATA / name))
    assert X.shape == (n_rows, 64)
    assert set(y) == set(range(10))


@pytest.fixture(scope="module")
def packages():
    return SimpleNamespace(**runpy.run_path(str(TUTORIALS / "words" / "packages.py")))


TOLD = """Package: zoo
Version: 2
Section: contrib/utils
Description: Keeps animals
 which are  many

Package: abc
Description: Caf\u00e9
Section: libs

Package: without-section
Description: Nothing
"""


def test_topics_of_packages(packages):
    found = packages.package_topics(TOLD)
    assert found == [("Café", "libs"), ("Keeps animals which are many", "utils")]


def test_topics_of_docstrings(packages, tmp_path):
    (tmp_path / "tool" / "test").mkdir(parents=True)
    (tmp_path / "single.py").write_text('class A:\n    """A \\d.\n\n    More.\n    """\n')
    (tmp_path / "tool" / "inner.py").write_text("'Of a tool.'\nasync def f():\n    ' '\n")
    (tmp_path / "tool" / "test" / "left_out.py").write_text("'Left out.'\n")
    found = packages.topics_of_docstrings(tmp_path)
    assert found == [("A \\d. More.", "single"), ("Of a tool.", "tool")]


def missing():
    raise FileNotFoundError("apt-cache")


def failing():
    raise subprocess.CalledProcessError(100, "apt-cache")


@pytest.mark.parametrize("found", [missing, failing, list])
def test_without_packages_docstrings_are_the_texts(packages, monkeypatch, found):
    its_names = packages.topics_or_docstrings.__globals__
    monkeypatch.setitem(its_names, "topics_of_docstrings", lambda: [("a", "b")])
    assert packages.topics_or_docstrings(found) == [("a", "b")]
    assert packages.topics_or_docstrings(lambda: [("c", "d")] * 3, least=3) == [("c", "d")] * 3


def test_a_line_is_a_user_a_movie_stars_and_a_time():
    rows = [line.split("::") for line in (DATA / "movielens_sample.txt").read_text().splitlines()]
    assert len(rows) == 1501
    users, movies, stars, _ = zip(*(map(int, row) for row in rows), strict=True)
    assert (set(users), set(movies)) == (set(range(30)), set(range(100)))
    assert set(stars) == {1, 2, 3, 4, 5}
    assert len(set(zip(users, movies, strict=True))) == len(rows)
