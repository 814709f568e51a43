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


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_saved_model_is_read_as_the_help_says(run, libsvm, tmp_path, monkeypatch, first, classes):
    monkeypatch.chdir(tmp_path)
    text = ROWS + ("2 2:5 3:0.5\n" if classes == 3 else "") + (f"1 {first}:1\n")
    assert run(libsvm(text), "--save", "model.safetensors", "--C", "inf", "--tol", "1e-2").code == 0

    epilog = _parser._TRAIN_EPILOG
    code = textwrap.dedent(epilog[epilog.index("  import json") :])
    X, y = load_svmlight_file("rows.libsvm", zero_based=first == 0)
    names = {"X": X}
    exec(code, names)
    np.testing.assert_array_equal(names["labels"], y)
    assert names["about"] == {
        "format_version": 1,
        "daskml_exec_version": names["about"]["daskml_exec_version"],
        "model": "logistic",
        "classes": sorted(set(y)),
        "n_features": X.shape[1],
        "first_index": first,
        "n_iter": names["about"]["n_iter"],
        "converged": True,
        "settings": {"solver": "auto", "C": "inf", "tol": 0.01, "max_iter": 2000},
    }
    with safe_open("model.safetensors", framework="numpy") as file:
        assert set(file.keys()) == {"coef", "intercept"}
        assert all(json.dumps(json.loads(v)) == v for v in file.metadata().values())
