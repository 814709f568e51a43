"""A worker process killed in a search by halving leaves all scores and the model as they were."""

import dask
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.model_selection import HyperbandSearchCV
from daskml_exec.neural_network import MLPClassifier
from tests.failures.test_lost_workers import kill

RNG = np.random.default_rng(6)
X = RNG.standard_normal((400, 5))
Y = (X @ [1.0, -2.0, 0.5, 0.0, 0.3] > 0).astype(int)
DRAWN = {"hidden_layer_sizes": [(2,), (4,), (8,)], "learning_rate_init": [1e-3, 1e-2, 0.1]}
COPIED = {"side by side": "512MiB", "one after another": 0}


def search(**arguments):
    return HyperbandSearchCV(
        MLPClassifier(batch_size=50), DRAWN, max_epochs=9, random_state=0, **arguments
    )


def facts(found):
    told = [(r.epochs, r.candidate, r.score, r.loss) for r in found.history_]
    return told, b"".join(piece.tobytes() for piece in found.best_estimator_.coefs_)


@pytest.mark.parametrize(
    "way", ["side by side", pytest.param("one after another", marks=pytest.mark.slow)]
)
def test_killed_between_two_candidates(way):
    # Of 16 kB in four partitions, so that those of a lost Worker have to be had again.
    config = {"daskml-exec.search-copied-bytes": COPIED[way], "daskml-exec.partition-bytes": 4000}
    with dask.config.set(config):
        with Executor(processes=False, n_workers=1):
            expected = facts(search().fit(X, Y))
        with Executor(n_workers=2) as executor:
            told, killed = [], []

            def kill_one(record):
                told.append(record)
                if len(told) in (2, 12):
                    executor.client.wait_for_workers(2)
                    killed.append(executor.workers()[0].address)
                    kill(executor, killed[-1])

            found = search(callbacks=[kill_one]).fit(X, Y)
            assert way in found.explain().plan
            assert len(set(killed)) == 2
    assert facts(found) == expected
