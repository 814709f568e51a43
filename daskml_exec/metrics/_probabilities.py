"""Metrics of probabilities, scores and rankings, with scikit-learn's names and arguments."""

from __future__ import annotations

from typing import Any

from daskml_exec.metrics import _records as records
from daskml_exec.metrics._curves import MAX_DISTINCT
from daskml_exec.metrics._metric import measured


def log_loss(
    y_true: Any,
    y_proba: Any,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    compute: bool = True,
) -> Any:
    """Return the mean of minus the logarithm of each row's probability of its label.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_proba : the same kinds, of shape (n,) or (n, classes)
        Probabilities: of the greater label, or of each in rising order.
    normalize : bool, default=True
        Whether to return the mean over rows and not their sum.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    labels : array-like, optional
        The labels that columns are for; those that occur if None.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float
        From 0, in natural units.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec.metrics import log_loss
    >>> y = da.from_array([0, 1, 1, 1], chunks=2)
    >>> round(log_loss(y, [0.1, 0.9, 0.8, 0.7]), 4)
    0.1976
    """
    record = records.log_loss(normalize=normalize, labels=labels)
    return measured(record, y_true, y_proba, sample_weight, compute=compute)


def brier_score_loss(
    y_true: Any,
    y_proba: Any,
    *,
    sample_weight: Any = None,
    pos_label: Any = None,
    compute: bool = True,
) -> Any:
    """Return the mean squared error of the probabilities of two labels.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_proba : the same kinds, of shape (n,)
        Probabilities of the positive label.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    pos_label : label, optional
        The positive one; 1 if None, where labels are 0 and 1 or -1 and 1.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = records.brier(pos_label=pos_label)
    return measured(record, y_true, y_proba, sample_weight, compute=compute)


def roc_auc_score(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    max_fpr: float | None = None,
    multi_class: str = "raise",
    labels: Any = None,
    max_distinct: int = MAX_DISTINCT,
    compute: bool = True,
) -> Any:
    """Return the area under the ROC curve.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_score : the same kinds, of shape (n,) or (n, classes)
        Scores: of the greater label, or of each in rising order. Those on a device come to the
        host.
    average : {"macro", "weighted", "micro"} or None, default="macro"
        How classes are averaged; None returns one number for each.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    max_fpr : float, optional
        Above 0, up to 1: the area up to that false positive rate, standardised.
    multi_class : {"raise", "ovr", "ovo"}, default="raise"
        Each class against the others, or each pair of classes.
    labels : array-like, optional
        The labels that columns are for; those that occur if None.
    max_distinct : int, default=1_000_000
        Distinct scores up to which the result on a cluster is exact, from 2. It takes
        ``8 (1 + classes)`` bytes for each in memory, twice while two partitions are merged.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    BoundedFloat, float or array of shape (classes,)
        On a cluster with the ``error_bound``, which is 0 up to `max_distinct` scores.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec.metrics import roc_auc_score
    >>> y = da.from_array([0, 0, 1, 1], chunks=2)
    >>> area = roc_auc_score(y, [0.1, 0.4, 0.35, 0.8])
    >>> area, area.error_bound
    (0.75, 0.0)
    """
    record = records.roc_auc(
        average=average,
        max_fpr=max_fpr,
        multi_class=multi_class,
        labels=labels,
        max_distinct=max_distinct,
    )
    return measured(record, y_true, y_score, sample_weight, compute=compute)


def average_precision_score(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    pos_label: Any = 1,
    sample_weight: Any = None,
    max_distinct: int = MAX_DISTINCT,
    compute: bool = True,
) -> Any:
    """Return the mean of precisions at all thresholds, by the rise of recall.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_score : the same kinds, of shape (n,) or (n, classes)
        Scores: of the greater label, or of each in rising order. Those on a device come to the
        host.
    average : {"macro", "weighted", "micro"} or None, default="macro"
        How classes are averaged; None returns one number for each.
    pos_label : label, default=1
        The positive one, where there are two.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    max_distinct : int, default=1_000_000
        Distinct scores up to which the result on a cluster is exact, from 2. It takes
        ``8 (1 + classes)`` bytes for each in memory, twice while two partitions are merged.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    BoundedFloat, float or array of shape (classes,)
        On a cluster with the ``error_bound``, which is 0 up to `max_distinct` scores.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = records.average_precision(
        average=average, pos_label=pos_label, max_distinct=max_distinct
    )
    return measured(record, y_true, y_score, sample_weight, compute=compute)


def top_k_accuracy_score(
    y_true: Any,
    y_score: Any,
    *,
    k: int = 2,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    compute: bool = True,
) -> Any:
    """Return the share of rows whose label is among those of the k largest scores.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_score : the same kinds, of shape (n, classes)
        Scores of each label, in rising order. Two labels, of shape (n,), in memory only.
        Those on a device come to the host.
    k : int, default=2
        How many of the largest scores count.
    normalize : bool, default=True
        Whether to return the mean over rows and not their sum.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    labels : array-like, optional
        The labels that columns are for; those that occur if None.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float
        The share, or the weight of these rows.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = records.top_k(k=k, normalize=normalize, labels=labels)
    return measured(record, y_true, y_score, sample_weight, compute=compute)


def ndcg_score(
    y_true: Any,
    y_score: Any,
    *,
    k: int | None = None,
    sample_weight: Any = None,
    ignore_ties: bool = False,
    compute: bool = True,
) -> Any:
    """Return the discounted gain of rankings, as a share of the best.

    Parameters
    ----------
    y_true : array-like, Dask array or list of futures, of shape (n, m)
        True relevance of each of m labels.
    y_score : the same kinds and shape
        Scores, by which labels are ranked. Those on a device come to the host.
    k : int, optional
        How many of the first ranks count; all if None.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    ignore_ties : bool, default=False
        Whether scores that are equal are taken in any order.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = records.ranking("ndcg_score", k=k, ignore_ties=ignore_ties)
    return measured(record, y_true, y_score, sample_weight, compute=compute)


def dcg_score(
    y_true: Any,
    y_score: Any,
    *,
    k: int | None = None,
    log_base: float = 2,
    sample_weight: Any = None,
    ignore_ties: bool = False,
    compute: bool = True,
) -> Any:
    """Return the discounted gain of rankings.

    Parameters
    ----------
    y_true : array-like, Dask array or list of futures, of shape (n, m)
        True relevance of each of m labels.
    y_score : the same kinds and shape
        Scores, by which labels are ranked. Those on a device come to the host.
    k : int, optional
        How many of the first ranks count; all if None.
    log_base : float, default=2
        Base of the logarithm of ranks.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    ignore_ties : bool, default=False
        Whether scores that are equal are taken in any order.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float
        Mean over rows.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = records.ranking("dcg_score", k=k, ignore_ties=ignore_ties, log_base=log_base)
    return measured(record, y_true, y_score, sample_weight, compute=compute)
