import numpy as np
import pytest
from sklearn.datasets import load_iris

from daskml_exec import Executor


@pytest.fixture(scope="module", autouse=True)
def executor():
    """The cluster that every test of a module trains on."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture(params=[2, 3], ids=["binary", "multinomial"])
def iris(request):
    """Rows, string labels and weights of two or three species, mixed."""
    return mixed(request.param)


@pytest.fixture
def species():
    """Rows, string labels and weights of three species, where two would go the same way."""
    return mixed(3)


def mixed(n_species):
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(np.flatnonzero(y < n_species))
    species = np.array(["setosa", "versicolor", "virginica"])
    return X[order], species[y[order]], np.random.default_rng(1).exponential(size=len(order))
