"""Who trains on Fashion-MNIST, on which rows, and in what order they lie in the partitions."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier

from daskml_exec import Executor
from daskml_exec.neural_network import MLPClassifier
from peers import ours
from peers.accuracy import Contender, Fit, Scored
from peers.images import Images
from peers.network_work import HIDDEN
from peers.other_interpreter import Server

PARTITIONS = 4
BATCH = 128


@dataclass(frozen=True)
class Study:
    """The training rows in one random order, the last of them for validation; and the test rows."""

    train: Images
    test: Images
    validation_rows: int
    epochs: int

    def part(self, name: str) -> tuple[Images, Images]:
        """Return what to fit and what to score."""
        if name == "test":
            return self.train, self.test
        return self.train[: -self.validation_rows], self.train[-self.validation_rows :]

    def ranges(self, name: str) -> dict[str, tuple[int, int]]:
        """Return the same as row ranges of `rows`."""
        n, kept = self.train.rows, self.train.rows - self.validation_rows
        if name == "test":
            return {"fit": (0, n), "score": (n, n + self.test.rows)}
        return {"fit": (0, kept), "score": (kept, n)}

    def rows(self) -> Images:
        """Return the training rows, then the test rows."""
        both = (self.train, self.test)
        return Images(np.concatenate([i.X for i in both]), np.concatenate([i.y for i in both]))

    @property
    def arguments(self) -> dict[str, Any]:
        """What both MLPClassifiers are told."""
        return {
            "hidden_layer_sizes": (HIDDEN,),
            "batch_size": BATCH,
            "max_iter": self.epochs,
            "n_iter_no_change": 1000,  # no fit ends sooner
        }


def study(train: Images, test: Images, validation_rows: int, epochs: int) -> Study:
    order = np.random.default_rng(0).permutation(train.rows)
    return Study(train[order], test, validation_rows, epochs)


def daskml_exec(
    executor: Executor,
    study: Study,
    what: str,
    arguments: Mapping[str, Any],
    *,
    partitions: int = PARTITIONS,
    by_label: bool = False,
) -> Contender:
    """Ours with these arguments; `by_label` sorts the rows before they are cut."""

    @contextmanager
    def on(name: str) -> Iterator[Fit]:
        rows, scored = study.part(name)
        if by_label:
            rows = rows[np.argsort(rows.y, kind="stable")]
        X, y = ours.persisted(executor, rows, partitions)
        make = partial(MLPClassifier, **study.arguments, **arguments)
        yield partial(_fitted, make, X, y, scored)

    named = ", ".join(f"{name}={value}" for name, value in arguments.items()) or "default"
    cut = "" if partitions == PARTITIONS else f", {partitions} partition"
    return Contender(what, f"daskml_exec {named}{cut}", on)


def scikit_learn(study: Study, what: str) -> Contender:
    @contextmanager
    def on(name: str) -> Iterator[Fit]:
        rows, scored = study.part(name)
        make = partial(SklearnMLPClassifier, **study.arguments)
        yield partial(_fitted, make, rows.X, rows.y, scored)

    return Contender(what, "scikit-learn", on)


def pytorch(server: Server, study: Study, what: str) -> Contender:
    """A server that holds `study.rows()`."""

    @contextmanager
    def on(name: str) -> Iterator[Fit]:
        what = {"task": "mlp", "optimiser": "Adam"}
        request = {**what, "epochs": study.epochs, "batch": BATCH, **study.ranges(name)}

        def fit(rate: float, seed: int) -> Scored:
            answer = server.ask({**request, "rate": rate, "seed": seed})
            return Scored(answer["score"], sum(answer["seconds"]))

        yield fit

    return Contender(what, "PyTorch", on)


def _fitted(
    make: Callable[..., Any], X: Any, y: Any, scored: Images, rate: float, seed: int
) -> Scored:
    model = make(learning_rate_init=rate, random_state=seed)
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Epochs are as many as asked for, and rows sorted by label are sorted on purpose.
        for category in (ConvergenceWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        model.fit(X, y)
    seconds = time.perf_counter() - started
    accuracy = float(np.mean(np.asarray(model.predict(scored.X)) == scored.y))
    history = getattr(model, "history_", None)
    return Scored(accuracy, seconds, None if history is None else history.bytes)
