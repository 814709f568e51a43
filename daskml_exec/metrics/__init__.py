"""scikit-learn's metrics over Dask collections, lists of futures and data in memory."""

from daskml_exec.metrics._classification import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    fbeta_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)
from daskml_exec.metrics._curves import BoundedFloat
from daskml_exec.metrics._metric import Metric
from daskml_exec.metrics._probabilities import (
    average_precision_score,
    brier_score_loss,
    dcg_score,
    log_loss,
    ndcg_score,
    roc_auc_score,
    top_k_accuracy_score,
)
from daskml_exec.metrics._regression import (
    d2_tweedie_score,
    mean_absolute_error,
    mean_poisson_deviance,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)
from daskml_exec.metrics._scorers import get_scorer, metric, scores

__all__ = [
    "BoundedFloat",
    "Metric",
    "accuracy_score",
    "average_precision_score",
    "balanced_accuracy_score",
    "brier_score_loss",
    "confusion_matrix",
    "d2_tweedie_score",
    "dcg_score",
    "f1_score",
    "fbeta_score",
    "get_scorer",
    "log_loss",
    "mean_absolute_error",
    "mean_poisson_deviance",
    "mean_squared_error",
    "metric",
    "ndcg_score",
    "precision_recall_fscore_support",
    "precision_score",
    "r2_score",
    "recall_score",
    "roc_auc_score",
    "root_mean_squared_error",
    "scores",
    "top_k_accuracy_score",
]
