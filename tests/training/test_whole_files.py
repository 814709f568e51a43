import uuid

import fsspec
import pytest

from daskml_exec.training import check_writable
from daskml_exec.training._whole_files import read_whole, write_whole


def test_what_is_there_is_replaced_whole(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"an older one")
    check_writable(path)
    assert path.read_bytes() == b"an older one"
    write_whole(path, b"new")
    assert path.read_bytes() == read_whole(str(path)) == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_is_there(tmp_path, monkeypatch, error):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"an older one")

    def fails(source, target):
        raise error

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    assert path.read_bytes() == b"an older one"
    assert list(tmp_path.iterdir()) == [path]


def test_other_file_systems():
    url = f"memory://{uuid.uuid4().hex}/model.safetensors"
    fs, path = fsspec.url_to_fs(url)
    check_writable(url)
    assert not fs.exists(path)
    write_whole(url, b"model")
    assert read_whole(url) == b"model"
    assert len(fs.ls(path.rpartition("/")[0])) == 1


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        check_writable(tmp_path / "missing" / "model")
    for function in (check_writable, lambda url: write_whole(url, b"")):
        with pytest.raises(IsADirectoryError, match="it is a directory; name a file"):
            function(str(tmp_path))
    with pytest.raises(ValueError, match="Protocol not known: nowhere"):
        check_writable("nowhere://model")
