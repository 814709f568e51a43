import runpy
from pathlib import Path

import pytest
from sklearn.datasets import load_svmlight_file

DATA = Path(__file__).parents[1] / "tutorials" / "data"


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
