"""A multi-layer perceptron on the command line."""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.cli._columns import Columns
from daskml_exec.cli._models._kind import require
from daskml_exec.cli._text import count
from daskml_exec.neural_network import MLPClassifier
from daskml_exec.training import Callback
from daskml_exec.training.compression import codec_named

_DEFAULTS = MLPClassifier()


@dataclass(frozen=True)
class Mlp:
    """`ModelKind` of `MLPClassifier`."""

    hidden: tuple[int, ...] = tuple(np.atleast_1d(_DEFAULTS.hidden_layer_sizes).tolist())
    epochs: int = _DEFAULTS.max_iter
    batch_size: Any = _DEFAULTS.batch_size
    learning_rate: float = _DEFAULTS.learning_rate_init
    shuffle: str = "rows"
    sync_every: Any = _DEFAULTS.sync_every
    compression: str = "none"
    seed: int = 0

    name: ClassVar[str] = "mlp"
    about: ClassVar[str] = "multi-layer perceptron: ReLU layers, trained by Adam"
    # A number of epochs is asked for, and a loss that could go on falling is no surprise.
    usual_warnings: ClassVar[tuple[type[Warning], ...]] = (ConvergenceWarning,)
    reading: ClassVar[str] = """\
with safe_open("model.safetensors", framework="numpy") as file:
    layers = range(sum(name.startswith("coefs_") for name in file.keys()))
    coefs = [file.get_tensor(f"coefs_[{k}]") for k in layers]
    intercepts = [file.get_tensor(f"intercepts_[{k}]") for k in layers]
    classes = file.get_tensor("classes_")
inputs = X
for coef, intercept in zip(coefs[:-1], intercepts[:-1]):
    inputs = np.maximum(inputs @ coef + intercept, 0)
margins = inputs @ coefs[-1] + intercepts[-1]
if len(classes) == 2:                   # one margin, that of the second class
    margins = np.hstack([-margins, margins])
labels = classes[margins.argmax(axis=1)]
"""

    @classmethod
    def add_options(cls, group: "argparse._ArgumentGroup") -> None:
        group.add_argument(
            "--hidden",
            type=_units,
            metavar="N[,N...]",
            help="units of each hidden layer (default: "
            f"{','.join(str(units) for units in cls.hidden)})",
        )
        group.add_argument(
            "--epochs",
            type=int,
            metavar="N",
            help="passes over the rows at most; fewer if for ten of them the loss has not fallen "
            f"(default: {cls.epochs})",
        )
        group.add_argument(
            "--batch-size",
            type=_count_or("auto"),
            metavar="N",
            help="rows of a step over all partitions together, in each of them 16 at least; auto "
            f"is 200 (default: {cls.batch_size})",
        )
        group.add_argument(
            "--learning-rate",
            type=float,
            metavar="X",
            help=f"step size of Adam (default: {cls.learning_rate})",
        )
        group.add_argument(
            "--shuffle",
            choices=["rows", "partitions"],
            help="rows: every partition shuffles its own in each epoch; partitions: the rows are "
            "first dealt anew over the partitions, for a FILE that is sorted "
            f"(default: {cls.shuffle})",
        )
        group.add_argument(
            "--sync-every",
            type=_count_or("auto", "epoch"),
            metavar="N",
            help="steps between two averages of the local models; auto is a quarter of an epoch, "
            "of fewer than ten epochs a fortieth of all, but 16 at least, and epoch is all of it "
            f"(default: {cls.sync_every})",
        )
        group.add_argument(
            "--compression",
            metavar="CODEC",
            help="of what travels: none, fp16, or topk:SHARE, which sends that share of the "
            f"entries, such as topk:0.01 (default: {cls.compression})",
        )
        group.add_argument(
            "--seed",
            type=int,
            metavar="N",
            help="for the first weights and the order of the rows: the same partitions and seed "
            f"give the same bits (default: {cls.seed})",
        )

    def check(self) -> None:
        whole = "integers from 1"
        require(min(self.hidden) >= 1, "hidden", ",".join(map(str, self.hidden)), whole)
        require(self.epochs >= 1, "epochs", self.epochs, whole)
        require(_is_word_or_positive(self.batch_size), "batch_size", self.batch_size, whole)
        require(_is_word_or_positive(self.sync_every), "sync_every", self.sync_every, whole)
        rate = self.learning_rate
        require(0 < rate < math.inf, "learning_rate", rate, "finite numbers above 0")
        require(
            _is_codec(self.compression),
            "compression",
            self.compression,
            "none, fp16, and topk:SHARE with a SHARE above 0 and at most 1",
        )
        require(0 <= self.seed < 2**32, "seed", self.seed, f"integers from 0 to {2**32 - 1}")

    def estimator(self, callbacks: list[Callback]) -> MLPClassifier:
        return MLPClassifier(
            self.hidden,
            batch_size=self.batch_size,
            learning_rate_init=self.learning_rate,
            max_iter=self.epochs,
            shuffle="partitions" if self.shuffle == "partitions" else True,
            random_state=self.seed,
            sync_every=self.sync_every,
            compression=_codec(self.compression),
            callbacks=callbacks,
        )

    def head(self, model: Any, *, converged: bool) -> Iterator[tuple[str, str]]:
        layers = _layers(model)
        size = sum(parameters.size for parameters in (*model.coefs_, *model.intercepts_))
        yield (
            "model",
            f"{self.name}, {len(model.classes_)} classes, layers {'-'.join(map(str, layers))}, "
            f"{count(size, 'parameter')}",
        )
        yield (
            "training",
            f"{count(model.n_iter_, 'epoch')} in {count(len(model.history_), 'round')}"
            f"{', until the loss fell no more' if converged else ''} (learning rate "
            f"{self.learning_rate:g}, compression {self.compression})",
        )

    def details(self, model: Any, columns: Columns) -> Iterator[str]:
        yield from ()

    def loss(self, model: Any) -> str:
        first, last = model.loss_curve_[0], model.loss_curve_[-1]
        if len(model.loss_curve_) == 1:
            return f"{last:.6g} (per row, with the penalty)"
        return f"{first:.6g} in the first epoch, {last:.6g} in the last (per row, with the penalty)"


def _layers(model: Any) -> list[int]:
    return [model.n_features_in_, *(len(intercept) for intercept in model.intercepts_)]


def _units(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(units) for units in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"invalid value: {text!r}; allowed are integers, with commas between them"
        ) from None


def _count_or(*words: str) -> Callable[[str], int | str]:
    def parse(text: str) -> int | str:
        if text in words:
            return text
        try:
            return int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"invalid value: {text!r}; allowed are integers, and {', '.join(words)}"
            ) from None

    return parse


def _is_word_or_positive(value: int | str) -> bool:
    return isinstance(value, str) or value >= 1


def _codec(name: str) -> str | None:
    return None if name == "none" else name


def _is_codec(name: str) -> bool:
    try:
        codec_named(_codec(name))
    except ValueError:
        return False
    return True
