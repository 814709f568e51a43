"""Other transformers for other columns, of Dask dataframes too."""

import copy
from collections import UserList
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn import compose
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Executor
from daskml_exec.partitions import (
    ARRAY,
    FRAME,
    FUTURES,
    Data,
    columns_side_by_side,
    gaps_as_nan,
    kind_of,
    map_rows,
    sparse_enough,
)
from daskml_exec.preprocessing._crossed import CrossedBlock, beside
from daskml_exec.preprocessing._preprocessor import BlockFunction
from daskml_exec.preprocessing._together import Member, fit_together, learns, steps_of
from daskml_exec.training import all_or_nothing

# Of so many rows, scikit-learn learns which columns are whose, and whether the result is sparse.
_SAMPLE = 1000


class _OverFrames:
    """What is different for Dask dataframes, in front of scikit-learn's class."""

    transformers: list[tuple[str, Any, Any]]
    transformers_: list[tuple[str, Any, Any]]
    remainder: Any
    n_jobs: Any
    get_feature_names_out: Any
    n_features_in_: int
    feature_names_in_: Any
    sparse_output_: bool
    sparse_threshold: float
    output_indices_: dict[str, slice]
    _columns: list[Any]
    _transformer_to_input_indices: dict[str, list[int]]
    _remainder: tuple[str, Any, Any]
    _sklearn_output_config: dict[str, str]
    _iter: Any
    _none: Any
    """What `transform` returns for no rows."""
    _sparse_chunks: bool
    """Whether those of a Dask array are."""

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit all transformers.

        Parameters
        ----------
        X : dataframe, Dask dataframe, array or Dask array
            Rows. A Dask dataframe is computed once, and stays on the Workers as long as this takes.
        y : the same kinds, optional
            For transformers that need it.
        **params : dict
            As scikit-learn routes them; none for Dask dataframes.

        Returns
        -------
        self
            This estimator, fitted.
        """
        if kind_of(X) != FRAME:
            return super().fit(X, y, **params)  # type: ignore[misc]
        with all_or_nothing(self):
            self._fit_on_frame(X, y, params, cross=False)
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit all transformers, and return X transformed, lazily for Dask collections.

        Parameters
        ----------
        X, y, **params : as in `fit`
            Rows, what is to be predicted of them, and what goes on to transformers.

        Returns
        -------
        array, sparse matrix or dataframe
            As of `transform`, but that rows of a `TargetEncoder` are encoded by what other folds
            tell. Where there is such, the Dask dataframe stays on the Workers with the result.
        """
        if kind_of(X) != FRAME:
            _require_rows(X)
            for name in ("_none", "_sparse_chunks"):
                self.__dict__.pop(name, None)
            return super().fit_transform(X, y, **params)  # type: ignore[misc]
        with all_or_nothing(self):
            kept, crossed = self._fit_on_frame(X, y, params, cross=True)
            if crossed:
                widths = {name: each.shape[1] for name, each in crossed.items()}
                wide, none = beside(kept, crossed), self._nothing(X)
                function = CrossedBlock(self._block_model(), widths, none)
                return map_rows(function, wide, meta=none)
        return self.transform(X)

    def transform(self, X: Any, **params: Any) -> Any:
        """Return the columns of all transformers side by side.

        Parameters
        ----------
        X : as in `fit`
            Columns that no transformer takes may be missing.
        **params : as in `fit`
            What goes on to transformers.

        Returns
        -------
        array, sparse matrix or dataframe
            For a Dask dataframe lazily: a Dask dataframe with its index, of objects where texts are
            among the results, or, where the result is sparse, a Dask array of CSR chunks. For a
            Dask array lazily a Dask array.

        Raises
        ------
        ValueError
            X is a Dask array with chunks of unknown sizes.
        TypeError
            X is a list of futures or a `Data`.
        """
        if kind_of(X) != FRAME:
            _require_rows(X)
            made = super().transform(X, **params)  # type: ignore[misc]
            if isinstance(made, np.ndarray) and isinstance(X, pd.DataFrame) and self._of_frames:
                return pd.DataFrame(made, X.index, list(self.get_feature_names_out()))
            return made
        check_is_fitted(self)
        none = self._nothing(X)
        return map_rows(BlockFunction(self._block_model(), "transform", none), X, meta=none)

    def _nothing(self, X: Any) -> Any:
        """Return what a Dask dataframe without rows is transformed to."""
        row = X._meta_nonempty.iloc[:1]  # Dask's second one has gaps
        none = self._none if self._of_frames else super().transform(row)[:0]  # type: ignore[misc]
        if sp.issparse(none):
            return none
        return pd.DataFrame(none, columns=list(self.get_feature_names_out()))

    def _block_model(self) -> Any:
        """Return scikit-learn's, of what transforms blocks."""
        model = self._of_others(_of_blocks)
        if "_sklearn_output_config" in vars(model):  # vectorizers have no set_output
            model.set_output(transform="default")
        pairs = zip(model.transformers_, self.transformers_, strict=True)
        model.transformers_ = [
            (name, _Readable(each) if _reads_categories(ours) else each, of)
            for (name, each, of), (_, ours, _) in pairs
        ]
        return model

    def _hstack(self, Xs: Any, *, n_samples: int) -> Any:
        """As scikit-learn, which would not see which chunks of Dask arrays are sparse."""
        if not (Xs and all(kind_of(X) == ARRAY for X in Xs)):
            return super()._hstack(Xs, n_samples=n_samples)  # type: ignore[misc]
        if not hasattr(self, "_sparse_chunks"):  # in a fit
            self._sparse_chunks = sparse_enough(Xs, self.sparse_threshold)
            self.sparse_output_ = self._sparse_chunks
        return columns_side_by_side(Xs, sparse=self._sparse_chunks)

    @property
    def _of_frames(self) -> bool:
        """Whether it was fitted on a Dask dataframe, and makes dataframes of dataframes."""
        return hasattr(self, "_none")

    def to_sklearn(self) -> Any:
        """Return scikit-learn's ColumnTransformer of scikit-learn's transformers, fitted.

        Returns
        -------
        sklearn.compose.ColumnTransformer
            It does not know of Dask.
        """
        check_is_fitted(self)
        return self._of_others(_as_sklearn)

    def _of_others(self, made_of: Callable[[Any], Any]) -> Any:
        """Return scikit-learn's ColumnTransformer of what is made of the transformers."""
        model = compose.ColumnTransformer([])
        vars(model).update({name: value for name, value in vars(self).items() if name != "_none"})
        model.transformers_ = [(name, made_of(each), of) for name, each, of in self.transformers_]
        model.transformers = [
            (name, each, of) for name, each, of in model.transformers_ if name != "remainder"
        ]
        return model

    def _validate_remainder(self, X: Any) -> None:
        """As scikit-learn, whose release 1.6 has a list of its own here, that only warns."""
        super()._validate_remainder(X)  # type: ignore[misc]
        name, remainder, columns = self._remainder
        if isinstance(columns, UserList):
            self._remainder = name, remainder, list(columns.data)

    def _call_func_on_transformers(self, X: Any, *arguments: Any, **named: Any) -> Any:
        """As scikit-learn, that goes from one to the next; but what learns does so before that."""
        given = [*(each for _, each, _ in self.transformers), self.remainder]
        learners = [each for each in given if isinstance(each, _Learner)]
        if learners:  # so it is a fit, in which columns are known, but nothing else
            chosen = self._iter(
                fitted=False, column_as_labels=False, skip_drop=True, skip_empty_columns=True
            )
            asked = {
                name: (each, _safe_indexing(X, of, axis=1))
                for name, each, of, _ in chosen
                if isinstance(each, _Learner)
            }
            members = [
                Member(name, each.learned, some, each.cross) for name, (each, some) in asked.items()
            ]
            crossed = fit_together(members, learners[0].X, learners[0].y)
            for name, made in crossed.items():
                asked[name][0].crossed = made
        return super()._call_func_on_transformers(X, *arguments, **named)  # type: ignore[misc]

    def _fit_on_frame(
        self, X: Any, y: Any, params: dict[str, Any], *, cross: bool
    ) -> tuple[Any, dict[str, Any]]:
        """Fit on a few rows, as scikit-learn does, with transformers that learn from all rows.

        Return X as it is held, and what was cross-fitted, if that is wanted, by transformer.
        """
        if params:
            raise ValueError(f"{sorted(params)} given with a Dask dataframe; allowed is nothing")
        kept = X.persist(scheduler=Executor.current().client)
        some = kept.head(_SAMPLE, npartitions=-1)
        if not len(some):
            raise ValueError("X has 0 rows: a minimum of 1 sample is required")
        given = self.transformers, self.remainder, self.n_jobs
        self.transformers = [
            (name, _learner(name, each, kept, y, cross), of) for name, each, of in given[0]
        ]
        self.remainder = _learner("remainder", given[1], kept, y, cross)
        self.n_jobs = None
        made = super().fit_transform(some)  # type: ignore[misc]
        self.transformers, self.remainder, self.n_jobs = given
        self._remainder = ("remainder", self.remainder, self._remainder[2])
        crossed = {
            name: each.crossed
            for name, each, _ in self.transformers_
            if isinstance(each, _Learner) and each.crossed is not None
        }
        self.transformers_ = [
            (name, each.learned if isinstance(each, _Learner) else each, of)
            for name, each, of in self.transformers_
        ]
        self._none = made.to_numpy()[:0] if isinstance(made, pd.DataFrame) else made[:0]
        return kept, crossed


def _require_rows(X: Any) -> None:
    """Raise for what scikit-learn cannot count the rows of."""
    if isinstance(X, Data) or kind_of(X) == FUTURES:
        raise TypeError(
            f"X is a {type(X).__name__}; a ColumnTransformer takes columns of a dataframe or an "
            "array, in memory or of Dask: dask.dataframe.from_delayed(futures)"
        )
    if kind_of(X) == ARRAY and np.isnan(X.chunks[0]).any():
        raise ValueError(
            "X is a Dask array with chunks of unknown sizes; allowed are known ones: "
            "X.compute_chunk_sizes()"
        )


class ColumnTransformer(_OverFrames, compose.ColumnTransformer):
    """Apply other transformers to other columns, of Dask dataframes too.

    It is `sklearn.compose.ColumnTransformer`, with its parameters and attributes. What that does
    not take are Dask dataframes. Here these are fitted by the transformers of this package, or by
    pipelines of them, and transformed lazily, block by block.

    Scalers, encoders and imputers ask a Dask dataframe together: it is loaded once, and a fit takes
    one pass for all transformers, and one more for each further step of the longest pipeline among
    them ("median", `RobustScaler` and `QuantileTransformer` of many columns: one for each group of
    columns). Vectorizers, what has a `TargetEncoder` in it, pipelines with `memory` or `verbose`,
    and classes that you have made of ours ask alone. Over Dask arrays, each asks alone.

    A result is sparse where that of the first 1,000 rows is as sparse as `sparse_threshold` wants.

    Parameters
    ----------
    transformers : list of (name, transformer, columns)
        "drop" and "passthrough" are transformers, too; so are scikit-learn's that learn nothing,
        such as `FunctionTransformer`. Columns are names, positions, slices, masks, or a function of
        an empty frame such as ``make_column_selector(dtype_include="number")``. A vectorizer of
        `daskml_exec.feature_extraction.text` takes one name, without a list.
    remainder : {"drop", "passthrough"} or transformer, default="drop"
        Of columns that nobody takes.
    sparse_threshold : float, default=0.3
        A result with a smaller share of values other than zero is sparse, if a part of it is.
    n_jobs : int, default=None
        Threads or processes for data in memory.
    transformer_weights : dict, default=None
        What the results of transformers are multiplied by, by name.
    verbose : bool, default=False
        Whether to tell of each transformer.
    verbose_feature_names_out : bool, str or callable, default=True
        Whether names of columns begin with those of transformers.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> import pandas as pd
    >>> from daskml_exec import Executor
    >>> from daskml_exec.preprocessing import ColumnTransformer, MinMaxScaler, StandardScaler
    >>> frame = pd.DataFrame({"age": [20, 40], "size": [1.0, 3.0], "name": ["a", "b"]})
    >>> to_numbers = ColumnTransformer(
    ...     [("age", MinMaxScaler(), ["age"]), ("size", StandardScaler(), ["size"])]
    ... )
    >>> with Executor(processes=False, n_workers=1):
    ...     to_numbers.fit_transform(dd.from_pandas(frame, npartitions=2)).compute()
       age__age  size__size
    0       0.0        -1.0
    1       1.0         1.0
    """


class _Learner(TransformerMixin, BaseEstimator):
    """Stands for a transformer where scikit-learn fits it on a few rows; it was fitted on all."""

    crossed: Any = None

    def __init__(self, transformer: Any, X: Any, y: Any, cross: bool) -> None:
        self.transformer, self.X, self.y, self.cross = transformer, X, y, cross
        self.learned = clone(transformer)

    def __sklearn_clone__(self) -> "_Learner":
        return self

    def fit(self, X: Any, y: Any = None) -> "_Learner":
        return self

    def transform(self, X: Any) -> Any:
        return self.learned.transform(X)

    def set_output(self, *, transform: str | None = None) -> "_Learner":
        self.transformer.set_output(transform=transform)
        self.learned.set_output(transform=transform)
        return self


def _learner(name: str, transformer: Any, X: Any, y: Any, cross: bool) -> Any:
    """Return what learns from all rows, where there is something to learn."""
    if isinstance(transformer, str) or not learns(transformer):
        return transformer
    for each in steps_of(transformer):
        if learns(each) and not hasattr(each, "to_sklearn"):
            raise TypeError(
                f"the transformer {name!r} has {type(each).__name__} of {type(each).__module__}, "
                "which would bring the Dask dataframe to this process; allowed are those of "
                "daskml_exec.preprocessing and daskml_exec.feature_extraction, and what learns "
                "nothing"
            )
    return _Learner(transformer, X, y, cross)


def _as_sklearn(transformer: Any) -> Any:
    """Return scikit-learn's transformer, fitted, or another one as it is."""
    if isinstance(transformer, Pipeline):
        model = copy.copy(transformer)
        model.steps = [(name, copy.copy(_as_sklearn(each))) for name, each in transformer.steps]
        ours = [hasattr(each, "to_sklearn") for each in steps_of(transformer)]
        for _, each in model.steps[1 + ours.index(True) :] if True in ours else ():
            if hasattr(each, "feature_names_in_"):
                del each.feature_names_in_  # a step before returns arrays, where ours has frames
        return model
    fitted = hasattr(transformer, "n_features_in_") or _reads_texts(transformer)
    return (
        transformer.to_sklearn() if fitted and hasattr(transformer, "to_sklearn") else transformer
    )


def _of_blocks(transformer: Any) -> Any:
    """Return what transforms blocks: scikit-learn's, but for documents, whose places ours names."""
    return transformer if _reads_texts(transformer) else _as_sklearn(transformer)


@dataclass(frozen=True, eq=False)
class _Readable:
    """Transforms blocks as ours does, in which missing texts may be pandas.NA."""

    model: Any

    def transform(self, X: Any) -> Any:
        return self.model.transform(gaps_as_nan(X))


def _reads_categories(transformer: Any) -> bool:
    """Whether what looks at columns first is ours, and takes them for numbers or categories."""
    steps = (each for each in steps_of(transformer) if not isinstance(each, str | None))
    first = next(steps, None)
    return hasattr(first, "to_sklearn") and not _reads_texts(first)


def _reads_texts(transformer: Any) -> bool:
    if isinstance(transformer, str) or transformer is None:  # None is a step of pipelines
        return False
    return bool(get_tags(transformer).input_tags.string)
