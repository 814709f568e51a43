"""Metrics of predicted numbers, with scikit-learn's names and arguments."""

from __future__ import annotations

from typing import Any

from daskml_exec.metrics._metric import measured
from daskml_exec.metrics._records import d2_tweedie, errors, poisson_deviance, r2


def mean_squared_error(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    compute: bool = True,
) -> Any:
    """Return the mean of squared errors.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,) or (n, outputs)
        True values.
    y_pred : the same kinds and shape
        Predicted values.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    multioutput : {"uniform_average", "raw_values"} or array-like, default="uniform_average"
        How outputs are averaged.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float or array of shape (outputs,)
        In squares of the unit of y.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec.metrics import mean_squared_error
    >>> y = da.from_array([0.0, 1.0, 2.0, 3.0], chunks=2)
    >>> mean_squared_error(y, y + 2)
    4.0
    """
    record = errors("mean_squared_error", multioutput=multioutput)
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def root_mean_squared_error(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    compute: bool = True,
) -> Any:
    """Return the root of the mean of squared errors.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,) or (n, outputs)
        True values.
    y_pred : the same kinds and shape
        Predicted values.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    multioutput : {"uniform_average", "raw_values"} or array-like, default="uniform_average"
        How outputs are averaged.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float or array of shape (outputs,)
        In the unit of y.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = errors("root_mean_squared_error", multioutput=multioutput)
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def mean_absolute_error(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    compute: bool = True,
) -> Any:
    """Return the mean of absolute errors.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,) or (n, outputs)
        True values.
    y_pred : the same kinds and shape
        Predicted values.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    multioutput : {"uniform_average", "raw_values"} or array-like, default="uniform_average"
        How outputs are averaged.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float or array of shape (outputs,)
        In the unit of y.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = errors("mean_absolute_error", multioutput=multioutput)
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def mean_poisson_deviance(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    compute: bool = True,
) -> Any:
    """Return the mean of the Poisson deviance.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,) or (n, outputs)
        True values.
    y_pred : the same kinds and shape
        Predicted values.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float
        From 0.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = poisson_deviance()
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def r2_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    force_finite: bool = True,
    compute: bool = True,
) -> Any:
    """Return the share of the variance of y that predictions explain.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,) or (n, outputs)
        True values.
    y_pred : the same kinds and shape
        Predicted values.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    multioutput : {"uniform_average", "raw_values", "variance_weighted"} or array-like
        How outputs are averaged.
    force_finite : bool, default=True
        Whether a constant y gives 1 or 0 and not NaN or minus infinity.
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float or array of shape (outputs,)
        Up to 1; NaN, with a warning, for fewer than two rows.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = r2(multioutput=multioutput, force_finite=force_finite)
    return measured(record, y_true, y_pred, sample_weight, compute=compute)


def d2_tweedie_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    power: float = 0,
    compute: bool = True,
) -> Any:
    """Return the share of the Tweedie deviance of y that predictions explain.

    Parameters
    ----------
    y_true : array-like, Dask collection or list of futures, of shape (n,) or (n, outputs)
        True values.
    y_pred : the same kinds and shape
        Predicted values.
    sample_weight : the same kinds, of shape (n,), optional
        Weights of rows, on a cluster from 0; None means ones.
    power : float, default=0
        Of the Tweedie distribution; on a cluster 0 (normal) or 1 (Poisson).
    compute : bool, default=True
        Whether to compute; else the result is a Dask array.

    Returns
    -------
    float
        Up to 1; NaN, with a warning, for fewer than two rows.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's; and of lengths that differ, and of missing values, by row and partition.
    """
    record = d2_tweedie(power=power)
    return measured(record, y_true, y_pred, sample_weight, compute=compute)
