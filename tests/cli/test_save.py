import json
import textwrap
import uuid

import fsspec
import numpy as np
import pytest
from safetensors import safe_open
from sklearn.datasets import load_svmlight_file

from daskml_exec import open_model
from daskml_exec.cli import _parser
from daskml_exec.cli._errors import CommandError
from daskml_exec.cli._save import Destination
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier
from tests.cli.toolbox import ROWS


def test_a_failed_write_leaves_the_old_model(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"an older one")
    destination = Destination(str(path))
    assert path.read_bytes() == b"an older one"

    def no_space(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", no_space)
    with pytest.raises(CommandError, match=r"cannot write --save .*: No space left on device"):
        destination.write(LogisticRegression(), {})
    assert path.read_bytes() == b"an older one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_url():
    url = f"memory://{uuid.uuid4().hex}/model.safetensors"
    fs, path = fsspec.url_to_fs(url)
    destination = Destination(url)
    assert not fs.exists(path)
    destination.write(LogisticRegression(C=2.0), {})
    assert open_model(url).C == 2.0
    assert len(fs.ls(path.rpartition("/")[0])) == 1


def test_where_nothing_can_be_written_nothing_starts(refused, tmp_path):
    missing = tmp_path / "missing" / "model"
    assert refused("x", "--save", str(missing)) == (
        f"cannot write --save {missing}: No such file or directory"
    )
    assert refused("x", "--save", str(tmp_path)).endswith("it is a directory; name a file")
    assert "Protocol not known: nowhere" in refused("x", "--save", "nowhere://model")


def labels_as_the_help_says(model, X):
    """Run the lines that the help has for a model, with the package and without."""
    epilog = _parser._epilog()
    begin = epilog.index("  from daskml_exec import"), epilog.index("  import json")
    opening = epilog[begin[0] : epilog.index("It is a safetensors file")]
    imports, *snippets = epilog[begin[1] :].split("  # --model ")
    [code] = [snippet for snippet in snippets if snippet.startswith(f"{model}\n")]
    names, opened = {"X": X}, {"X": X}
    exec(textwrap.dedent(imports), names)
    exec(textwrap.dedent(code.partition("\n")[2]), names)
    exec(textwrap.dedent(opening), opened)
    np.testing.assert_array_equal(opened["labels"], names["labels"])
    return names["labels"], names["notes"]


@pytest.fixture(params=[2, 3])
def saved(request, run, libsvm, tmp_path, monkeypatch):
    """Train and save; return the rows and labels of as many classes."""
    monkeypatch.chdir(tmp_path)

    def call(first, *argv):
        text = ROWS + ("2 2:5 3:0.5\n" if request.param == 3 else "") + f"1 {first}:1\n"
        assert run(libsvm(text), "--save", "model.safetensors", *argv).code == 0
        return load_svmlight_file("rows.libsvm", zero_based=first == 0)

    return call


@pytest.mark.parametrize("first", [0, 1])
def test_a_saved_model_is_read_as_the_help_says(saved, first):
    X, y = saved(first, "--C", "inf", "--tol", "1e-2")
    labels, notes = labels_as_the_help_says("logistic", X)
    np.testing.assert_array_equal(labels, y)
    # The classes are separable: without a penalty there is no optimum.
    assert notes == {"first_index": first, "converged": False}
    model = open_model("model.safetensors")
    assert model.get_params() == LogisticRegression(C=np.inf, tol=1e-2).get_params()
    assert model.n_features_in_ == X.shape[1] and model.classes_.tolist() == sorted(set(y))
    with safe_open("model.safetensors", framework="numpy") as file:
        assert set(file.keys()) == {"classes_", "coef_", "intercept_", "n_iter_"}
        assert all(json.dumps(json.loads(v)) == v for v in file.metadata().values())


def test_a_saved_network_is_read_as_the_help_says(saved):
    arguments = "--model mlp --hidden 8,4 --epochs 30 --learning-rate 0.05"
    X, y = saved(1, *arguments.split())
    for rows in (X, X.toarray()):
        labels, notes = labels_as_the_help_says("mlp", rows)
        np.testing.assert_array_equal(labels, y)
    assert notes == {"first_index": 1, "converged": False}
    model = open_model("model.safetensors")
    wanted = MLPClassifier((8, 4), max_iter=30, learning_rate_init=0.05, random_state=0)
    assert model.get_params() == wanted.get_params()
    assert model.n_iter_ == 30 and model.classes_.tolist() == sorted(set(y))
    assert [len(intercept) for intercept in model.intercepts_[:-1]] == [8, 4]
