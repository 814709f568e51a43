"""Candidates fitted to rows that were loaded once, and scored where these are."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.metrics._scorers import Scoring
from daskml_exec.model_selection._grid import Params, with_params
from daskml_exec.model_selection._held_out_scores import scores_of
from daskml_exec.model_selection._outcomes import LOSSES, Outcome, Outcomes
from daskml_exec.model_selection._scorings import Scorings
from daskml_exec.partitions import Data, rows_to_train_on, with_folds
from daskml_exec.training import warn_of
from daskml_exec.training.folds import (
    BatchResult,
    FitsBatches,
    LostClassError,
    Searched,
    Split,
    Splits,
    TrainsOnData,
)


@dataclass(frozen=True)
class Plan:
    """Which candidates share passes, and which are fitted one by one.

    Attributes
    ----------
    groups : list of list of int
    alone : list of int
    """

    groups: list[list[int]]
    alone: list[int]


def plan_of(estimator: Any, candidates: Sequence[Params], splits: Splits, *, train: bool) -> Plan:
    """Return the plan of a search.

    Parameters
    ----------
    estimator : estimator
    candidates : sequence of dict
    splits : Splits
    train : bool
        Whether scores of the rows that were trained on are wanted, which batches do not have.
    """
    groups: list[list[int]] = []
    if splits.folds is not None and isinstance(estimator, FitsBatches) and not train:
        groups = [group for group in estimator._search_batches(list(candidates)) if len(group) > 1]
    shared = {at for group in groups for at in group}
    return Plan(groups, [at for at in range(len(candidates)) if at not in shared])


@dataclass(frozen=True)
class SearchOnData:
    """A search over loaded rows.

    Attributes
    ----------
    estimator : estimator
    searched : Searched
        Its own.
    data : Data
    splits : Splits
    scorings : Scorings
        Without functions.
    train : bool
        Whether to score the rows that were trained on, too.
    weighted : bool
        Whether the weights of rows, if they have some, count in scores, too.
    strict : bool
        Whether what fails is raised at once.
    say : callable
        Told in lines how far it is.
    """

    estimator: Any
    searched: Searched
    data: Data
    splits: Splits
    scorings: Scorings
    train: bool
    weighted: bool
    strict: bool
    say: Callable[[str], object]

    @property
    def records(self) -> list[Scoring]:
        return self.scorings.records(self.searched.scoring)

    def outcomes(self, candidates: Sequence[Params], plan: Plan) -> Outcomes:
        """Fit and score all candidates, as planned."""
        n = len(self.splits.each)
        each = [[Outcome() for _ in range(n)] for _ in candidates]
        batch = [0] * len(candidates)
        batches: dict[int, BatchResult] = {}
        for number, group in enumerate(plan.groups):
            found = self._batch([candidates[at] for at in group], [each[at] for at in group])
            if found is not None:
                batches[number] = found
            for at in group:
                batch[at] = number
        for number, at in enumerate(plan.alone, len(plan.groups)):
            batch[at] = number
        self._one_by_one([(candidates[at], each[at]) for at in plan.alone])
        return Outcomes(each, batch, batches)

    def models(self, data: Data) -> list[Any]:
        """Return a model for each split, fitted to the rows that it trains on.

        Parameters
        ----------
        data : Data
            With the folds that all splits share.
        """
        found = []
        for number, split in enumerate(self.splits.each):
            model = with_params(self.estimator, {})
            with _TrainingRows(data, split, number, self.searched).opened() as rows:
                found.append(model.fit(rows.of(model)))
        return found

    def _batch(self, group: list[Params], rows: list[list[Outcome]]) -> BatchResult | None:
        folds: Any = self.splits.folds
        try:
            with with_folds(self.data, folds.column_of) as data:
                found: BatchResult = self.estimator._fit_batch(
                    group, data, folds.n_folds, self.records, weighted=self.weighted
                )
        except (*LOSSES, LostClassError):
            raise
        except Exception as error:
            if self.strict:
                raise
            for outcome in itertools.chain.from_iterable(rows):
                outcome.fit_error = error
            return None
        seconds = found.seconds / (len(group) * folds.n_folds)
        for place, row in enumerate(rows):
            for fold, outcome in enumerate(row):
                outcome.fit_seconds = seconds
                values = found.scores[:, place, fold].tolist()
                outcome.scores = dict(zip(self.scorings.named, values, strict=True))
        self.say(f"{len(group)} candidates in the same passes: {found.seconds:.2f} s")
        warn_of(found.warnings)
        return found

    def _one_by_one(self, alone: list[tuple[Params, list[Outcome]]]) -> None:
        if not alone:
            return
        shared = itertools.groupby(enumerate(self.splits.each), lambda each: id(each[1].column_of))
        for _, some in shared:
            splits = list(some)
            with with_folds(self.data, splits[0][1].column_of) as data:
                for number, split in splits:
                    self._split(data, number, split, [(p, row[number]) for p, row in alone])

    def _split(
        self, data: Data, number: int, split: Split, alone: list[tuple[Params, Outcome]]
    ) -> None:
        """Fit candidates to the rows of a split, one after another, and score all in one pass."""
        begun = time.perf_counter()
        fitted: list[tuple[Any, Outcome]] = []
        with _TrainingRows(data, split, number, self.searched).opened() as rows:
            for params, outcome in alone:
                start = time.perf_counter()
                model = None
                try:
                    model = with_params(self.estimator, params)
                    model.fit(rows.of(model))
                except (*LOSSES, LostClassError):
                    raise
                except Exception as error:
                    if self.strict:
                        raise
                    outcome.fit_error = error
                    continue
                finally:
                    outcome.fit_seconds = time.perf_counter() - start
                fitted.append((model, outcome))
        self._score(data, split.test, fitted, train=False)
        if self.train:
            self._score(data, split.train, fitted, train=True)
        self.say(
            f"split {number + 1} of {len(self.splits.each)}: {len(alone)} candidates in "
            f"{time.perf_counter() - begun:.2f} s"
        )

    def _score(
        self, data: Data, chosen: Any, fitted: list[tuple[Any, Outcome]], *, train: bool
    ) -> None:
        start = time.perf_counter()
        models = [model for model, _ in fitted]
        found = scores_of(models, self.records, data, chosen, weighted=self.weighted)
        seconds = (time.perf_counter() - start) / max(1, len(fitted))
        for (_, outcome), row in zip(fitted, found, strict=True):
            outcome.score_seconds += 0.0 if train else seconds
            into = outcome.train_scores if train else outcome.scores
            for name, value in zip(self.scorings.named, row, strict=True):
                if not isinstance(value, Exception):
                    into[name] = value
                    continue
                if self.strict:
                    raise value
                outcome.score_error = value


class _TrainingRows:
    """What a split trains on, once for each class weight that candidates have."""

    def __init__(self, data: Data, split: Split, number: int, own: Searched) -> None:
        self._data, self._split, self._number, self._own = data, split, number, own
        self._made: list[tuple[Any, Data]] = []

    @contextmanager
    def opened(self) -> Iterator[_TrainingRows]:
        """Yield this; in the end all that was made is released."""
        try:
            yield self
        finally:
            for _, data in self._made:
                data.release()

    def of(self, model: TrainsOnData) -> Data:
        """Return the rows to fit a model to."""
        searched = model._as_searched()
        class_weight = None if searched is None else searched.class_weight
        for known, data in self._made:
            if type(known) is type(class_weight) and known == class_weight:
                return data
        made = rows_to_train_on(
            self._data, self._split.train, class_weight=class_weight, copied=self._own.copied
        )
        self._made.append((class_weight, made))
        self._require_classes(made, class_weight)
        return made

    def _require_classes(self, made: Data, class_weight: Any) -> None:
        if self._data.classes is None or made.classes is None:
            return
        lost = np.setdiff1d(self._data.classes, made.classes).tolist()
        if isinstance(class_weight, dict):
            lost = [label for label in lost if class_weight.get(label, 1) != 0]
        if lost:
            raise LostClassError(self._number, lost[0])
