"""The worked example: a 784-128-10 network with Adam on images in four splits."""

import gzip
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.neural_network import MLPClassifier

# Debian's package dataset-fashion-mnist puts it there.
FOLDER = Path("/usr/share/datasets/fashion-mnist")


def read(name, header, shape):
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{path} is absent: apt-get install dataset-fashion-mnist")
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header).reshape(shape)


@pytest.mark.filterwarnings("ignore:.*has not converged", "ignore:Sending large graph")
def test_a_network_of_four_splits_learns_to_tell_clothes_apart():
    train = read("train-images-idx3-ubyte.gz", 16, (-1, 784))
    test = read("t10k-images-idx3-ubyte.gz", 16, (-1, 784))
    labels = read("train-labels-idx1-ubyte.gz", 8, -1)
    test_labels = read("t10k-labels-idx1-ubyte.gz", 8, -1)
    X, X_test = (
        da.from_array(images / np.float32(255), chunks=(len(images) // 4, 784))
        for images in (train, test)
    )
    with Executor(processes=False, n_workers=2):
        model = MLPClassifier((128,), max_iter=3, random_state=0).fit(X, labels)
        accuracy = model.score(X_test, test_labels)
    assert model.history_.n_partitions == 4 and model.coefs_[0].dtype == np.float32
    assert accuracy > 0.84
