"""Who trains the network of the `network` case, and the bound that the machine sets."""

import itertools
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from threadpoolctl import threadpool_limits

from daskml_exec.neural_network import MLPClassifier
from peers.images import Images
from peers.network_compare import Epoch, Setting, SettingFailedError, Trainer
from peers.network_work import EPOCHS, HIDDEN, WARM_UP, epoch_flops, steady
from peers.other_interpreter import TENSORFLOW, TORCH, Server, running
from peers.sgemm import Multipliers

BATCH = 128
RATE = 1e-3
PROCESSES = 2

_COMMON: dict[str, Any] = {
    "hidden_layer_sizes": (HIDDEN,),
    "learning_rate_init": RATE,
    "max_iter": EPOCHS,
    "n_iter_no_change": 100,  # no fit ends sooner
    "random_state": 0,
}


def ours(X: Any, y: Any, batch: int) -> Trainer:
    """Averaged once an epoch; `batch` rows a step in all partitions together."""
    return Trainer(
        "daskml_exec", ({"batch_size": batch, "sync_every": "epoch"},), partial(_our_epoch, X, y)
    )


def scikit_learn(images: Images) -> Trainer:
    """In this process, on its own or both threads of BLAS."""
    settings = tuple({"batch_size": BATCH, "threads": threads} for threads in (2, 1))
    return Trainer("scikit-learn", settings, partial(_sklearn_epoch, images))


@contextmanager
def pytorch(images: Images) -> Iterator[list[Trainer]]:
    with running(TORCH, images) as server:
        epoch = partial(_served_epoch, server, {"task": "mlp", "optimiser": "Adam"})
        loops = ({"threads": 2}, {"threads": 1}, {"threads": 1, "compile": True})
        yield [
            Trainer("PyTorch", loops, epoch),
            Trainer("PyTorch DDP, gloo", ({"processes": PROCESSES},), epoch),
        ]


@contextmanager
def tensorflow(images: Images) -> Iterator[list[Trainer]]:
    with running(TENSORFLOW, images) as server:
        settings = tuple(
            {"jit": jit, "whole_epochs": whole} for whole in (False, True) for jit in (False, True)
        )
        yield [Trainer("TensorFlow, 2 threads", settings, partial(_served_epoch, server, {}))]


def products(rows: int, multipliers: Multipliers, seconds: float) -> Trainer:
    """The matrix products of an epoch alone, as fast as NumPy multiplies in so many processes."""
    return Trainer(
        "the products alone (float32 NumPy)",
        ({"processes": PROCESSES},),
        lambda _: Epoch(epoch_flops(rows) / multipliers.flops(seconds)),
        trains=False,
    )


def _our_epoch(X: Any, y: Any, setting: Setting) -> Epoch:
    times: list[float] = []
    model = MLPClassifier(
        **_COMMON, **setting, callbacks=[lambda event: times.append(time.perf_counter())]
    )
    _fit(model, X, y)
    counted = model.history_[-(EPOCHS - WARM_UP) :]
    computing = sum(record.busiest_seconds for record in counted)
    return Epoch(_between(times), computing / sum(record.seconds for record in counted))


class _TimedMLPClassifier(SklearnMLPClassifier):
    """Notes when epochs end. Calling `partial_fit` for each would have the rows checked again."""

    def _update_no_improvement_count(self, *arguments: Any) -> None:
        super()._update_no_improvement_count(*arguments)
        self.times_ = [*getattr(self, "times_", []), time.perf_counter()]


def _sklearn_epoch(images: Images, setting: Setting) -> Epoch:
    with threadpool_limits(setting["threads"], user_api="blas"):
        model = _TimedMLPClassifier(**_COMMON, batch_size=setting["batch_size"])
        _fit(model, images.X, images.y)
    return Epoch(_between(model.times_))


def _served_epoch(server: Server, task: Setting, setting: Setting) -> Epoch:
    common = {"epochs": EPOCHS, "batch": BATCH, "rate": RATE, "seed": 0, **task}
    answer = server.ask({**common, **setting})
    if "failed" in answer:
        raise SettingFailedError(answer["failed"])
    return Epoch(steady(answer["seconds"]))


def _fit(model: Any, X: Any, y: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)


def _between(ends: list[float]) -> float:
    """Return the seconds of an epoch from the times at which the last of them ended."""
    ends = ends[-EPOCHS:]
    # The first epoch began before the first of these times, and is among those not counted.
    return steady([0.0, *(after - before for before, after in itertools.pairwise(ends))])
