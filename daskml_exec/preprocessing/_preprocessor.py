"""What all preprocessors share: fitted by a question, they transform as scikit-learn does."""

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
import sklearn
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from daskml_exec.executor import Executor, as_dask_futures, cluster_is_meant
from daskml_exec.kernels.array_namespace import is_on_device
from daskml_exec.kernels.moments import Moments
from daskml_exec.partitions import (
    FRAME,
    NO_TARGET,
    ROWS,
    WHERE_THEY_ARE,
    Data,
    Scaled,
    beside_blocks,
    block_map,
    gaps_as_nan,
    is_collection,
    kind_of,
    load_checked,
    map_rows,
    name_of,
    naming_columns,
    refuse_unreadable,
    require_matrix,
    to_memory,
    weight_column,
)
from daskml_exec.preprocessing._questions import Columns, Questions, answered, ask_once
from daskml_exec.preprocessing._summaries import single_precision
from daskml_exec.training import (
    Query,
    all_or_nothing,
    check_features,
    labels_of_columns,
    learn_features,
)


class Preprocessor(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Base of what learns from columns by one question, and is scikit-learn's own from then on.

    A fit puts its answer into an estimator of scikit-learn, whose fitted attributes it takes over.
    What transforms is that estimator: in memory, or on each block of rows of a collection.
    """

    _sklearn: ClassVar[Callable[..., Any]]
    """The class of that estimator, which has the same parameters."""
    _accept_sparse: ClassVar[str | bool] = "csr"
    _private: ClassVar[tuple[str, ...]] = ()
    """Names of what else that estimator learns, beside attributes that end with an underscore."""
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    _sklearn_output_config: dict[str, str]
    _block_function: ClassVar[type["BlockFunction"]]
    """What transforms blocks."""
    _seen: Any
    """The answer of all rows seen."""
    _of_frames: bool
    """Whether it was fitted on a Dask dataframe, and makes dataframes of dataframes."""
    _fitted_on: str | None
    """What Dask calls the collection that it was fitted on, if that is all it has seen."""

    def _finished(self, answer: Any) -> Any:
        """Return scikit-learn's estimator, fitted with the answer of all rows seen."""
        raise NotImplementedError

    def _query(self, partitions: Any) -> Query[Any]:
        """Return what partitions are asked, where that is one question."""
        raise NotImplementedError

    def _questions(self, partitions: Any) -> Questions[Any]:
        """Ask what `fit` asks, and return what is made of the answers."""
        return ask_once(self._query(partitions))

    def _fit_by_questions(self, X: Any, columns: Columns) -> Questions[None]:
        """Fit on a collection whose rows somebody else asks.

        Parameters
        ----------
        X : Dask collection
            Of which only what is known without its rows is looked at.
        columns : Columns

        Yields
        ------
        query : Query
            Of partitions with the columns of X, whose answer is to be sent.
        """
        with all_or_nothing(self):
            self._validate_params()
            refuse_unreadable(X, "X")
            require_matrix(X)
            learn_features(self, columns, reset=True)
            self._require_some(columns)
            self._settle(X, (yield from self._questions(columns)), reset=True)

    def _learn(
        self,
        X: Any,
        sample_weight: Any = None,
        *,
        reset: bool,
        questions: Callable[[Any], Questions[Any]] | None = None,
    ) -> Self:
        """Ask the partitions of X, and take over what scikit-learn makes of the answer.

        Parameters
        ----------
        X, sample_weight : as in `fit`
        reset : bool
            Whether to forget what was seen before; else the answers are added.
        questions : callable, optional
            What to ask partitions; by default as `fit` does.
        """
        with all_or_nothing(self):
            self._validate_params()
            with self._loaded(X, sample_weight, reset=reset) as partitions:
                self._require_some(partitions)
                asked = (questions or self._questions)(partitions)
                answer = answered(asked, partitions, type(self).__name__)
            self._settle(X, answer, reset=reset)
        return self

    def _require_some(self, partitions: Any) -> None:
        """Raise ValueError where there is nothing to learn from."""
        name, rows = type(self).__name__, sum(partitions.rows)
        if not rows:
            raise ValueError(f"X has 0 rows: a minimum of 1 sample is required by {name}")
        if not partitions.n_features:
            raise ValueError(
                f"Found array with 0 feature(s) (shape=({rows}, 0)) while a minimum of 1 is "
                f"required by {name}"
            )

    def _settle(self, X: Any, answer: Any, *, reset: bool) -> None:
        """Take over what scikit-learn makes of the answer."""
        if not reset:
            answer = self._seen + answer
        self._take_over(self._finished(answer))
        self._seen, self._of_frames = self._kept(answer), kind_of(X) == FRAME
        self._fitted_on = name_of(X) if reset else None

    def _kept(self, answer: Any) -> Any:
        """Return what `partial_fit` adds to."""
        return answer

    @property
    def _as_given(self) -> bool:
        """Whether data in memory is cut as it was given, and not as numbers."""
        return False

    @contextmanager
    def _loaded(self, X: Any, sample_weight: Any, *, reset: bool) -> Iterator[Any]:
        """Yield partitions of X as it is, released in the end if they are ours."""
        if isinstance(X, Data):
            X.require_alone(None, sample_weight)
            data = X.whole_rows(type(self).__name__) if not X.in_memory else X.partitions
            learn_features(self, data, reset=reset)
            yield data
            return
        X, sample_weight = as_dask_futures(X), as_dask_futures(sample_weight)
        refuse_unreadable(X, "X")
        refuse_unreadable(sample_weight, "sample_weight")
        collections = is_collection(X)
        executor = Executor.current() if collections or cluster_is_meant() else None
        if collections:
            require_matrix(X)
        else:
            X = self._checked(X, reset=reset)
            sample_weight = to_memory(sample_weight, executor, "sample_weight")
            if sample_weight is not None:
                sample_weight = weight_column(sample_weight, X.shape[0])
                sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        loaded = load_checked(
            executor,
            X,
            None,
            sample_weight,
            target=NO_TARGET,
            feature_names=None if collections else labels_of_columns(self),
            raw=collections or self._as_given,
            cut=WHERE_THEY_ARE if collections else ROWS,
        )
        with loaded as data:
            if collections:
                learn_features(self, data, reset=reset)
            yield data.partitions

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Return data in memory as numbers, or raise as scikit-learn does."""
        with naming_columns(X, "X"):
            return validate_data(
                self,
                gaps_as_nan(X),
                accept_sparse=self._accept_sparse,
                dtype=[np.float64, np.float32],
                ensure_all_finite="allow-nan",
                reset=reset,
            )

    def transform(self, X: Any) -> Any:
        """Return X transformed.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array or CSR matrix of shape (n, n_features_out), or dataframe
            For data in memory as scikit-learn's; lazily, a Dask array with the row chunks of X for
            a Dask array, a Dask dataframe with the index of X for a Dask dataframe unless it is
            sparse; a list of futures for a list of futures; a Dask array, begun with at once, for a
            `Data`. Scalers leave blocks on a device there; other preprocessors
            refuse them.
        """
        return self._mapped("transform", X)

    def _mapped_blocks(self, X: Any) -> tuple[Callable[[Any], Any], Any]:
        """Return what transforms a block of a Dask collection, and the collection transformed.

        Parameters
        ----------
        X : Dask collection
            With the columns of `fit`.
        """
        function, meta = self._of_blocks("transform", X)
        made = map_rows(function, X, meta=meta, labels=labels_of_columns(self))
        return block_map(function, X, meta=meta), made

    def _mapped(self, method: str, X: Any) -> Any:
        """Apply a method of scikit-learn's estimator: at once, or lazily to blocks."""
        check_is_fitted(self)
        if isinstance(X, Data):
            if method == "transform":
                learn_features(self, X, reset=False)
            function, meta = self._of_blocks(method, X)
            return X.map_rows(function, meta)
        X = as_dask_futures(X)
        if not is_collection(X):
            refuse_unreadable(X, "X")
            model, X = self.to_sklearn(), gaps_as_nan(X)
            if self._of_frames and self._dense and isinstance(X, pd.DataFrame):
                model.set_output(transform="pandas")
            return getattr(model, method)(X)
        if method == "transform":
            check_features(self, X)
        function, meta = self._of_blocks(method, X)
        labels = labels_of_columns(self) if method == "transform" else None
        made = map_rows(function, X, meta=beside_blocks(X, meta), labels=labels)
        if method == "transform" and (affine := self._affine()) is not None:
            known = self._moments() if self._fitted_on == name_of(X) else None
            return Scaled(X, *affine, type(self).__name__, known).of(made)
        return made

    @property
    def _dense(self) -> bool:
        """Whether `transform` returns what dataframes can hold."""
        return True

    def _affine(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return centre and scale of the columns, if that is all that `transform` does."""
        return None

    def _moments(self) -> Moments | None:
        """Return the moments of the columns that it was fitted on, if it knows them."""
        return None

    def _of_blocks(self, method: str, X: Any) -> tuple["BlockFunction", Any]:
        """Return what transforms a block, and what it returns for no rows."""
        model = self.to_sklearn().set_output(transform="default")
        if "copy" in model.get_params(deep=False):
            model.set_params(copy=True)  # blocks are their owner's
        inverse = method == "inverse_transform"
        of_block = self._block_function
        row = of_block(model, "transform", None)(self._row(X))
        none = (of_block(model, method, None)(row) if inverse else row)[:0]
        function = of_block(model, method, none)
        if sp.issparse(none) or not (kind_of(X) == FRAME or self._wants_frames()):
            return function, none
        names = labels_of_columns(self) if inverse else self.get_feature_names_out()
        return function, pd.DataFrame(none, columns=None if names is None else list(names))

    def _wants_frames(self) -> bool:
        wanted = _get_output_config("transform", self)["dense"]
        if wanted not in ("default", "pandas"):
            raise ValueError(
                f"set_output(transform={wanted!r}); allowed for Dask collections are 'default' and "
                "'pandas'"
            )
        return bool(wanted == "pandas")

    def _row(self, X: Any) -> Any:
        """Return a row that can be transformed, in the precision of X."""
        dtype = np.float32 if single_precision(X) else np.float64
        return row_like(X, np.zeros((1, self.n_features_in_), dtype))

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set what `transform` returns, as scikit-learn's estimators do.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None
            "pandas" makes Dask dataframes of Dask arrays, too. None changes nothing.

        Returns
        -------
        self
            This estimator.
        """
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the columns of X, for an estimator that was fitted without names.

        Returns
        -------
        ndarray of str objects
            A name for each column of the result.
        """
        check_is_fitted(self)
        return self.to_sklearn().get_feature_names_out(input_features)

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator with the same parameters and fitted attributes.

        Returns
        -------
        estimator
            It does not know of Dask.
        """
        check_is_fitted(self)
        model = self._new()
        for name, value in self._learned_of(self).items():
            setattr(model, name, copy.copy(value))
        if hasattr(self, "_sklearn_output_config"):
            model._sklearn_output_config = dict(self._sklearn_output_config)
        return model

    def _new(self) -> Any:
        """Return scikit-learn's estimator, not fitted, but for parameters that it may lack yet."""
        kind, given = type(self)._sklearn, self.get_params(deep=False)
        has, ours = (inspect.signature(each).parameters for each in (kind, type(self)))
        for name in given.keys() - has.keys():
            if given[name] is not ours[name].default:
                raise ValueError(
                    f"{name}={given[name]!r}, which scikit-learn {sklearn.__version__} has not; "
                    f"allowed is {name}={ours[name].default!r}, or a newer scikit-learn"
                )
        return kind(**{name: value for name, value in given.items() if name in has})

    def _take_over(self, model: Any) -> None:
        """Have the fitted attributes of scikit-learn's estimator, and no others but the columns."""
        columns = ("n_features_in_", "feature_names_in_")
        for name in set(self._learned_of(self)) - set(columns):
            delattr(self, name)
        for name, value in self._learned_of(model).items():
            if name not in columns:
                setattr(self, name, value)

    def _learned_of(self, model: Any) -> dict[str, Any]:
        return {
            name: value
            for name, value in vars(model).items()
            if name in self._private or (name.endswith("_") and not name.startswith("_"))
        }

    def __sklearn_tags__(self) -> Any:
        tags = self._new().__sklearn_tags__()
        tags.array_api_support = False
        return tags


class InvertiblePreprocessor(Preprocessor):
    """Base of those whose `transform` has an inverse."""

    def inverse_transform(self, X: Any) -> Any:
        """Return what `transform` has made X of.

        Parameters
        ----------
        X : array-like, sparse matrix, dataframe, Dask collection or list of futures
            What `transform` returns.

        Returns
        -------
        array, sparse matrix or dataframe, lazy for collections as of `transform`
            Of the kind that X is of, lazily for collections.
        """
        return self._mapped("inverse_transform", X)


@dataclass(frozen=True, eq=False)
class BlockFunction:
    """A method of scikit-learn's fitted estimator, of blocks of any size and kind.

    Attributes
    ----------
    model : estimator
    method : str
    none : array or CSR matrix
        What the method returns for no rows, which scikit-learn refuses.
    """

    model: Any
    method: str
    none: Any

    @property
    def __name__(self) -> str:
        return f"{type(self.model).__name__}-{self.method}"

    def __call__(self, block: Any) -> Any:
        """Return the block transformed."""
        if is_on_device(block):
            return self.on_device(block)
        if not len(block) if isinstance(block, list) else not block.shape[0]:
            return self.none
        model = self.model
        named, frame = hasattr(model, "feature_names_in_"), isinstance(block, pd.DataFrame)
        if named and not frame:  # it would warn of names that are missing
            model = copy.copy(model)
            del model.feature_names_in_
        if frame and not named:
            block = self.without_names(block)
        made = getattr(model, self.method)(gaps_as_nan(block))
        return made.tocsr() if sp.issparse(made) else made

    def on_device(self, block: Any) -> Any:
        """Return a block on a device transformed, there."""
        raise TypeError(
            f"{type(self.model).__name__}.{self.method} of X with blocks of {type(block)}, on a "
            "device; allowed are blocks on the host, such as X.map_blocks(cupy.asnumpy)"
        )

    @staticmethod
    def without_names(frame: Any) -> Any:
        """Return the rows of a frame as what has no names of columns."""
        return frame.to_numpy()


def row_like(X: Any, row: Any) -> Any:
    """Return a row as a sparse matrix, if the blocks of a Dask array are such."""
    meta: Any = getattr(X, "_meta", None)
    return type(meta)(row) if sp.issparse(meta) else row


Preprocessor._block_function = BlockFunction
