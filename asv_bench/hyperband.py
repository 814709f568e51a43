"""Hyperband over networks 784-h-10 on Fashion-MNIST, beside its peers.

::

    cd asv_bench
    python -m hyperband                                 # Debian's dataset-fashion-mnist
    python -m hyperband --dask-ml PYTHON                # an interpreter that has dask-ml
    python -m hyperband --sides halving hyperband whole sklearn --pairs 3

All sides draw from the same lists: units of the hidden layer, learning rate and penalty; rows that
are held out score, and are the same for all. "halving" is `SuccessiveHalvingSearchCV` over
``--candidates`` networks and "hyperband" `HyperbandSearchCV`, both on two worker processes.
"whole" fits the candidates of "halving" one after another with our `MLPClassifier`, "sklearn" with
scikit-learn's, each to all epochs, in this process. dask-ml's `HyperbandSearchCV` is on two
worker processes, too, with scikit-learn's networks, whose `partial_fit` is a pass over one chunk;
it has one chunk of all rows, so that a call is an epoch, and holds out as many rows of its own,
for which it is given those held out, too. Sides take turns; printed are seconds, CPU seconds of all
processes, epochs, the accuracy of the best model on test rows that no side has seen, and both kinds
of seconds of peers over those of the first side: where the machine has other work to do, those of
the CPU say more.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier

from daskml_exec import Executor
from daskml_exec.model_selection import HyperbandSearchCV, SuccessiveHalvingSearchCV
from daskml_exec.neural_network import MLPClassifier
from peers import images

WORKERS = 2
DRAWN = {
    "hidden_layer_sizes": [(32,), (64,), (128,), (256,)],
    "learning_rate_init": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
    "alpha": [1e-6, 1e-4, 1e-2],
}
FIXED = {"batch_size": 128, "random_state": 0}
FACTOR = 3

Found = tuple[int, float]
"""Epochs of all candidates, and the score of the best model on rows that no side has seen."""


class Study:
    """What all sides are given.

    Parameters
    ----------
    rows : int
        To train on and to hold out, one in six.
    max_epochs, candidates : int
    synthetic : bool
        Whether images are drawn.
    """

    def __init__(self, rows: int, max_epochs: int, candidates: int, synthetic: bool) -> None:
        whole = images.synthetic(rows) if synthetic else images.fashion_mnist("train")[:rows]
        cut = len(whole.y) // 6
        self.held = whole.X[:cut], whole.y[:cut]
        self.X, self.y = whole.X[cut:], whole.y[cut:]
        test = images.synthetic(rows, seed=2) if synthetic else images.fashion_mnist("t10k")
        self.test = test.X, test.y
        self.max_epochs, self.candidates = max_epochs, candidates

    def ours(self, search: Any) -> Found:
        search.set_params(max_epochs=self.max_epochs, factor=FACTOR, validation=self.held)
        search.fit(self.X, self.y)
        return _epochs(search), float(search.best_estimator_.score(*self.test))

    def halving(self) -> Found:
        return self.ours(self.plan())

    def plan(self) -> SuccessiveHalvingSearchCV:
        return SuccessiveHalvingSearchCV(
            MLPClassifier(**FIXED), DRAWN, n_candidates=self.candidates, random_state=0
        )

    def hyperband(self) -> Found:
        return self.ours(HyperbandSearchCV(MLPClassifier(**FIXED), DRAWN, random_state=0))

    def params(self) -> list[dict[str, Any]]:
        """Return the candidates of "halving"."""
        search = self.plan().set_params(validation=(self.X[:500], self.y[:500]), max_epochs=1)
        search.set_params(min_epochs=1, factor=FACTOR).fit(self.X[:500], self.y[:500])
        found: list[dict[str, Any]] = search.cv_results_["params"]
        return found

    def one_by_one(self, kind: Any, **options: Any) -> Found:
        """Fit all candidates to the last epoch, each after the one before."""
        scores, models = [], []
        for params in self.params():
            given = {**FIXED, **params, **options, "max_iter": self.max_epochs}
            model = kind(**given, n_iter_no_change=np.inf, tol=0.0)
            models.append(model.fit(self.X, self.y))
            scores.append(model.score(*self.held))
        best = models[int(np.argmax(scores))]
        return len(scores) * self.max_epochs, float(best.score(*self.test))

    def whole(self) -> Found:
        return self.one_by_one(MLPClassifier)

    def sklearn(self) -> Found:
        return self.one_by_one(SklearnMLPClassifier)


def _epochs(search: Any) -> int:
    """Return the epochs of all candidates, of which the last rung of each counts all."""
    return sum({record.candidate: record.epochs for record in search.history_}.values())


Run = tuple[float, float, Found]
"""Seconds, those of CPUs, and what was found."""


def dask_ml(python: str, study: Study) -> Callable[[], Run]:
    """Return what runs dask-ml's search in its own interpreter, which says how long it took."""

    def run() -> Run:
        with tempfile.TemporaryDirectory() as folder:
            for name, rows in (
                ("train", (study.X, study.y)),
                ("held", study.held),
                ("test", study.test),
            ):
                np.savez(Path(folder) / f"{name}.npz", X=rows[0], y=rows[1])
            about = {"drawn": DRAWN, "fixed": FIXED, "epochs": study.max_epochs, "factor": FACTOR}
            (Path(folder) / "about.json").write_text(json.dumps(about))
            script = Path(__file__).parent / "peers" / "dask_ml_hyperband.py"
            done = subprocess.run([python, script, folder], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"dask-ml: {done.stderr[-2000:]}")
        seconds, cpu, epochs, score = json.loads(done.stdout.splitlines()[-1])
        return seconds, cpu, (epochs, score)

    return run


def timed(search: Callable[[], Found]) -> Run:
    began, cpu = time.perf_counter(), cpu_seconds()
    found = search()
    return time.perf_counter() - began, cpu_seconds() - cpu, found


def cpu_seconds() -> float:
    """Return those of Workers and of this process so far."""
    workers = Executor.current().client.run(time.process_time)
    return time.process_time() + float(sum(workers.values()))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--max-epochs", type=int, default=27)
    parser.add_argument("--candidates", type=int, default=27)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--sides", nargs="+", default=["halving", "hyperband", "whole"])
    parser.add_argument("--dask-ml", help="an interpreter that has dask-ml")
    parser.add_argument("--synthetic", action="store_true", help="images that are drawn")
    given = parser.parse_args(arguments)
    study = Study(given.rows, given.max_epochs, given.candidates, given.synthetic)
    sides = {name: lambda name=name: timed(getattr(study, name)) for name in given.sides}
    if given.dask_ml:
        sides["dask-ml"] = dask_ml(given.dask_ml, study)
    print(
        f"{len(study.y):,} rows, {len(study.held[1]):,} held out, {study.max_epochs} epochs",
        flush=True,
    )
    taken: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    found: dict[str, Found] = {}
    with Executor(n_workers=WORKERS, threads_per_worker=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # networks that have not converged
        study.params()  # workers import what they need, and compile it
        for _ in range(given.pairs):
            for name, run in sides.items():
                seconds, of_cpus, found[name] = run()
                taken[name].append(seconds)
                cpu[name].append(of_cpus)
                print(f"  {name} {seconds:.2f} s, CPU {of_cpus:.2f} s", file=sys.stderr, flush=True)
    first = next(iter(sides))
    for name, seconds in taken.items():
        epochs, score = found[name]
        median, of_cpus = statistics.median(seconds), statistics.median(cpu[name])
        times = median / statistics.median(taken[first])
        cpu_times = of_cpus / statistics.median(cpu[first])
        print(
            f"{name:>10}: {median:7.2f} s ({min(seconds):.2f} - {max(seconds):.2f}), CPU "
            f"{of_cpus:.2f} s, {epochs:5,} epochs, test score {score:.4f}, {times:5.1f} times "
            f"{first}'s time, {cpu_times:.1f} times its CPU time",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
