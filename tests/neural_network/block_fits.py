"""Small data, and networks cut into blocks that train on it."""

import contextlib
from itertools import pairwise

import dask.array as da
import numpy as np
import scipy.sparse as sp
from distributed import Client, LocalCluster

from daskml_exec import Executor
from daskml_exec.neural_network import MLPClassifier, MLPRegressor

N, D = 150, 5
RNG = np.random.default_rng(3)
X = np.where(RNG.random((N, D)) < 0.3, 0.0, RNG.standard_normal((N, D)))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0, 0.3] + 0.1 * RNG.standard_normal(N)
CODES = np.digitize(NUMBERS, [-1.0, 1.0])
WEIGHT = RNG.integers(0, 3, N) * RNG.uniform(0.5, 2.0, N)  # a third of them are zero
TARGETS = {"classes": CODES, "two classes": np.minimum(CODES, 1), "numbers": NUMBERS}
SHARED = {"hidden_layer_sizes": (7, 6), "batch_size": 32, "max_iter": 3, "random_state": 4}


def network(target="classes", **arguments):
    kind = MLPRegressor if target == "numbers" else MLPClassifier
    return kind(**SHARED | arguments)


def model_parallel(target="classes", n_blocks=3, **arguments):
    return network(target, parallel="model", n_blocks=n_blocks, **arguments)


def in_chunks(X, *lengths):
    """Return X as a Dask array with chunks of so many rows."""
    kind = sp.csr_array if sp.issparse(X) else np.asarray
    bounds = np.cumsum([0, *lengths])
    pieces = [
        da.from_array(kind(X[a:b]), chunks=(-1, -1), asarray=False) for a, b in pairwise(bounds)
    ]
    return da.concatenate(pieces)


def parts(model):
    return [*model.coefs_, *model.intercepts_]


def bits(model):
    return b"".join(part.tobytes() for part in parts(model))


def distance(model, other):
    """Largest difference of any weight from its counterpart."""
    return max(abs(a - b).max() for a, b in zip(parts(model), parts(other), strict=True))


CHUNKS = (60, 50, 40)


def blocks(**arguments):
    return model_parallel(n_blocks=4, **arguments)


def replicas(**arguments):
    return network(parallel="hybrid", n_blocks=2, n_replicas=2, sync_every=2, **arguments)


def fit(model):
    return model.fit(in_chunks(X, *CHUNKS), TARGETS["classes"])


@contextlib.contextmanager
def threads(n_workers):
    """A cluster of one-thread workers of this process, and an Executor that fits run on."""
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        Executor(client) as executor,
    ):
        yield cluster, executor
