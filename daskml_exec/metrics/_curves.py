"""Areas under curves of scores: from the distinct scores with their weights by class."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.utils import column_or_1d

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.score_runs import (
    Run,
    area_slack,
    merged,
    precision_slack,
    run_of,
)
from daskml_exec.metrics._label_pairs import factorised, merged_labels
from daskml_exec.metrics._row_means import require_weight

MAX_DISTINCT = 1_000_000
_EXACT = 2**53


class BoundedFloat(np.float64):
    """A number that is known up to a bound.

    Parameters
    ----------
    value : float
        The number.
    error_bound : float
        The most that it is off, besides rounding; 0 where it is exact.
    """

    error_bound: float

    def __new__(cls, value: float, error_bound: float) -> BoundedFloat:
        """Return the number with its bound."""
        found: BoundedFloat = super().__new__(cls, value)
        found.error_bound = error_bound
        return found

    def __repr__(self) -> str:
        """Return the number, as Python writes it."""
        return repr(float(self))

    def copy(self, order: Any = "K") -> BoundedFloat:
        """Return itself: Dask copies what it has computed.

        Parameters
        ----------
        order : object
            Not used; there for NumPy.

        Returns
        -------
        BoundedFloat
            The same number.
        """
        return self

    def __reduce__(self) -> Any:
        """Return how to make it again."""
        return BoundedFloat, (float(self), self.error_bound)


@dataclass(frozen=True)
class Curves:
    """Of each column of scores its run, over the same labels."""

    labels: Array
    runs: tuple[Run, ...]
    rows: Array
    """Numbers of rows by label."""
    weighted: bool

    def require_weight(self) -> None:
        """Raise ValueError where no row has weight."""
        if self.weighted:
            require_weight(float(self.runs[0].weights.sum()))


@dataclass(frozen=True)
class CurveChunk:
    """How scores of a block become runs, and runs of two ranges one.

    Attributes
    ----------
    limit : int
        Most distinct scores of a column.
    probabilities : bool
        Whether several columns must be probabilities.
    """

    limit: int
    probabilities: bool

    def __call__(self, y_true: Array, y_score: Array, weight: Any) -> Curves:
        """Return the runs of a block of rows."""
        codes, labels = factorised(column_or_1d(y_true))
        scores = y_score.reshape(len(y_score), -1)
        if scores.dtype.kind not in "biuf":
            raise ValueError(f"y_score has the dtype {scores.dtype}; allowed are numbers")
        if scores.dtype.kind in "iu" and len(scores):
            _require_exact(int(scores.min()), int(scores.max()))
        several = self.probabilities and scores.shape[1] > 1
        if several and not np.allclose(1, scores.sum(axis=1)):
            raise ValueError(
                "Target scores need to be probabilities for multiclass roc_auc, i.e. they should "
                "sum up to 1.0 over classes"
            )
        runs = [run_of(column, codes, weight, len(labels), self.limit) for column in scores.T]
        rows = np.bincount(codes, minlength=len(labels))
        return Curves(labels, tuple(runs), rows, weight is not None)

    def combine(self, left: Curves, right: Curves) -> Curves:
        """Return the runs of two row ranges together."""
        if len(left.runs) != len(right.runs):
            raise ValueError(
                f"some partitions of y_score have {len(left.runs)} columns, others have "
                f"{len(right.runs)}; all must have the same"
            )
        labels = merged_labels(left.labels, right.labels)
        a, b = _over(left, labels), _over(right, labels)
        runs = tuple(merged(p, q, self.limit) for p, q in zip(a.runs, b.runs, strict=True))
        return Curves(labels, runs, a.rows + b.rows, left.weighted)


def _require_exact(least: int, most: int) -> None:
    # Keys of scores are their float64.
    if least < -_EXACT or most > _EXACT:
        raise ValueError(
            f"y_score has integers from {least} to {most}; allowed on a cluster are those up to "
            "2**53 on either side, which float64 tells apart"
        )


@dataclass(frozen=True)
class RocArea:
    """Finish the area under the ROC curve."""

    average: str | None
    max_fpr: float | None
    multi_class: str
    labels: tuple[Any, ...] | None

    def __call__(self, curves: Curves) -> Any:
        """Return the area, or that of each class."""
        curves.require_weight()
        if len(curves.runs) == 1:
            if len(curves.labels) > 2:
                raise ValueError(
                    f"y_true has the {len(curves.labels)} labels {curves.labels}, and y_score one "
                    "column; allowed are two labels, or a column for each"
                )
            greater = _columns_against(curves.runs[0], len(curves.labels) - 1)
            return _bounded(self._area(curves.runs[0], *greater))
        columns = _labels_of_columns(curves, self.labels)
        if len(columns) == 2:
            raise ValueError(
                "y_score has 2 columns for 2 labels; allowed is one column, of the greater label: "
                f"{columns[1]}"
            )
        self._require_of_many(curves)
        if self.multi_class == "ovo":
            return self._pairs(curves, columns)
        return _over_classes(curves, columns, self.average, self._area)

    def _require_of_many(self, curves: Curves) -> None:
        if self.multi_class not in ("ovo", "ovr"):
            raise ValueError(
                f"multi_class={self.multi_class!r} with y_true of {len(curves.labels)} labels; "
                "multi_class must be in ('ovo', 'ovr')"
            )
        if self.max_fpr not in (None, 1):
            raise ValueError(
                f"max_fpr={self.max_fpr} with several labels: Partial AUC computation not "
                "available in multiclass setting; allowed are None and 1"
            )
        allowed: tuple[Any, ...] = ("macro", "weighted")
        allowed += ("micro", None) if self.multi_class == "ovr" else ()
        if self.average not in allowed:
            raise ValueError(
                f"average={self.average!r} with multi_class={self.multi_class!r}; allowed are "
                f"{allowed}"
            )
        if self.multi_class == "ovo" and curves.weighted:
            raise ValueError(
                "sample_weight is not supported for multiclass one-vs-one ROC AUC, "
                "'sample_weight' must be None in this case."
            )

    def _pairs(self, curves: Curves, columns: Array) -> Any:
        at = np.searchsorted(columns, curves.labels).tolist()
        found, shares = [], []
        for a, b in combinations(range(len(columns)), 2):
            both = [label in at for label in (a, b)]
            if not all(both):
                raise ValueError(
                    f"y_true has no row of the label {columns[a if not both[0] else b]}; ovo needs "
                    "rows of each"
                )
            i, j = at.index(a), at.index(b)
            sides = [
                self._area(curves.runs[a], *_columns(curves.runs[a], j, i)),
                self._area(curves.runs[b], *_columns(curves.runs[b], i, j)),
            ]
            found.append(np.mean(sides, axis=0))
            shares.append((curves.rows[i] + curves.rows[j]) / curves.rows.sum())
        weights = shares if self.average == "weighted" else None
        return _bounded(np.average(found, axis=0, weights=weights))

    def _area(self, run: Run, negative: Array, positive: Array) -> tuple[float, float]:
        value = _told(roc_auc_score, negative, positive, max_fpr=self.max_fpr)
        if not run.dropped:
            return value, 0.0
        slack = area_slack(negative, positive)
        if self.max_fpr not in (None, 1):
            # The share of one bin may be cut by the border, where all of its rectangle is open.
            slack *= 2 / (2 * self.max_fpr - self.max_fpr**2)
        return value, slack


@dataclass(frozen=True)
class PrecisionArea:
    """Finish the average precision."""

    average: str | None
    pos_label: Any

    def __call__(self, curves: Curves) -> Any:
        """Return the average precision, or that of each class."""
        curves.require_weight()
        if len(curves.runs) == 1 and len(curves.labels) <= 2:
            present = curves.labels.tolist()
            if self.pos_label not in present and len(present) == 2:
                raise ValueError(
                    f"pos_label={self.pos_label!r} is not a valid label. It should be one of "
                    f"{present}"
                )
            at = present.index(self.pos_label) if self.pos_label in present else -1
            return _bounded(self._area(curves.runs[0], *_columns_against(curves.runs[0], at)))
        if self.pos_label != 1:
            raise ValueError(
                f"pos_label={self.pos_label!r} with several labels; allowed is pos_label=1"
            )
        columns = _labels_of_columns(curves, None)
        return _over_classes(curves, columns, self.average, self._area)

    def _area(self, run: Run, negative: Array, positive: Array) -> tuple[float, float]:
        value = _told(average_precision_score, negative, positive)
        return value, precision_slack(negative, positive) if run.dropped else 0.0


Area = Callable[[Run, Array, Array], tuple[float, float]]


def _over_classes(curves: Curves, columns: Array, average: str | None, area: Area) -> Any:
    """Return the average over classes, each against the others."""
    at = {int(place): i for i, place in enumerate(np.searchsorted(columns, curves.labels))}
    sides = [_columns_against(run, at.get(c, -1)) for c, run in enumerate(curves.runs)]
    if average == "micro":
        run, negative, positive = _all_columns(curves, sides)
        return _bounded(area(run, negative, positive))
    found = [area(run, *side) for run, side in zip(curves.runs, sides, strict=True)]
    if average is None:
        values, slacks = np.array(found).T
        if slacks.any():
            warnings.warn(
                f"y_score has more distinct scores than max_distinct; values are off by up to "
                f"{slacks.max():.2g}",
                UserWarning,
                stacklevel=2,
            )
        return values
    weights = None
    if average == "weighted":
        weights = [positive.sum() for _, positive in sides]
    return _bounded(np.average(found, axis=0, weights=weights))


def _all_columns(curves: Curves, sides: list[tuple[Array, Array]]) -> tuple[Run, Array, Array]:
    """Return the scores of all columns as those of one."""
    total: Run | None = None
    for run, (negative, positive) in zip(curves.runs, sides, strict=True):
        part = Run(run.keys, np.stack([negative, positive], axis=1), run.dropped)
        total = part if total is None else merged(total, part, limit=2**62)
    assert total is not None
    return total, total.weights[:, 0], total.weights[:, 1]


def _told(theirs: Callable[..., Any], negative: Array, positive: Array, **options: Any) -> float:
    """Return what scikit-learn says of ranks with these weights."""
    ranks, y, weight = [], [], []
    for side, weights in enumerate((negative, positive)):
        some = np.flatnonzero(weights)
        ranks.append(some)
        y.append(np.full(len(some), side))
        weight.append(weights[some])
    return float(
        theirs(
            np.concatenate(y),
            np.concatenate(ranks).astype(np.float64),
            sample_weight=np.concatenate(weight),
            **options,
        )
    )


def _bounded(found: Any) -> BoundedFloat:
    value, slack = found
    return BoundedFloat(float(value), float(slack))


def _columns_against(run: Run, at: int) -> tuple[Array, Array]:
    everything = run.weights.sum(axis=1)
    if at < 0:
        return everything, np.zeros_like(everything)
    others = np.delete(run.weights, at, axis=1).sum(axis=1)
    return others, run.weights[:, at]


def _columns(run: Run, negative: int, positive: int) -> tuple[Array, Array]:
    return run.weights[:, negative], run.weights[:, positive]


def _over(curves: Curves, labels: Array) -> Curves:
    """Return the same curves with the columns of more labels."""
    if labels is curves.labels:
        return curves
    place = np.searchsorted(labels, curves.labels)
    runs = []
    for run in curves.runs:
        weights = np.zeros((len(run.keys), len(labels)))
        weights[:, place] = run.weights
        runs.append(Run(run.keys, weights, run.dropped))
    rows = np.zeros(len(labels), dtype=curves.rows.dtype)
    rows[place] = curves.rows
    return Curves(labels, tuple(runs), rows, curves.weighted)


def _labels_of_columns(curves: Curves, labels: tuple[Any, ...] | None) -> Array:
    columns = curves.labels if labels is None else np.asarray(labels)
    if labels is not None:
        unique = np.unique(columns)
        if len(unique) != len(columns):
            raise ValueError(f"labels={labels} has some twice: Parameter 'labels' must be unique")
        if (unique != columns).any():
            raise ValueError(f"labels={labels}: Parameter 'labels' must be ordered")
        unseen = ~np.isin(curves.labels, columns)
        if unseen.any():
            raise ValueError(
                f"'y_true' contains labels not in parameter 'labels': {curves.labels[unseen]}; "
                f"allowed are {columns}"
            )
    if len(columns) != len(curves.runs):
        raise ValueError(
            f"Number of classes in y_true not equal to the number of columns in 'y_score': "
            f"{len(columns)} labels, {len(curves.runs)} columns"
        )
    return columns
