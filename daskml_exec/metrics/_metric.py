"""A metric as a record, and how some of them are asked of data in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sklearn.utils._param_validation import validate_parameter_constraints

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.metrics._places import beside_predictions, on_host
from daskml_exec.partitions import column_sums, is_collection, lazy_sums

Chunk = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class Metric:
    """A number, or some, from sums over rows.

    Parameters
    ----------
    name : str
        The function of scikit-learn.
    theirs : callable
        That function with its options, for data in memory: takes y_true, predictions and
        ``sample_weight=``.
    chunk : callable
        Takes y_true, predictions and weights (None for ones) of a block of rows, and returns sums.
        Picklable.
    combine : callable
        Returns the sums of two neighbouring row ranges together.
    finalise : callable
        Returns the metric of the sums of all rows.
    takes : {"y_pred", "y_score"}
        Whether predictions are labels or numbers, or else scores and probabilities.
    large : bool, default=False
        Whether sums grow with the rows, and are better combined on Workers.
    shape : tuple of int or nan
        Of the result.
    anywhere : bool, default=False
        Whether the chunk takes arrays on devices: numbers, and weights in float64, where the
        predictions are. What it returns is on the host. Others are given arrays on the host.
    """

    name: str
    theirs: Callable[..., Any]
    chunk: Chunk
    combine: Callable[[Any, Any], Any]
    finalise: Callable[[Any], Any]
    takes: str = "y_pred"
    large: bool = False
    shape: tuple[float, ...] = ()
    anywhere: bool = False


def evaluate(
    metrics: Mapping[str, Metric],
    y_true: Any,
    predictions: Mapping[str, Any],
    sample_weight: Any,
    *,
    compute: bool = True,
) -> dict[str, Any]:
    """Return all metrics, from one pass over the rows."""
    columns = {
        name: as_dask_futures(column)
        for name, column in {
            "y_true": y_true,
            **predictions,
            "sample_weight": sample_weight,
        }.items()
        if column is not None
    }
    for metric in metrics.values():
        if metric.takes not in columns:
            raise ValueError(
                f"{metric.name} needs {metric.takes}, which is None; given are {', '.join(columns)}"
            )
    if not any(is_collection(column) for column in columns.values()):
        weight = columns.get("sample_weight")
        return {
            name: metric.theirs(columns["y_true"], columns[metric.takes], sample_weight=weight)
            for name, metric in metrics.items()
        }
    records = tuple(metrics.values())
    for metric in records:
        require_options(metric.theirs)
    ask = partial(_chunks, records)
    combine = partial(_combined, records)
    large = any(metric.large for metric in records)
    if not compute:
        total = lazy_sums(ask, columns, combine=combine, large=large)
        return {
            name: total.result(partial(_finished, index, metric), metric.shape)
            for index, (name, metric) in enumerate(metrics.items())
        }
    sums = column_sums(Executor.current(), ask, columns, combine=combine, large=large)
    return {
        name: metric.finalise(found)
        for (name, metric), found in zip(metrics.items(), sums, strict=True)
    }


def measured(
    metric: Metric, y_true: Any, predicted: Any, sample_weight: Any, *, compute: bool = True
) -> Any:
    """Return one metric."""
    found = evaluate(
        {metric.name: metric},
        y_true,
        {metric.takes: predicted},
        sample_weight,
        compute=compute,
    )
    return found[metric.name]


def require_options(asked: Callable[..., Any]) -> None:
    """Raise what scikit-learn's function says of its options, before rows are looked at."""
    if not isinstance(asked, partial):
        return
    function: Any = next((each for each in asked.args if callable(each)), asked.func)
    constraints = function._skl_parameter_constraints
    known = {name: value for name, value in asked.keywords.items() if name in constraints}
    validate_parameter_constraints(constraints, known, function.__qualname__)


def _chunks(records: tuple[Metric, ...], columns: dict[str, Any], weight: Any) -> tuple[Any, ...]:
    forms = {(metric.takes, metric.anywhere) for metric in records}
    placed = {
        (takes, anywhere): (beside_predictions if anywhere else on_host)(
            columns["y_true"], columns[takes], weight
        )
        for takes, anywhere in forms
    }
    return tuple(metric.chunk(*placed[metric.takes, metric.anywhere]) for metric in records)


def _combined(records: tuple[Metric, ...], left: Any, right: Any) -> tuple[Any, ...]:
    return tuple(metric.combine(a, b) for metric, a, b in zip(records, left, right, strict=True))


def _finished(index: int, metric: Metric, sums: tuple[Any, ...]) -> Any:
    return metric.finalise(sums[index])
