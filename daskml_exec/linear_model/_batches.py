"""Candidates of a search that differ in their penalties alone: all folds in the same passes."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from daskml_exec.kernels.distributions import Family, Gaussian, Logistic
from daskml_exec.linear_model._chosen import choice_of
from daskml_exec.linear_model._held_out import ClassResponses, MeanResponses
from daskml_exec.linear_model._parallel import DATA
from daskml_exec.linear_model._path_fit import Request, Scorer, fit_path, plans_of
from daskml_exec.linear_model._path_warnings import warnings_of
from daskml_exec.linear_model._problem import GLMProblem
from daskml_exec.linear_model._solve import prepare, shape_of
from daskml_exec.partitions import Data, Partition, levelled
from daskml_exec.training.folds import BatchResult

# Parameters that belong to the penalty, or change nothing of the models.
_FREE = ("C", "alpha", "l1_ratio", "verbose")


def batches_of(estimator: Any, candidates: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the places of candidates that differ in their penalties alone.

    Those that would be refused, and those whose solver goes another way, are in no group.
    """
    groups: dict[str, list[int]] = {}
    for place, params in enumerate(candidates):
        model = clone(estimator).set_params(**params)
        if _shares_passes(model):
            others = {
                name: value for name, value in model.get_params().items() if name not in _FREE
            }
            groups.setdefault(repr(sorted(others.items())), []).append(place)
    return list(groups.values())


def _shares_passes(model: Any) -> bool:
    try:
        model._validate_params()
        solvable = np.isfinite(model._penalty.strength)
    except ValueError:
        return False
    settings = model.get_params()
    return bool(
        solvable
        and settings.get("parallel", DATA) == DATA
        and settings.get("solver", "auto") in ("auto", "newton")
        and not settings.get("warm_start")
        and settings.get("class_weight") is None
        and settings.get("callbacks") is None
    )


@dataclass(frozen=True)
class _Level:
    """Gives back targets from which something was taken."""

    columns: Any
    level: float

    def given(self, partition: Partition) -> tuple[Any, Any]:
        y, weight = self.columns.given(partition)
        return y + self.level, weight


def fit_batch(
    estimator: Any,
    candidates: Sequence[Mapping[str, Any]],
    data: Data,
    n_folds: int,
    scorings: Sequence[Any],
    *,
    weighted: bool,
) -> BatchResult:
    """Fit candidates of a group to all folds but one, for each, and score them.

    Parameters
    ----------
    estimator : estimator
    candidates, data, n_folds, scorings, weighted
        As of `daskml_exec.training.folds.FitsBatches`.
    """
    began = time.perf_counter()
    models = [clone(estimator).set_params(**params) for params in candidates]
    first, penalties = models[0], [model._penalty for model in models]
    with ExitStack() as stack:
        partitions = data.partitions
        columns: Any = data.settled.columns
        classes: Any = data.classes
        family: Family = first._distribution if classes is None else Logistic(len(classes))
        if isinstance(family, Gaussian) and first.fit_intercept:
            partitions = stack.enter_context(levelled(partitions, data.settled))
        level = partitions.form.level
        columns = _Level(columns, level) if level else columns
        responses: Any = ClassResponses(classes)
        if classes is None:
            responses = MeanResponses(first._distribution, level)
        problems = tuple(
            GLMProblem(family, each.for_weights(partitions.form.exponent), first.fit_intercept)
            for each in penalties
        )
        request = Request(
            problems,
            n_folds,
            1 if classes is None else len(classes),
            first.tol,
            first.max_iter,
            Scorer(tuple(each.name for each in scorings), responses, columns, weighted),
            choice_of(False, []),
        )
        shape = shape_of(partitions, problems[0])
        plans = plans_of(problems, shape)
        prepare(partitions, say=first._say)
        name = type(first).__name__.lower()
        found = fit_path(request, plans, shape, partitions, callbacks=(), name=f"{name}-search")
    names = [_in_words(model) for model in models]
    return BatchResult(
        np.ascontiguousarray(np.swapaxes(found.scores, 1, 2)),
        np.ascontiguousarray(found.n_iter.T),
        time.perf_counter() - began,
        tuple(warnings_of(first, found, names)),
    )


def _in_words(model: Any) -> str:
    settings = model.get_params()
    shown = [f"{name}={settings[name]:g}" for name in _FREE[:3] if name in settings]
    return ", ".join(shown)
