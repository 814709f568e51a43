import json
import textwrap
import uuid

import fsspec
import numpy as np
import pytest
from safetensors import safe_open
from sklearn.datasets import load_svmlight_file

from daskml_exec.cli import _parser
from daskml_exec.cli._errors import CommandError
from daskml_exec.cli._save import Destination
from tests.cli.toolbox import ROWS


def test_a_model_is_published_whole(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"an older one")
    destination = Destination(str(path))
    assert path.read_bytes() == b"an older one"
    destination.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_model(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"an older one")
    destination = Destination(str(path))

    def no_space(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", no_space)
    with pytest.raises(CommandError, match=r"cannot write --save .*: No space left on device"):
        destination.write(b"new")
    assert path.read_bytes() == b"an older one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_url():
    url = f"memory://{uuid.uuid4().hex}/model.safetensors"
    fs, path = fsspec.url_to_fs(url)
    destination = Destination(url)
    assert not fs.exists(path)
    destination.write(b"model")
    assert fs.cat(path) == b"model"
    assert len(fs.ls(path.rpartition("/")[0])) == 1


def test_where_nothing_can_be_written_nothing_starts(refused, tmp_path):
    missing = tmp_path / "missing" / "model"
    assert refused("x", "--save", str(missing)) == (
        f"cannot write --save {missing}: No such file or directory"
    )
    assert refused("x", "--save", str(tmp_path)).endswith("it is a directory; name a file")
    assert "Protocol not known: nowhere" in refused("x", "--save", "nowhere://model")


def labels_as_the_help_says(model, X):
    """Run the lines that the help has for a model."""
    epilog = _parser._epilog()
    imports, *snippets = epilog[epilog.index("  import json") :].split("  # --model ")
    [code] = [snippet for snippet in snippets if snippet.startswith(f"{model}\n")]
    names = {"X": X}
    exec(textwrap.dedent(imports), names)
    exec(textwrap.dedent(code.partition("\n")[2]), names)
    return names["labels"], names["about"]


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
    labels, about = labels_as_the_help_says("logistic", X)
    np.testing.assert_array_equal(labels, y)
    assert about == {
        "format_version": 1,
        "daskml_exec_version": about["daskml_exec_version"],
        "model": "logistic",
        "classes": sorted(set(y)),
        "n_features": X.shape[1],
        "first_index": first,
        "n_iter": about["n_iter"],
        "converged": False,  # the classes are separable: without a penalty there is no optimum
        "settings": {"solver": "auto", "C": "inf", "tol": 0.01, "max_iter": 2000},
    }
    with safe_open("model.safetensors", framework="numpy") as file:
        assert set(file.keys()) == {"coef", "intercept"}
        assert all(json.dumps(json.loads(v)) == v for v in file.metadata().values())


def test_a_saved_network_is_read_as_the_help_says(saved):
    arguments = "--model mlp --hidden 8,4 --epochs 30 --learning-rate 0.05"
    X, y = saved(1, *arguments.split())
    for rows in (X, X.toarray()):
        labels, about = labels_as_the_help_says("mlp", rows)
        np.testing.assert_array_equal(labels, y)
    n_classes = len(set(y))
    assert about == {
        "format_version": 1,
        "daskml_exec_version": about["daskml_exec_version"],
        "model": "mlp",
        "classes": sorted(set(y)),
        "n_features": 3,
        "first_index": 1,
        "converged": False,
        "layers": [3, 8, 4, 1 if n_classes == 2 else n_classes],
        "activation": "relu",
        "n_epochs": 30,
        "settings": {
            "hidden": [8, 4],
            "epochs": 30,
            "batch_size": "auto",
            "learning_rate": 0.05,
            "shuffle": "rows",
            "sync_every": "auto",
            "compression": "none",
            "seed": 0,
        },
    }
    with safe_open("model.safetensors", framework="numpy") as file:
        assert set(file.keys()) == {f"{name}_{k}" for name in ("coef", "intercept") for k in "012"}
