"""Transformers of columns of the same frame, fitted together: those that ask, ask at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd
import scipy.sparse as sp
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from daskml_exec.executor import Executor
from daskml_exec.executor._raised import Raised, original
from daskml_exec.partitions import (
    NO_TARGET,
    ColumnError,
    ColumnTypeError,
    block_map,
    load_checked,
    map_rows,
)
from daskml_exec.preprocessing._encoders import OneHotEncoder, OrdinalEncoder
from daskml_exec.preprocessing._imputer import SimpleImputer
from daskml_exec.preprocessing._orders import GROUP_BYTES, room_for
from daskml_exec.preprocessing._parts import AskParts, BlockMap, Part
from daskml_exec.preprocessing._questions import Columns, Questions
from daskml_exec.preprocessing._robust import QuantileTransformer, RobustScaler
from daskml_exec.preprocessing._scalers import MaxAbsScaler, MinMaxScaler, StandardScaler
from daskml_exec.preprocessing._target_encoder import TargetEncoder
from daskml_exec.training import reduce

_Fit: TypeAlias = Generator[Part, Any, None]
"""A fit in progress: yields what it asks, and is sent the answer, or thrown what that raised."""

# These classes and none that somebody has made of them, whose `fit` may do more.
_ASKED = (
    *(MaxAbsScaler, MinMaxScaler, OneHotEncoder, OrdinalEncoder),
    *(QuantileTransformer, RobustScaler, SimpleImputer, StandardScaler),
)


@dataclass(frozen=True, eq=False)
class Member:
    """One of the transformers.

    Attributes
    ----------
    name : str
    transformer : estimator
        Not fitted; it is fitted in place.
    some : dataframe or series
        A few rows of its columns.
    cross : bool
        Whether these rows are wanted transformed where what rows become in `fit_transform` is not
        what they are in `transform`.
    """

    name: str
    transformer: Any
    some: Any
    cross: bool = False

    @property
    def columns(self) -> Any:
        """Labels of its columns: one, or a list of them."""
        return self.some.name if isinstance(self.some, pd.Series) else list(self.some.columns)


def fit_together(members: Sequence[Member], X: Any, y: Any) -> dict[str, Any]:
    """Fit transformers on columns of a Dask dataframe, in as few reductions as they have steps.

    All that can ask one question after the other do so at once, pipelines of them step by step.
    The others are fitted then, one by one. Of several failures that of the first is raised.

    Parameters
    ----------
    members : sequence of Member
    X : Dask dataframe
        Persisted.
    y : Dask collection, array-like or None
        For those that are fitted alone.

    Returns
    -------
    dict of str to Dask collection
        What rows have become by cross-fitting, where that was asked for, by the member's name.
    """
    crossed = {}
    failed = _fit_joined([each for each in members if _joins(each, X)], X)
    for member in members:
        if failed is not None and member is failed.member:
            raise failed.error
        if not _joins(member, X):
            try:
                made = _fit_alone(member, X, y)
            except Exception as error:
                _note(error, member)
                raise
            if made is not None:
                crossed[member.name] = made
    return crossed


def learns(transformer: Any) -> bool:
    """Whether a transformer has anything to learn from rows."""
    if isinstance(transformer, str) or transformer is None:
        return False
    return bool(get_tags(transformer).requires_fit)


def steps_of(transformer: Any) -> Iterator[Any]:
    """Yield the steps of a pipeline, or the transformer alone."""
    if isinstance(transformer, Pipeline):
        yield from (each for _, each in transformer.steps)
    else:
        yield transformer


@dataclass(frozen=True, eq=False)
class _Failed:
    member: Member
    error: Exception


def _joins(member: Member, X: Any) -> bool:
    """Whether all that a transformer does is known: what blocks it asks, and what it asks them."""
    transformer = member.transformer
    if isinstance(transformer, Pipeline):
        plain = type(transformer) is Pipeline and transformer.memory is None
        if not plain or transformer.verbose:
            return False
    if isinstance(member.some, pd.Series) or not X.columns.is_unique:
        return False
    return all(
        _is_nothing(each) or type(each) in _ASKED or not (isinstance(each, str) or learns(each))
        for each in steps_of(transformer)
    )


def _is_nothing(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _fit_joined(members: Sequence[Member], X: Any) -> _Failed | None:
    """Fit those that ask at once; return the failure of the first that fails."""
    if not members:
        return None
    executor = Executor.current()
    with load_checked(executor, X, None, None, target=NO_TARGET, raw=True) as data:
        known = data.partitions
        asking = _Asking([_fit(each, X, known.rows, known.form) for each in members])
        while parts := asking.parts(sum(known.rows)):
            query = AskParts(tuple(parts.values()))
            answers = reduce(query, data, name="ColumnTransformer")
            for place, answer in zip(parts, answers, strict=True):
                asking.tell(place, answer)
    if asking.error is None:
        return None
    member = members[asking.stop]
    _note(asking.error, member)
    return _Failed(member, asking.error)


def _fit_alone(member: Member, X: Any, y: Any) -> Any:
    """Fit one that does not join; return what rows have become, where that was asked for."""
    X = X[member.columns]
    if member.cross and any(
        isinstance(each, TargetEncoder) for each in steps_of(member.transformer)
    ):
        return member.transformer.fit_transform(X, y)
    member.transformer.fit(X, y)
    return None


def _note(error: Exception, member: Member) -> None:
    error.add_note(f"in the transformer {member.name!r}")


class _Asking:
    """Fits in progress: what each of them asks now.

    Attributes
    ----------
    stop : int
        The first fit that has failed: those behind it go no further.
    error : Exception or None
        What it raised.
    """

    def __init__(self, fits: Sequence[_Fit]) -> None:
        self._fits, self._asked = fits, dict[int, Part]()
        self.stop = len(fits)
        self.error: Exception | None = None
        for place, fit in enumerate(fits):
            self._go_on(place, fit.__next__)

    def parts(self, rows: int) -> dict[int, Part]:
        """Return the questions of as many fits as there is room for the answers of."""
        taken, room = dict[int, Part](), 0
        for place, part in sorted(self._asked.items()):
            more = room_for(part.query, rows)
            if place < self.stop and (not more or not room or room + more <= GROUP_BYTES):
                taken[place], room = part, room + more
        return taken

    def tell(self, place: int, answer: Any) -> None:
        """Give a fit its answer."""
        fit, raised = self._fits[place], isinstance(answer, Raised)
        self._go_on(
            place, fit.throw if raised else fit.send, original(answer) if raised else answer
        )

    def _go_on(self, place: int, step: Callable[..., Part], *given: Any) -> None:
        if place > self.stop:
            return
        self._asked.pop(place, None)
        try:
            self._asked[place] = step(*given)
        except StopIteration:
            pass
        except Exception as error:
            self.stop, self.error = place, error


def _fit(member: Member, X: Any, rows: tuple[int, ...], form: Any) -> _Fit:
    """Fit the steps of a transformer, each on what the one before makes of its columns."""
    transformer, some = member.transformer, member.some
    if isinstance(transformer, Pipeline):
        transformer._validate_steps()
    places = tuple(int(each) for each in X.columns.get_indexer(member.columns))
    X, names = X[member.columns], _names(some)
    maps: tuple[BlockMap, ...] = ()
    steps = [each for each in steps_of(transformer) if not _is_nothing(each)]
    for step in steps:
        columns = Columns(rows, int(some.shape[1]), names, form)
        if learns(step):
            yield from _asked_of(step._fit_by_questions(X, columns), places, maps, names)
        else:
            step.fit(some)
        if step is steps[-1]:
            return
        some = step.transform(some)
        of_block, X = step._mapped_blocks(X) if learns(step) else _mapped_blocks(step, X, some)
        maps, names = (*maps, of_block), _names(X)


def _asked_of(
    questions: Questions[None],
    places: tuple[int, ...],
    maps: tuple[BlockMap, ...],
    names: tuple[str, ...] | None,
) -> _Fit:
    """Ask the questions of a step, of a part; name the column that one fails for."""
    try:
        query = next(questions)
        while True:
            try:
                answer = yield Part.of(places, maps, query)
            except (ColumnError, ColumnTypeError) as error:
                raise error.named(names) from None
            query = questions.send(answer)
    except StopIteration:
        return


def _names(X: Any) -> tuple[str, ...] | None:
    """Return the names of columns, of frames alone, where all are texts."""
    names = tuple(getattr(X, "columns", ()))
    return names if names and all(isinstance(name, str) for name in names) else None


def _mapped_blocks(step: Any, X: Any, some: Any) -> tuple[BlockMap, Any]:
    """As of a preprocessor, for a step that learns nothing, of which a few rows are known."""
    none = some.tocsr()[:0] if sp.issparse(some) else some[:0]
    function = _OfBlock(step, none)
    return block_map(function, X, meta=none), map_rows(function, X, meta=none)


@dataclass(frozen=True, eq=False)
class _OfBlock:
    """What scikit-learn's transformer that learns nothing makes of a block of any size."""

    model: Any
    none: Any

    @property
    def __name__(self) -> str:
        return f"{type(self.model).__name__}-transform"

    def __call__(self, block: Any) -> Any:
        if not block.shape[0]:
            return self.none
        made = self.model.transform(block)
        return made.tocsr() if sp.issparse(made) else made
