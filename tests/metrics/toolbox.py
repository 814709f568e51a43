"""Predictions of every kind, and each metric's arguments for them."""

from typing import NamedTuple

import dask.array as da
import numpy as np

from tests.tiers import slow

N = 300
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, N)
GUESSED = RNG.integers(0, 3, N)
TWO = (Y > 1).astype(int)
MORE = RNG.dirichlet(np.ones(3), N)
CHANCE = RNG.random(N).round(2)
SCORE = (RNG.normal(size=N) + TWO).round(1)
COUNTS, MEANS = RNG.poisson(2, N).astype(float), RNG.random(N) + 0.1
GAINS, RANKS = (RNG.integers(0, 4, (N, 5)).astype(float) for _ in range(2))
NUMBERS = RNG.normal(size=(N, 2)) + 100
NEAR = NUMBERS + RNG.normal(size=(N, 2))
WEIGHT = np.where(RNG.random(N) < 0.1, 0, RNG.random(N))
TEXTS = np.array(["cat", "dog", "eel"])


class Case(NamedTuple):
    """A metric with its arguments."""

    name: str
    y_true: np.ndarray
    given: np.ndarray
    options: dict


def _curves(**options):
    return Case("roc_auc_score", Y, MORE, {"multi_class": "ovr", **options})


CASES = [
    Case("accuracy_score", Y, GUESSED, {}),
    Case("accuracy_score", TEXTS[Y], TEXTS[GUESSED], {"normalize": False}),
    Case("balanced_accuracy_score", Y, GUESSED, {"adjusted": True}),
    Case("confusion_matrix", Y, GUESSED, {}),
    Case("confusion_matrix", TEXTS[Y], TEXTS[GUESSED], {"labels": ["eel", "cat"]}),
    Case("confusion_matrix", Y, GUESSED, {"normalize": "pred"}),
    Case("precision_score", TWO, GUESSED > 1, {}),
    Case("precision_score", TEXTS[TWO], TEXTS[1 * (GUESSED > 1)], {"pos_label": "cat"}),
    Case("recall_score", Y, GUESSED, {"average": "weighted"}),
    Case("f1_score", Y, GUESSED, {"average": "macro", "labels": [0, 2, 5], "zero_division": 1.0}),
    Case("fbeta_score", Y, GUESSED, {"average": None, "beta": 0.5}),
    Case("fbeta_score", Y.astype(float), GUESSED, {"average": "micro", "beta": 2}),
    Case("log_loss", Y, MORE, {}),
    Case("log_loss", TEXTS[Y], MORE, {"normalize": False}),
    Case("log_loss", TWO, CHANCE, {"labels": [0, 1]}),
    Case("brier_score_loss", TWO, CHANCE, {}),
    Case("brier_score_loss", TEXTS[TWO], CHANCE, {"pos_label": "cat"}),
    Case("roc_auc_score", TWO, SCORE, {}),
    Case("roc_auc_score", TEXTS[TWO], SCORE, {"max_fpr": 0.3}),
    _curves(),
    _curves(average="weighted"),
    _curves(average="micro"),
    _curves(average=None),
    Case("average_precision_score", TWO, SCORE, {}),
    Case("average_precision_score", TWO, SCORE, {"pos_label": 0}),
    Case("average_precision_score", Y, MORE, {}),
    Case("average_precision_score", Y, MORE, {"average": "micro"}),
    Case("top_k_accuracy_score", Y, MORE, {}),
    Case("top_k_accuracy_score", Y, MORE.round(1), {"k": 1, "normalize": False}),
    Case("ndcg_score", GAINS, RANKS, {}),
    Case("ndcg_score", GAINS, RANKS, {"k": 3, "ignore_ties": True}),
    Case("dcg_score", GAINS, RANKS, {"k": 2, "log_base": 3}),
    Case("mean_squared_error", NUMBERS, NEAR, {}),
    Case("root_mean_squared_error", NUMBERS, NEAR, {"multioutput": "raw_values"}),
    Case("mean_absolute_error", NUMBERS, NEAR, {"multioutput": [0.3, 0.7]}),
    Case("mean_poisson_deviance", COUNTS, MEANS, {}),
    Case("r2_score", NUMBERS, NEAR, {}),
    Case("r2_score", NUMBERS, NEAR, {"multioutput": "variance_weighted"}),
    Case("d2_tweedie_score", NUMBERS[:, 0], NEAR[:, 0], {}),
    Case("d2_tweedie_score", COUNTS, MEANS, {"power": 1}),
]

# How a metric's columns come and go does not depend on its options: by default each comes once.
EACH_NAME = [
    case if case.name not in {before.name for before in CASES[:at]} else slow(case)
    for at, case in enumerate(CASES)
]


def name_of(case):
    return f"{case.name}-{'-'.join(map(str, case.options.values()))}"


def in_chunks(array, chunks):
    return da.from_array(array, chunks=(chunks, *array.shape[1:]))
