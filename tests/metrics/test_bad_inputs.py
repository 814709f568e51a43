"""What is no data for a metric: the same types of errors as scikit-learn's, which say what came."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as theirs
from sklearn.exceptions import UndefinedMetricWarning

from daskml_exec import metrics
from tests.metrics.toolbox import CHANCE, MORE, SCORE, TEXTS, TWO, N, Y, in_chunks

WRONG = {
    "texts and numbers": ("accuracy_score", TEXTS[Y], Y, {}),
    "fractions as labels": ("accuracy_score", SCORE, SCORE, {}),
    "fractions as predicted labels": ("f1_score", TWO, CHANCE, {}),
    "several labels": ("precision_score", Y, Y, {}),
    "unknown positive label": ("recall_score", TEXTS[TWO], TEXTS[TWO], {"pos_label": "eel"}),
    "unknown average": ("f1_score", Y, Y, {"average": "all"}),
    "no such labels": ("confusion_matrix", Y, Y, {"labels": [7, 8]}),
    "above one": ("log_loss", TWO, 1 + CHANCE, {}),
    "below zero": ("log_loss", TWO, -CHANCE - 0.1, {}),
    "one label": ("log_loss", 0 * TWO, CHANCE, {}),
    "columns and labels": ("log_loss", TWO, MORE, {}),
    "labels and columns": ("log_loss", Y, MORE, {"labels": [0, 1]}),
    "not binary": ("brier_score_loss", Y, CHANCE, {}),
    "texts without a positive label": ("brier_score_loss", TEXTS[TWO], CHANCE, {}),
    "several classes raise": ("roc_auc_score", Y, MORE, {}),
    "no probabilities": ("roc_auc_score", Y, 2 * MORE, {"multi_class": "ovr"}),
    "labels out of order": (
        "roc_auc_score",
        Y,
        MORE,
        {"multi_class": "ovr", "labels": [2, 1, 0]},
    ),
    "labels unseen": ("roc_auc_score", Y, MORE, {"multi_class": "ovr", "labels": [0, 1, 3]}),
    "partial area of several": ("roc_auc_score", Y, MORE, {"multi_class": "ovr", "max_fpr": 0.5}),
    "max_fpr": ("roc_auc_score", TWO, SCORE, {"max_fpr": 1.5}),
    "average precision's label": ("average_precision_score", TWO, SCORE, {"pos_label": 3}),
    "negative gains": ("ndcg_score", MORE - 1, MORE, {}),
    "gains of other shape": ("dcg_score", MORE, MORE[:, :2], {}),
    "outputs": ("mean_squared_error", MORE, MORE[:, :2], {}),
    "weights of outputs": ("mean_squared_error", MORE, MORE, {"multioutput": [1, 2]}),
    "no counts": ("mean_poisson_deviance", SCORE - 9, CHANCE + 1, {}),
    "no means": ("mean_poisson_deviance", CHANCE, 0 * CHANCE, {}),
    "unknown mean of outputs": ("r2_score", SCORE, CHANCE, {"multioutput": "all"}),
    "unknown mean of errors": ("mean_absolute_error", SCORE, CHANCE, {"multioutput": "all"}),
    "unknown average of an area": ("roc_auc_score", TWO, SCORE, {"average": "all"}),
    "unknown average of precisions": ("average_precision_score", TWO, SCORE, {"average": 3}),
    "no first ranks": ("ndcg_score", MORE, MORE, {"k": 0}),
    "no best": ("top_k_accuracy_score", Y, MORE, {"k": 0}),
    "neither true nor predicted": ("confusion_matrix", Y, Y, {"normalize": "both"}),
    "no counts explained": ("d2_tweedie_score", SCORE - 9, CHANCE + 1, {"power": 1}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_errors_are_of_scikit_learns_types(executor, wrong):
    name, y_true, given, options = wrong
    with pytest.raises((ValueError, TypeError)) as expected:
        getattr(theirs, name)(y_true, given, **options)
    with pytest.raises(expected.type):
        getattr(metrics, name)(in_chunks(y_true, 70), in_chunks(given, 90), **options)


def test_lengths_that_differ(executor):
    message = "inconsistent numbers of samples: y_true has 300 rows, y_pred has 299"
    for given in (TWO[:-1], in_chunks(TWO[:-1], 50)):
        for compute in (True, False):
            with pytest.raises(ValueError, match=message):
                metrics.accuracy_score(in_chunks(TWO, 70), given, compute=compute)
    lazy = metrics.accuracy_score(
        dd.from_pandas(pd.Series(TWO), npartitions=3),
        dd.from_pandas(pd.Series(TWO[:-1]), npartitions=3),
        compute=False,
    )
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        lazy.compute()


def test_missing_scores_are_named_by_row_and_partition(executor):
    score = SCORE.copy()
    score[75] = np.nan
    with pytest.raises(
        ValueError, match="y_score contains NaN or infinity in row 5 of partition 1"
    ):
        metrics.roc_auc_score(in_chunks(TWO, 70), score)


def test_missing_labels(executor):
    labels = TEXTS[Y].astype(object)
    labels[200] = None
    with pytest.raises(
        ValueError, match="y_true contains NaN or infinity in row 60 of partition 2"
    ):
        metrics.accuracy_score(in_chunks(labels, 70), labels)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_that_are_none(executor, weight):
    weights = np.ones(N)
    weights[71] = weight
    with pytest.raises(ValueError, match=r"sample_weight has .* in row 1 of partition 1; allowed"):
        metrics.log_loss(in_chunks(TWO, 70), CHANCE, sample_weight=weights)


@pytest.mark.parametrize(
    "name",
    [
        "accuracy_score",
        "log_loss",
        "r2_score",
        "brier_score_loss",
        "roc_auc_score",
        "average_precision_score",
    ],
)
def test_weights_that_sum_to_zero(executor, name):
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero"):
        getattr(metrics, name)(in_chunks(TWO, 70), TWO, sample_weight=np.zeros(N))


@pytest.mark.parametrize("name", ["accuracy_score", "roc_auc_score", "mean_squared_error"])
def test_no_rows(executor, name):
    nothing = da.zeros(0, chunks=1)
    with pytest.raises(ValueError, match="have no rows in 1 partitions"):
        getattr(metrics, name)(nothing, nothing)
    with pytest.raises(ValueError, match="there are no rows"):
        getattr(metrics, name)(nothing, nothing, compute=False).compute()


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_curve(executor, label):
    y = np.full(N, label)
    with pytest.warns(UndefinedMetricWarning):
        expected = theirs.roc_auc_score(y, SCORE)
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan([expected, metrics.roc_auc_score(in_chunks(y, 70), SCORE)]).all()


def test_labels_seen_in_one_partition_only(executor):
    y, guessed = np.sort(Y), np.sort(Y)[::-1]
    found = metrics.f1_score(in_chunks(y, 20), guessed, average="macro")
    assert found == pytest.approx(theirs.f1_score(y, guessed, average="macro"), rel=1e-12)
    assert metrics.log_loss(in_chunks(y, 20), MORE) == pytest.approx(
        theirs.log_loss(y, MORE), rel=1e-12
    )


def test_texts_in_one_partition_and_numbers_in_the_next(executor):
    futures = executor.client.scatter([TEXTS[Y[:100]], Y[100:]])
    with pytest.raises(ValueError, match=r"[Mm]ix of|can't handle"):
        metrics.f1_score(futures, futures, average="macro")


def test_names(executor):
    with pytest.raises(ValueError, match="the metric is 'acuracy'; allowed are accuracy, "):
        metrics.metric("acuracy")
    with pytest.raises(ValueError, match="scoring='auc'; allowed are accuracy, "):
        metrics.get_scorer("auc")
    with pytest.raises(ValueError, match="log_loss needs y_score, which is None; given are y_true"):
        metrics.scores(["log_loss"], in_chunks(TWO, 70), y_pred=TWO)
    with pytest.raises(ValueError, match="metrics is empty"):
        metrics.scores([], TWO, y_pred=TWO)
    with pytest.raises(ValueError, match="max_distinct=1; allowed are whole numbers from 2"):
        metrics.roc_auc_score(TWO, SCORE, max_distinct=1)
    with pytest.raises(ValueError, match="power=3; allowed on a cluster are 0 and 1"):
        metrics.d2_tweedie_score(in_chunks(CHANCE, 70), CHANCE + 1, power=3)


def test_scores_that_float64_does_not_tell_apart(executor):
    big = 2**53 + np.arange(N)
    with pytest.raises(ValueError, match=r"y_score has integers from 9007199254740992 to"):
        metrics.roc_auc_score(in_chunks(TWO, 70), in_chunks(big, 70))
    small = big - 2**53
    found = metrics.roc_auc_score(in_chunks(TWO, 70), in_chunks(small, 70))
    assert found == pytest.approx(theirs.roc_auc_score(TWO, small), rel=1e-12)
