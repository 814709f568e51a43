"""Scores of many models on the rows that they have not seen, in one pass."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.executor import Query
from daskml_exec.kernels.array_namespace import is_host, to_device_of, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Distribution
from daskml_exec.kernels.folds import NOWHERE
from daskml_exec.kernels.probabilities import class_probabilities
from daskml_exec.kernels.row_sample import take_rows
from daskml_exec.kernels.row_scores import log_losses_of_margins
from daskml_exec.linear_model._scores import labels_of
from daskml_exec.metrics import log_loss, metric
from daskml_exec.metrics._row_means import first, mean_metric
from daskml_exec.metrics._scorers import Scoring, scoring_of
from daskml_exec.partitions import Partition

# Bytes of the margins that are there at once.
_MARGIN_BYTES = 2**25

Sums = tuple[tuple[Any, ...], ...]
"""For each scoring and each model; None where there were no rows."""


@dataclass(frozen=True)
class ClassResponses:
    """What a classifier predicts of margins of shape (n,) for two classes, else (n, K)."""

    classes: Array

    def __call__(self, z: Array, response: str) -> Array:
        """Return what a scoring asks for."""
        two = z.ndim == 1
        if response == "predict":
            return labels_of(z, self.classes)
        if response in ("side", _MARGINS):
            return z
        probabilities = class_probabilities(z)
        whole = response == "predict_proba" or (response == "areas" and not two)
        return probabilities if whole else probabilities[:, 1]


@dataclass(frozen=True)
class MeanResponses:
    """What a regressor predicts of margins."""

    distribution: Distribution
    level: float = 0.0
    """What was taken from each target."""

    def __call__(self, z: Array, response: str) -> Array:
        """Return what a scoring asks for: the means, whatever it is."""
        means: Array = self.distribution.mean(z) + self.level
        return means


@dataclass(frozen=True)
class HeldOut(Query[dict[int, Sums]]):
    """Scores of models by fold: each on the rows that it was not trained on."""

    names: tuple[str, ...]
    """Of scorings."""
    responses: ClassResponses | MeanResponses
    columns: Any
    """Gives back the y and weights of the user: `daskml_exec.partitions.Settled.columns`."""
    weighted: bool
    """Whether the weights of rows count."""
    coef: Array
    """Of shape (F, J, K, d): for each fold the models that have not seen it."""
    intercept: Array
    """Of shape (F, J, K)."""

    @property
    def step(self) -> str:
        return "score"

    def prepare(self) -> tuple[Scoring, ...]:
        if isinstance(self.responses, MeanResponses):
            return tuple(
                _D2_OF_COUNTS if name == _D2_OF_COUNTS.name else scoring_of(name)
                for name in self.names
            )
        classes = self.responses.classes
        return tuple(
            _LOG_LOSS if name == _LOG_LOSS.name else scoring_of(name, classes=classes)
            for name in self.names
        )

    def partial(self, partition: Partition, scorings: tuple[Scoring, ...]) -> dict[int, Sums]:
        y, weight = self.columns.given(partition)
        y, weight = to_host(y), None if weight is None else to_host(weight)
        # A row of weight zero counts as a row that is not there.
        fold = partition.fold if weight is None else np.where(weight > 0, partition.fold, NOWHERE)
        found: dict[int, Sums] = {}
        for k in range(len(self.coef)):
            rows = np.flatnonzero(fold == k)
            if len(rows):
                w = weight[rows] if self.weighted and weight is not None else None
                truth = {_MARGINS: partition.y[rows]}
                found[k] = self._of_fold(scorings, partition.X, rows, y[rows], truth, w, k)
        return found

    def combine(self, left: dict[int, Sums], right: dict[int, Sums]) -> dict[int, Sums]:
        scorings = self.prepare()
        return {k: _both(scorings, left.get(k), right.get(k)) for k in sorted({*left, *right})}

    def scores(self, answer: dict[int, Sums]) -> Array:
        """Return the scores, of shape (n_scorings, F, J).

        Raises
        ------
        ValueError
            A fold has no rows that weigh anything.
        """
        F, J = self.intercept.shape[:2]
        empty = sorted({*range(F)} - {*answer})
        if empty:
            raise ValueError(
                f"fold {empty[0]} has no row of positive weight, so that there is nothing to score "
                "the models on that have not seen it; allowed are folds that each have some"
            )
        found = np.full((len(self.names), F, J), np.nan)
        for k, sums in answer.items():
            for s, scoring in enumerate(self.prepare()):
                found[s, k] = [scoring.score(each) for each in sums[s]]
        return found

    def _of_fold(
        self,
        scorings: tuple[Scoring, ...],
        X: Any,
        rows: Array,
        y: Array,
        truth: dict[str, Array],
        weight: Any,
        k: int,
    ) -> Sums:
        sums: list[list[Any]] = [[] for _ in scorings]
        for z in self._margins(X, rows, k):
            for scoring, found in zip(scorings, sums, strict=True):
                predicted = self.responses(z, scoring.response)
                found.append(
                    scoring.metric.chunk(truth.get(scoring.response, y), predicted, weight)
                )
        return tuple(map(tuple, sums))

    def _margins(self, X: Any, rows: Array, k: int) -> Iterator[Array]:
        """Yield the margins of each model."""
        J, K = self.intercept.shape[1:]
        at_once = max(1, int(_MARGIN_BYTES // (8 * K * len(rows))))
        block = take_rows(X, rows)
        for begin in range(0, J, at_once):
            some = slice(begin, begin + at_once)
            coef = self.coef[k, some].reshape(-1, X.shape[1])
            if sp.issparse(block):
                z = np.ascontiguousarray((block @ coef.T).T)
            elif is_host(block):
                z = coef @ block.T
            else:
                z = to_host(to_device_of(coef, block) @ block.T)
            z = z + self.intercept[k, some].reshape(-1, 1)
            for of_model in z.reshape(-1, K, len(rows)):
                yield of_model[0] if K == 1 else of_model.T


_MARGINS = "margins"


def _log_losses(codes: Array, z: Array) -> Array:
    return log_losses_of_margins(z, codes)


# Margins say it without the probabilities, in a third of the time.
_LOG_LOSS = Scoring(
    "neg_log_loss",
    mean_metric("log_loss", log_loss, _log_losses, first, takes="y_score"),
    _MARGINS,
    -1,
)


# What `PoissonRegressor.score` is, which scikit-learn has no name for.
_D2_OF_COUNTS = Scoring("score", metric("d2_tweedie", power=1), "predict", 1)


def _both(scorings: tuple[Scoring, ...], left: Sums | None, right: Sums | None) -> Any:
    if left is None or right is None:
        return right if left is None else left
    return tuple(
        tuple(scoring.metric.combine(a, b) for a, b in zip(ours, theirs, strict=True))
        for scoring, ours, theirs in zip(scorings, left, right, strict=True)
    )
