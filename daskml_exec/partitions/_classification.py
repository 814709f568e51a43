"""Labels of classes as a target: replaced by indices into the sorted classes."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import compute_class_weight

from daskml_exec.partitions._labels import Encoding, LabelCounts, count_labels, unique_labels
from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._relative import AS_GIVEN, TargetForm, weight_exponent
from daskml_exec.partitions._target import Settled, require_weight


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of classes, at least two.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        As in scikit-learn; it multiplies `sample_weight`. A class of weight zero is no class.
    known : array-like, optional
        The labels that there are, of which this data may lack some; found in the data by default.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.partitions import Labels, load
    >>> X, y = np.arange(8.0).reshape(4, 2), np.array(["yes", "no", "no", "no"])
    >>> with Executor(processes=False, n_workers=1):
    ...     with load(X, y, target=Labels(class_weight="balanced")) as data:
    ...         print(data.classes)
    ['no' 'yes']
    """

    class_weight: Any = None
    known: Any = None

    kind: ClassVar[str | None] = "labels"
    several: ClassVar[bool] = False

    def describe(self, partition: Partition, where: str) -> LabelCounts:
        """Find the labels, and what the rows of each weigh."""
        return count_labels(partition, where)

    def settle(self, found: list[LabelCounts], rows: int, *, weighted: bool) -> Settled:
        """Find the classes, and what multiplies the weights of each."""
        classes, weight_of_class = _merge_classes(found, rows)
        if self.known is not None:
            known = np.unique(np.asarray(self.known))
            _require_known(known, classes)
            classes, weight_of_class = known, np.ones(len(known))
        multipliers = class_multipliers(self.class_weight, classes, weight_of_class)
        weighted = weighted or multipliers is not None
        form = _form(multipliers, weight_of_class, rows) if weighted else AS_GIVEN
        return Settled(
            Encoding(classes, multipliers, form.exponent),
            form,
            weighted,
            classes=_with_weight(classes, multipliers),
        )

    def require_of(self, loaded: "Labels", settled: Settled, who: str) -> None:
        """Raise ValueError for other class weights, where any are asked for, or classes."""
        if self.class_weight is not None and not _same(self.class_weight, loaded.class_weight):
            raise ValueError(
                f"{who} has class_weight={self.class_weight!r}, and X is a Data that was loaded "
                f"with class_weight={loaded.class_weight!r}; allowed are the same, and None, which "
                "keeps the Data's: load(X, y, target=Labels(class_weight=...))"
            )
        found: Any = settled.classes
        if self.known is not None and not np.array_equal(self.known, found):
            raise ValueError(
                f"X is a Data with the classes {found.tolist()[:20]}; {who} needs "
                f"{np.asarray(self.known).tolist()[:20]}: load(X, y, target=Labels(known=...))"
            )


def _same(first: Any, second: Any) -> bool:
    return type(first) is type(second) and bool(first == second)


def _form(multipliers: Any, weight_of_class: Any, rows: int) -> TargetForm:
    """Return how to bring the weights to a usual size."""
    with np.errstate(over="ignore"):
        weight = weight_of_class if multipliers is None else weight_of_class * multipliers
        return TargetForm(weight_exponent(float(np.sum(weight)), rows))


def _require_known(known: Any, found: Any) -> None:
    """Raise ValueError for a label that is none of those known."""
    strange = np.setdiff1d(found, known)
    if len(strange):
        raise ValueError(
            f"y has labels that are not among the classes: {strange.tolist()[:10]}; allowed are "
            f"{known.tolist()[:20]}"
        )


def _merge_classes(counts: list[LabelCounts], rows: int) -> tuple[Any, Any]:
    """Return the sorted union of the labels, in the labels' own dtype, and their weights."""
    filled = [count for count in counts if len(count.classes)]
    require_weight(rows, len(filled), needed="at least two classes need rows")
    _check_one_type(counts)
    labels = np.concatenate([count.classes for count in filled])
    weights = np.concatenate([count.weights for count in filled])
    classes, codes = unique_labels(labels, where="the data")
    return classes, np.bincount(codes, weights, minlength=len(classes))


def _check_one_type(counts: list[LabelCounts]) -> None:
    """Raise TypeError for labels that would be changed by putting them into one array."""
    first: dict[np.dtype[Any], int] = {}
    for index, count in enumerate(counts):
        if len(count.classes):
            first.setdefault(count.classes.dtype, index)
    numeric = {dtype.kind in "biuf" for dtype in first}
    if len(numeric) > 1:
        allowed = "are strings in all partitions, or numbers in all"
    elif all(dtype.kind in "biu" for dtype in first) and np.result_type(*first).kind == "f":
        allowed = "are integers that one integer dtype can hold"
    else:
        return
    found = ", ".join(f"{dtype} in partition {index}" for dtype, index in first.items())
    raise TypeError(f"y has labels of several types: {found}; allowed {allowed}")


def class_multipliers(class_weight: Any, classes: Any, weight_of_class: Any) -> Any:
    """Return one factor per class, or None for ones.

    A class whose rows weigh nothing with its factor gets the factor zero. At least two others
    are needed.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
    classes : ndarray of shape (n_classes,)
    weight_of_class : ndarray of shape (n_classes,)
        The sum of the weights of the rows of each.
    """
    _require_two(classes)
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight={class_weight!r}; allowed are a dict from label to weight, "
                "'balanced' and None"
            )
        return weight_of_class.sum() / (len(classes) * weight_of_class)
    multipliers = compute_class_weight(class_weight, classes=classes, y=classes)
    for label, value in zip(classes.tolist(), multipliers.tolist(), strict=True):
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(
                f"class_weight has {value:g} for the label {label!r}; allowed are finite values "
                "from 0"
            )
    multipliers[multipliers * weight_of_class == 0] = 0
    _require_two(_with_weight(classes, multipliers))
    return multipliers


def require_stream_weight(class_weight: Any) -> None:
    """Raise ValueError for class weights that rows to come would change, or could not have.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Of a classifier whose `partial_fit` is called.
    """
    if isinstance(class_weight, str):
        raise ValueError(
            f"class_weight={class_weight!r}: partial_fit does not know the rows that are to come, "
            "and cannot balance them; allowed are a dict from label to weight, and None"
        )
    for label, value in (class_weight or {}).items():
        if not value > 0:
            raise ValueError(
                f"class_weight has {value!r} for the label {label!r}; allowed are weights above 0 "
                "in partial_fit, which may meet rows of each class"
            )


def _with_weight(classes: Any, multipliers: Any) -> Any:
    return classes if multipliers is None else classes[multipliers > 0]


def _require_two(classes: Any) -> None:
    if len(classes) < 2:
        found = f"one class: {classes.tolist()[0]!r}" if len(classes) else "no class"
        raise ValueError(
            "This solver needs samples of at least 2 classes in the data, but y contains only "
            f"{found} (rows of weight zero do not count)"
        )
