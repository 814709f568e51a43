"""What all estimators share: bringing data in, predicting and scoring where the rows are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils.validation import (
    _check_sample_weight,
    _num_samples,
    check_is_fitted,
    validate_data,
)

from daskml_exec.executor import Executor, as_dask_futures, cluster_is_meant
from daskml_exec.partitions import (
    ROWS,
    Cut,
    Data,
    Labels,
    Numbers,
    Target,
    check_weights,
    is_collection,
    load_checked,
    map_rows,
    meta_of_predictions,
    naming_columns,
    refuse_unreadable,
    to_memory,
    weight_column,
)
from daskml_exec.training._features import check_features, labels_of_columns, learn_features
from daskml_exec.training._listening import ListeningEstimator


class PartitionedEstimator(ListeningEstimator):
    """Base of the estimators of rows and columns; holds nothing of the cluster."""

    def _check_arguments(self, X: Any, y: Any, sample_weight: Any) -> Executor | None:
        """Check what needs no data, and return the Executor to train on.

        None if nothing names one, and the data is in memory, where it can be trained on; and for a
        `Data` in memory, whatever names one.
        """
        self._validate_params()
        self._callbacks()
        self._say("looking at the data, and bringing it to the Workers")
        if y is None and not isinstance(X, Data):
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "one value per row"
            )
        if isinstance(X, Data) and X.in_memory:
            self._require_no_workers()
            return None
        given = [as_dask_futures(each) for each in (X, y, sample_weight)]
        elsewhere = isinstance(X, Data) or any(map(is_collection, given))
        if elsewhere or self._needs_workers or cluster_is_meant():
            return Executor.current()
        return None

    @property
    def _needs_workers(self) -> bool:
        """Whether what was asked for needs a cluster, wherever the data is."""
        return bool(self.parallel != "data")

    def _require_no_workers(self) -> None:
        if self._needs_workers:
            raise ValueError(
                f"X is a Data in this process, and parallel={self.parallel!r} or shuffle="
                "'partitions' needs Workers; allowed are parallel='data' with another shuffle, and "
                "a Data on a cluster"
            )

    def _brought(
        self,
        executor: Executor | None,
        X: Any,
        y: Any,
        sample_weight: Any,
        target: Target,
        **checks: Any,
    ) -> Data:
        """Return rows loaded and checked, which are the caller's to release."""
        X, y, sample_weight, names = self._inputs(
            executor, X, y, sample_weight, reset=True, **checks
        )
        if isinstance(X, Data):
            return X.lent(target, ROWS, type(self).__name__)
        return load_checked(
            executor, X, y, sample_weight, target=target, cut=ROWS, feature_names=names
        )

    def _inputs(
        self, executor: Executor | None, X: Any, y: Any, sample_weight: Any, **checks: Any
    ) -> tuple[Any, Any, Any, tuple[str, ...] | None]:
        """Return data in memory checked, with its feature names; what is loaded as it is."""
        if isinstance(X, Data):
            X.require_alone(y, sample_weight)
            return X, None, None, None
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

    @contextmanager
    def _loaded(
        self,
        executor: Executor | None,
        inputs: tuple[Any, Any, Any, tuple[str, ...] | None],
        target: Target,
        cut: Cut = ROWS,
        *,
        reset: bool = True,
    ) -> Iterator[Data]:
        """Yield what `_inputs` returned as data on the cluster, released in the end if it is ours.

        A traceback that somebody keeps, as notebooks do, would keep it there otherwise.
        """
        X, y, sample_weight, names = inputs
        if isinstance(X, Data):
            data = X.lent(target, cut, type(self).__name__)
        else:
            data = load_checked(
                executor, X, y, sample_weight, target=target, cut=cut, feature_names=names
            )
        with data:
            if isinstance(X, Data) or is_collection(X):
                learn_features(self, data, reset=reset)
            yield data

    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Score in memory, or where the rows of a collection live."""
        check_is_fitted(self)
        if isinstance(X, Data):
            return self._score_loaded(X, y, sample_weight)
        if y is None:
            raise ValueError("y is None; allowed is one value per row, and None where X is a Data")
        X, y, sample_weight = (as_dask_futures(each) for each in (X, y, sample_weight))
        if not is_collection(X):
            y = to_memory(y, None, "y")
            sample_weight = to_memory(sample_weight, None, "sample_weight")
        self._refuse_columns(y, sample_weight)
        if is_collection(X):
            check_features(self, X)
            return self._score_on_cluster(Executor.current(), X, y, sample_weight)
        if sample_weight is not None:
            sample_weight = check_weights(
                weight_column(sample_weight, _num_samples(X)), where="the data"
            )
        return float(self._score_in_memory(X, y, sample_weight))

    def _score_loaded(self, data: Data, y: Any, sample_weight: Any) -> float:
        data.require_alone(y, sample_weight)
        target = Numbers(several=False) if is_regressor(self) else Labels()
        data = data.lent(target, ROWS, f"{type(self).__name__}.score")
        learn_features(self, data, reset=False)
        return self._score_on_cluster(data.executor, data, None, None)

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        raise NotImplementedError

    def _score_on_cluster(self, executor: Executor, X: Any, y: Any, sample_weight: Any) -> float:
        raise NotImplementedError

    def _map(self, function: Any, X: Any, columns: Any, dtype: Any, *, floating: bool) -> Any:
        if isinstance(X, Data):
            X.require_rows(f"a prediction of {type(self).__name__}")
            learn_features(self, X, reset=False)
            return X.map_rows(function, meta_of_predictions(X, columns, dtype, promote=floating))
        X = as_dask_futures(X)
        if is_collection(X):
            check_features(self, X)
            meta = meta_of_predictions(X, columns, dtype, promote=floating)
            return map_rows(function, X, meta=meta, labels=self._labels_of_columns())
        refuse_unreadable(X, "X")
        with naming_columns(X, "X"):
            X = validate_data(
                self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
            )
        return function(X)

    def _labels_of_columns(self) -> tuple[str, ...] | None:
        return labels_of_columns(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
