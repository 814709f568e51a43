"""Metrics of predicted labels, with scikit-learn's names and arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import metrics as theirs

from daskml_exec.metrics._label_pairs import pairs_metric
from daskml_exec.metrics._metric import measured
from daskml_exec.metrics._records import accuracy


def accuracy_score(
    y_true: Any,
    y_pred: Any,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    compute: bool = True,
) -> Any:
    """Return the share of rows, by weight, whose label is right.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_pred : the same kinds, of shape (n,)
        Predicted labels.
    normalize : bool, default=True
        Whether to return the mean over rows and not their sum.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
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

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec.metrics import accuracy_score
    >>> y = da.from_array([0, 1, 1, 1], chunks=2)
    >>> accuracy_score(y, [0, 1, 0, 1])
    0.75
    """
    record = accuracy(normalize=normalize)
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def balanced_accuracy_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    adjusted: bool = False,
    compute: bool = True,
) -> Any:
    """Return the mean of the recalls of all classes.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_pred : the same kinds, of shape (n,)
        Predicted labels.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    adjusted : bool, default=False
        Whether chance scores 0, and not one by the number of classes.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float
        Up to 1.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = pairs_metric(theirs.balanced_accuracy_score, adjusted=adjusted)
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    sample_weight: Any = None,
    normalize: str | None = None,
    compute: bool = True,
) -> Any:
    """Return the weight of each pair of a true and a predicted label.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_pred : the same kinds, of shape (n,)
        Predicted labels.
    labels : array-like, optional
        The labels to take, in this order; those that occur if None.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    normalize : {"true", "pred", "all"}, optional
        Whether to divide by the sums of rows, of columns, or of all.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    array of shape (labels, labels)
        True labels in rows, predicted ones in columns.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec.metrics import confusion_matrix
    >>> y = da.from_array([0, 1, 1, 1], chunks=2)
    >>> confusion_matrix(y, [0, 1, 0, 1])
    array([[1, 0],
           [1, 2]])
    """
    record = pairs_metric(
        theirs.confusion_matrix, shape=(np.nan, np.nan), labels=labels, normalize=normalize
    )
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
    compute: bool = True,
) -> Any:
    """Return the share of what was predicted positive that is so.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_pred : the same kinds, of shape (n,)
        Predicted labels.
    labels : array-like, optional
        The labels to take, in this order; those that occur if None.
    pos_label : label, default=1
        The positive one, where there are two.
    average : {"binary", "micro", "macro", "weighted"} or None
        How labels are averaged; None returns one number for each.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    zero_division : {"warn", 0.0, 1.0, nan}, default="warn"
        What a division by zero gives; "warn" gives 0 with a warning.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float or array of shape (labels,)
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = pairs_metric(
        theirs.precision_score,
        shape=_each(average),
        labels=labels,
        pos_label=pos_label,
        average=average,
        zero_division=zero_division,
    )
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
    compute: bool = True,
) -> Any:
    """Return the share of what is positive that was predicted so.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_pred : the same kinds, of shape (n,)
        Predicted labels.
    labels : array-like, optional
        The labels to take, in this order; those that occur if None.
    pos_label : label, default=1
        The positive one, where there are two.
    average : {"binary", "micro", "macro", "weighted"} or None
        How labels are averaged; None returns one number for each.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    zero_division : {"warn", 0.0, 1.0, nan}, default="warn"
        What a division by zero gives; "warn" gives 0 with a warning.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float or array of shape (labels,)
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = pairs_metric(
        theirs.recall_score,
        shape=_each(average),
        labels=labels,
        pos_label=pos_label,
        average=average,
        zero_division=zero_division,
    )
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
    compute: bool = True,
) -> Any:
    """Return the harmonic mean of precision and recall.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_pred : the same kinds, of shape (n,)
        Predicted labels.
    labels : array-like, optional
        The labels to take, in this order; those that occur if None.
    pos_label : label, default=1
        The positive one, where there are two.
    average : {"binary", "micro", "macro", "weighted"} or None
        How labels are averaged; None returns one number for each.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    zero_division : {"warn", 0.0, 1.0, nan}, default="warn"
        What a division by zero gives; "warn" gives 0 with a warning.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float or array of shape (labels,)
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = pairs_metric(
        theirs.f1_score,
        shape=_each(average),
        labels=labels,
        pos_label=pos_label,
        average=average,
        zero_division=zero_division,
    )
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def fbeta_score(
    y_true: Any,
    y_pred: Any,
    *,
    beta: float,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
    compute: bool = True,
) -> Any:
    """Return the weighted harmonic mean of precision and recall.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_pred : the same kinds, of shape (n,)
        Predicted labels.
    beta : float
        Weight of recall beside precision.
    labels : array-like, optional
        The labels to take, in this order; those that occur if None.
    pos_label : label, default=1
        The positive one, where there are two.
    average : {"binary", "micro", "macro", "weighted"} or None
        How labels are averaged; None returns one number for each.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    zero_division : {"warn", 0.0, 1.0, nan}, default="warn"
        What a division by zero gives; "warn" gives 0 with a warning.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float or array of shape (labels,)
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = pairs_metric(
        theirs.fbeta_score,
        shape=_each(average),
        beta=beta,
        labels=labels,
        pos_label=pos_label,
        average=average,
        zero_division=zero_division,
    )
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def precision_recall_fscore_support(
    y_true: Any,
    y_pred: Any,
    *,
    beta: float = 1.0,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = None,
    warn_for: tuple[str, ...] = ("precision", "recall", "f-score"),
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """Return precision, recall, F score and the weight of each label.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,)
        True labels: texts or numbers.
    y_pred : the same kinds, of shape (n,)
        Predicted labels.
    beta : float
        Weight of recall beside precision.
    labels : array-like, optional
        The labels to take, in this order; those that occur if None.
    pos_label : label, default=1
        The positive one, where there are two.
    average : {"binary", "micro", "macro", "weighted"} or None
        How labels are averaged; None returns one number for each.
    warn_for : tuple of str, default=("precision", "recall", "f-score")
        Which of these a division by zero warns of.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    zero_division : {"warn", 0.0, 1.0, nan}, default="warn"
        What a division by zero gives; "warn" gives 0 with a warning.

    Returns
    -------
    tuple of four floats or arrays of shape (labels,)
        The last is None for an average.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = pairs_metric(
        theirs.precision_recall_fscore_support,
        shape=_each(average),
        beta=beta,
        warn_for=warn_for,
        labels=labels,
        pos_label=pos_label,
        average=average,
        zero_division=zero_division,
    )
    return measured(record, y_true, y_pred, sample_weight)


def _each(average: str | None) -> tuple[float, ...]:
    return (np.nan,) if average is None else ()
