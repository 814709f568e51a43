"""Encode categories by what a target is in them."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import preprocessing as sk
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._set_output import _wrap_data_with_container

from daskml_exec.executor import Executor, as_dask_futures, cluster_is_meant, configured_number
from daskml_exec.kernels.folds import MOST_FOLDS
from daskml_exec.kernels.target_sums import encodings, places_among
from daskml_exec.partitions import (
    FRAME,
    FUTURES,
    Data,
    Labels,
    LabelsOrNumbers,
    Numbers,
    Partition,
    is_collection,
    kind_of,
    load_checked,
    refuse_unreadable,
    require_matrix,
    to_memory,
)
from daskml_exec.preprocessing._categories import LIMIT
from daskml_exec.preprocessing._encoders import CategoryBlock, CategoryPreprocessor, Counted
from daskml_exec.preprocessing._folds import CountClasses, Folds, ranges, stratified
from daskml_exec.preprocessing._questions import answered, ask_once
from daskml_exec.preprocessing._target_sums import TargetAnswer, TargetSums
from daskml_exec.training import all_or_nothing, labels_of_columns, learn_features, reduce

_TARGETS = {
    "auto": LabelsOrNumbers(),
    "binary": Labels(),
    "multiclass": Labels(),
    "continuous": Numbers(several=False),
}


@dataclass(frozen=True)
class Seen:
    """The answer of all rows seen, and the classes that it knows."""

    classes: Any
    answer: TargetAnswer

    def __add__(self, other: "Seen") -> "Seen":
        if (self.classes is None) != (other.classes is None):
            raise ValueError("y has labels in some calls and numbers in others; allowed is one")
        if self.classes is None:
            return Seen(None, self.answer + other.answer)
        classes = np.unique(np.concatenate([self.classes, other.classes]))
        first, second = (
            each.answer.of_classes(places_among(classes, each.classes), len(classes))
            for each in (self, other)
        )
        return Seen(classes, first + second)


class TargetEncoder(CategoryPreprocessor):
    """Encode categories by the mean of the target in them, drawn to that of all rows.

    As `sklearn.preprocessing.TargetEncoder`, with two differences. Folds are rows in order:
    `fit_transform` gives what scikit-learn's gives with ``cv=KFold(n)`` (numbers) or
    ``cv=StratifiedKFold(n)`` (labels), and there is neither `shuffle` nor `random_state`. And y has
    two classes at least. One pass counts for each category and fold; of labels, one more looks at y
    alone.

    Parameters
    ----------
    categories : "auto" or list of array-likes, default="auto"
        Of each column: those found, or given ones.
    target_type : {"auto", "continuous", "binary", "multiclass"}, default="auto"
        What y is. "auto" takes numbers that are not whole for continuous.
    smooth : "auto" or float, default="auto"
        How much categories are drawn to the mean of all rows; "auto" computes it from variances.
    cv : int, KFold or StratifiedKFold, default=5
        Folds of `fit_transform`: each is encoded by what the others tell. They do not shuffle.

    Attributes
    ----------
    encodings_ : list of ndarray
        Of each column, and of each class where there are more than two.
    categories_ : list of ndarray
    target_type_ : str
    target_mean_ : float, or ndarray of shape (n_classes,)
    classes_ : ndarray or None
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> from daskml_exec.preprocessing import TargetEncoder
    >>> X, y = [["a"], ["a"], ["b"], ["b"]], [0, 1, 1, 1]
    >>> encoder = TargetEncoder(smooth=0.0, cv=2).fit(X, y)
    >>> encoder.transform([["a"], ["b"], ["c"]]).ravel()
    array([0.5 , 1.  , 0.75])
    """

    _sklearn = sk.TargetEncoder
    _private = ("_infrequent_enabled",)
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "categories": [StrOptions({"auto"}), list],
        "target_type": [StrOptions(set(_TARGETS))],
        "smooth": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "cv": [Interval(Integral, 2, None, closed="left"), KFold, StratifiedKFold],
    }
    encodings_: list[NDArray[Any]]
    target_type_: str
    target_mean_: Any
    classes_: NDArray[Any] | None

    def __init__(
        self,
        categories: Any = "auto",
        target_type: str = "auto",
        smooth: Any = "auto",
        cv: Any = 5,
    ) -> None:
        self.categories = categories
        self.target_type = target_type
        self.smooth = smooth
        self.cv = cv

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the encodings of all rows. To encode these rows themselves, use `fit_transform`.

        Parameters
        ----------
        X : array-like, dataframe, Dask collection, list of futures or Data
            Rows of texts or numbers. None and NaN are categories.
        y : the same kinds
            One label or number per row; None beside a `Data`, which has its own.

        Returns
        -------
        self
            This estimator, fitted.

        Raises
        ------
        TypeError
            A column has texts and numbers.
        ValueError
            A column has more categories than dask config ``daskml-exec.max-categories``; or what
            scikit-learn refuses.
        """
        with self._learned(X, y, reset=True, cross=False):
            return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from more rows: the result is that of all rows together.

        Parameters
        ----------
        X, y : as in `fit`
            Rows, and what is to be predicted of them.

        Returns
        -------
        self
            This estimator, fitted.
        """
        with self._learned(X, y, reset=not hasattr(self, "encodings_"), cross=False):
            return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Learn the encodings, and return each fold encoded by what the others tell.

        Parameters
        ----------
        X, y : as in `fit`
            Rows, and what is to be predicted of them.
        **fit_params : dict
            None are allowed.

        Returns
        -------
        ndarray or dataframe
            For a Dask array or a `Data` a Dask array, for a Dask dataframe or a list of futures
            such. The Workers begin with it at once.
        """
        if fit_params:
            raise TypeError(f"{sorted(fit_params)} given; allowed is nothing")
        with self._learned(X, y, reset=True, cross=True) as (data, folds, answer):
            crossed = self._crossed(folds, answer)
            if data.in_memory or not (is_collection(X) or isinstance(X, Data)):
                return self._crossed_in_memory(data, crossed, X)
            none = crossed.models[0].transform(self._row(X))[:0]
            if kind_of(X) == FRAME or self._wants_frames():
                none = pd.DataFrame(none, columns=list(self.get_feature_names_out()))
            made = data.map_partitions(crossed, none, joined=kind_of(X) != FUTURES)
            if kind_of(made) != FRAME:
                return made
            # Delayed blocks of a frame that was made of futures know these by name, and do not hold
            # them; they hold what was persisted.
            return made.persist(scheduler=data.executor.client)

    def _crossed_in_memory(self, data: Data, crossed: "Crossed", X: Any) -> Any:
        if data.in_memory:
            pieces = data.partitions.partitions
        else:
            pieces = data.executor.client.gather(list(data.partitions.futures))
        made = np.concatenate([crossed.array(piece) for piece in pieces if piece.n_rows])
        return _wrap_data_with_container("transform", made, X, self.to_sklearn())

    @contextmanager
    def _learned(self, X: Any, y: Any, *, reset: bool, cross: bool) -> Iterator[Any]:
        """Learn, and yield the data with its folds and the answer."""
        with all_or_nothing(self):
            self._validate_params()
            name = type(self).__name__
            with self._with_target(X, y, reset=reset) as data:
                if not sum(data.rows):
                    raise ValueError(f"X has 0 rows: a minimum of 1 sample is required by {name}")
                classes = data.settled.classes
                n_classes = 0 if classes is None else len(classes)
                if self.target_type == "binary" and n_classes != 2:
                    raise ValueError(f"target_type='binary', and y has {n_classes} classes")
                folds = self._folds(data, n_classes) if cross else ranges(sum(data.rows), 1)
                query = TargetSums(folds, n_classes, configured_number(LIMIT))
                answer = answered(ask_once(query), data.partitions, name)
                seen = Seen(classes, answer.as_one_fold())
                seen = seen if reset else self._seen + seen
                self._take_over(self._finished(seen))
                self._seen, self._of_frames = seen, kind_of(X) == FRAME
                yield data, folds, answer

    @contextmanager
    def _with_target(self, X: Any, y: Any, *, reset: bool) -> Iterator[Data]:
        if isinstance(X, Data):
            X.require_alone(y, None)
            if X.settled.classes is None and X.settled.moments is None:
                raise ValueError("X is a Data without y; allowed is load(X, y, target=...)")
            learn_features(self, X, reset=reset)
            yield X
            return
        if y is None:
            raise ValueError(
                "requires y to be passed, but the target y is None: one label or number per row"
            )
        X, y = as_dask_futures(X), as_dask_futures(y)
        for column, name in ((X, "X"), (y, "y")):
            refuse_unreadable(column, name)
        collections = is_collection(X)
        executor = Executor.current() if collections or cluster_is_meant() else None
        if collections:
            require_matrix(X)
        else:
            X, y = self._checked(X, reset=reset), to_memory(y, executor, "y")
        loaded = load_checked(
            executor,
            X,
            y,
            None,
            target=_TARGETS[self.target_type],  # type: ignore[arg-type]
            feature_names=None if collections else labels_of_columns(self),
            raw=True,
        )
        with loaded as data:
            if collections:
                learn_features(self, data, reset=reset)
            yield data

    def _folds(self, data: Data, n_classes: int) -> Folds:
        splitter = self.cv
        if isinstance(splitter, (KFold, StratifiedKFold)) and splitter.shuffle:
            raise ValueError(f"cv={splitter!r}; allowed are folds that do not shuffle")
        if isinstance(splitter, StratifiedKFold) and not n_classes:
            raise ValueError(f"cv={splitter!r}, and y has numbers; allowed is KFold")
        n_folds = int(getattr(splitter, "n_splits", splitter))
        rows = sum(data.rows)
        if n_folds > MOST_FOLDS:
            raise ValueError(f"cv={splitter!r}; allowed are up to {MOST_FOLDS:,} folds")
        if n_folds > rows:
            raise ValueError(
                f"Cannot have number of splits n_splits={n_folds} greater than the number of "
                f"samples: n_samples={rows}."
            )
        if not n_classes or isinstance(splitter, KFold):
            return ranges(rows, n_folds)
        counts = reduce(CountClasses(n_classes), data.partitions, name=type(self).__name__)
        return stratified(counts, n_folds)

    def _finished(self, answer: Seen) -> Any:
        model = _CountedTarget(**self.get_params(deep=False))
        model.counted = answer.answer.counted()
        model._fit(self._stand_in(), handle_unknown="ignore", ensure_all_finite="allow-nan")
        del model.counted
        model.__class__ = sk.TargetEncoder
        model.classes_ = answer.classes
        model.target_type_ = "continuous"
        if answer.classes is not None:
            several = len(answer.classes) > 2 or self.target_type == "multiclass"
            model.target_type_ = "multiclass" if several else "binary"
        self._encode(model, answer.answer, [0])
        return model

    def _encode(self, model: Any, answer: TargetAnswer, folds: Sequence[int]) -> None:
        """Give a model the encodings that some folds tell."""
        smooth = None if self.smooth == "auto" else float(self.smooth)
        total, model.encodings_ = answer.total.of_folds(folds), []
        pick: Any = slice(1, 2) if model.target_type_ == "binary" else slice(None)
        for values, column in zip(model.categories_, answer.columns or (), strict=True):
            table = column.table
            if self.categories != "auto":
                table = table.placed(_places(values, column.categories.values), len(values))
            found = encodings(table.of_folds(folds), total, smooth)[:, pick]
            model.encodings_ += [np.ascontiguousarray(each) for each in found.T]
        mean = total.mean[0, pick]
        model.target_mean_ = mean if model.target_type_ == "multiclass" else mean[0]

    def _crossed(self, folds: Folds, answer: TargetAnswer) -> "Crossed":
        models = []
        for fold in range(folds.n_folds):
            model = copy.copy(self.to_sklearn()).set_output(transform="default")
            self._encode(model, answer, [each for each in range(folds.n_folds) if each != fold])
            models.append(model)
        for model in models:  # what is none of given categories scikit-learn gives the last mean
            model.target_mean_ = models[-1].target_mean_
        return Crossed(tuple(models), folds, list(self.get_feature_names_out()))


class _CountedTarget(Counted, sk.TargetEncoder):
    pass


def _places(values: Any, found: Any) -> Any:
    """Return places among given categories; scikit-learn takes others for the first."""
    known = np.array([repr(each) for each in values.tolist()])
    places = {each: place for place, each in enumerate(known.tolist())}
    return np.array([places.get(repr(each), 0) for each in found.tolist()], np.intp)


@dataclass(frozen=True, eq=False)
class Crossed:
    """Encodes each fold by what the others tell.

    Attributes
    ----------
    models : tuple of TargetEncoder
        Scikit-learn's, one for each fold.
    folds : Folds
    names : list of str
        Of columns, where frames become frames.
    """

    models: tuple[Any, ...]
    folds: Folds
    names: list[str]

    @property
    def __name__(self) -> str:
        return "TargetEncoder-fit_transform"

    def __call__(self, partition: Partition) -> Any:
        """Return the rows of a partition encoded."""
        made = self.array(partition)
        if isinstance(partition.X, pd.DataFrame):
            return pd.DataFrame(made, partition.X.index, self.names)
        return made

    def array(self, partition: Partition) -> Any:
        """Return the rows of a partition encoded, as an array."""
        X, folds = partition.X, self.folds.of(partition)
        made = np.empty((partition.n_rows, len(self.names)))
        for fold, model in enumerate(self.models):
            rows = np.flatnonzero(folds == fold)
            if len(rows):
                some = X.iloc[rows] if isinstance(X, pd.DataFrame) else np.asarray(X)[rows]
                made[rows] = CategoryBlock(model, "transform", None)(some)
        return made
