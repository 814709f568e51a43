"""dask-ml's Hyperband over scikit-learn's networks: ``python dask_ml_hyperband.py FOLDER``.

Runs in an interpreter that has dask-ml, and imports nothing of ours. dask-ml holds rows out by
itself: it is given all rows, and holds out as many as others do. Prints seconds,
CPU seconds, epochs and the best model's accuracy on test rows.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
from dask_ml.model_selection import HyperbandSearchCV
from distributed import Client, LocalCluster
from sklearn.neural_network import MLPClassifier

WORKERS = 2


def cpu_seconds(client: Client) -> float:
    return time.process_time() + sum(client.run(time.process_time).values())


def main() -> None:
    folder = Path(sys.argv[1])
    about = json.loads((folder / "about.json").read_text())
    train, held, test = (np.load(folder / f"{name}.npz") for name in ("train", "held", "test"))
    drawn = {
        name: [tuple(each) if isinstance(each, list) else each for each in values]
        for name, values in about["drawn"].items()
    }
    with (
        warnings.catch_warnings(),
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        warnings.simplefilter("ignore")
        client.run(__import__, "sklearn.neural_network")
        X, y = (np.concatenate([train[name], held[name]]) for name in "Xy")
        n = len(y)
        began, cpu = time.perf_counter(), cpu_seconds(client)
        search = HyperbandSearchCV(
            MLPClassifier(**about["fixed"]),
            drawn,
            max_iter=about["epochs"],
            aggressiveness=about["factor"],
            test_size=len(held["y"]) / n,
            random_state=0,
        )
        chunks = (n, X.shape[1])
        search.fit(da.from_array(X, chunks=chunks), da.from_array(y, chunks=n), classes=range(10))
        seconds, of_cpus = time.perf_counter() - began, cpu_seconds(client) - cpu
    score = float(search.best_estimator_.score(test["X"], test["y"]))
    calls = int(search.metadata_["partial_fit_calls"])
    print(json.dumps([seconds, of_cpus, calls, score]))


if __name__ == "__main__":
    main()
