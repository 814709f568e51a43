"""What all estimators share: bringing data in, predicting and scoring where the rows are."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _num_samples,
    check_is_fitted,
    validate_data,
)

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.partitions import (
    Partitions,
    check_weights,
    frame_meta,
    is_collection,
    map_rows,
    naming_columns,
    refuse_unreadable,
    require_features,
    require_matrix,
    to_memory,
    weight_column,
)
from daskml_exec.training._events import Callback
from daskml_exec.training._lines import RoundLines


class PartitionedEstimator(BaseEstimator):
    """Base of the estimators; holds nothing of the cluster."""

    def _check_arguments(self, y: Any) -> Executor:
        """Check what needs no data, and return the Executor to train on."""
        self._validate_params()
        self._callbacks()
        self._say("looking at the data, and bringing it to the Workers")
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "one value per row"
            )
        return Executor.current()

    def _inputs(
        self, executor: Executor, X: Any, y: Any, sample_weight: Any, **checks: Any
    ) -> tuple[Any, Any, Any, tuple[str, ...] | None]:
        """Return data in memory checked, with its feature names; collections as they are."""
        X, y, sample_weight = (as_dask_futures(each) for each in (X, y, sample_weight))
        refuse_unreadable(X, "X")
        if not is_collection(X):
            y = to_memory(y, executor, "y")
            sample_weight = to_memory(sample_weight, executor, "sample_weight")
        self._refuse_columns(y, sample_weight)
        if is_collection(X):
            return X, y, sample_weight, None
        with naming_columns(X, "X"):
            X, y = validate_data(
                self,
                X,
                y,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
                **checks,
            )
        if sample_weight is not None:
            sample_weight = weight_column(sample_weight, X.shape[0])
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        return X, y, sample_weight, self._labels_of_columns()

    def _refuse_columns(self, y: Any, sample_weight: Any) -> None:
        """Refuse what looks like a column and is none; labels of classes may be dates."""
        refuse_unreadable(y, "y", dates=is_regressor(self))
        refuse_unreadable(sample_weight, "sample_weight")

    def _learn_features(self, X: Any, partitions: Partitions, *, reset: bool = True) -> None:
        """Remember the columns of a collection, or compare them with those remembered."""
        if not is_collection(X):
            return
        names = partitions.feature_names
        frame = None if names is None else pd.DataFrame(columns=list(names))
        _check_feature_names(self, frame, reset=reset)
        if reset:
            self.n_features_in_ = partitions.n_features
        else:
            require_features(partitions.n_features, self.n_features_in_, type(self).__name__)

    def _callbacks(self) -> list[Callback]:
        given = list(self.callbacks or [])
        for callback in given:
            if not callable(callback):
                raise TypeError(
                    f"callbacks has {callback!r}, which cannot be called; allowed are functions "
                    "of a RoundEvent"
                )
        return given

    @contextmanager
    def _listeners(self, opening: str) -> Iterator[list[Callback]]:
        """Give the callbacks of a fit that begins with these words, where it is to tell of it."""
        if not self._tells:
            yield self._callbacks()
            return
        with RoundLines(f"{type(self).__name__}: {opening}") as lines:
            yield [lines, *self._callbacks()]

    def _say(self, line: str) -> None:
        if self._tells:
            print(f"{type(self).__name__}: {line}")

    @property
    def _tells(self) -> bool:
        return bool(getattr(self, "verbose", 0))

    def _like_this(self) -> Any:
        """Return an estimator with the same arguments and features, not fitted."""
        other = type(self)(**self.get_params(deep=False))
        return self._copy_fitted(other)

    def _copy_fitted(self, model: Any, *names: str) -> Any:
        """Copy fitted attributes to another model."""
        for name in (*names, "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(model, name, copy.deepcopy(getattr(self, name)))
        return model

    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Score in memory, or where the rows of a collection live."""
        check_is_fitted(self)
        X, y, sample_weight = (as_dask_futures(each) for each in (X, y, sample_weight))
        if not is_collection(X):
            y = to_memory(y, None, "y")
            sample_weight = to_memory(sample_weight, None, "sample_weight")
        self._refuse_columns(y, sample_weight)
        if is_collection(X):
            self._check_features(X)
            return self._score_on_cluster(Executor.current(), X, y, sample_weight)
        if sample_weight is not None:
            sample_weight = check_weights(
                weight_column(sample_weight, _num_samples(X)), where="the data"
            )
        return float(self._score_in_memory(X, y, sample_weight))

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        raise NotImplementedError

    def _score_on_cluster(self, executor: Executor, X: Any, y: Any, sample_weight: Any) -> float:
        raise NotImplementedError

    def _map(self, function: Any, X: Any, columns: Any, dtype: Any, *, floating: bool) -> Any:
        X = as_dask_futures(X)
        if is_collection(X):
            self._check_features(X)
            return map_rows(
                function,
                X,
                columns=columns,
                dtype=dtype,
                promote=floating,
                labels=self._labels_of_columns(),
            )
        refuse_unreadable(X, "X")
        with naming_columns(X, "X"):
            X = validate_data(
                self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
            )
        return function(X)

    def _labels_of_columns(self) -> tuple[str, ...] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else tuple(names)

    def _check_features(self, X: Any) -> None:
        """Compare with the columns of `fit` what is known of a collection without its blocks."""
        require_matrix(X)
        refuse_unreadable(X, "X")
        meta = frame_meta(X)
        if meta is None:
            return  # the blocks of futures may be frames or not, and are looked at where they are
        _check_feature_names(self, meta, reset=False)
        if hasattr(meta, "shape") and not np.isnan(meta.shape[1]):
            _check_n_features(self, meta, reset=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
