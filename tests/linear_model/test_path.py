"""The path of models as an algorithm of the engine: pure, counted, and the same for any cuts."""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from daskml_exec.kernels.distributions import Gaussian, Logistic, Poisson
from daskml_exec.linear_model._chosen import best_of, choice_of
from daskml_exec.linear_model._held_out import ClassResponses, MeanResponses
from daskml_exec.linear_model._path import Path
from daskml_exec.linear_model._path_fit import Scorer
from daskml_exec.linear_model._path_states import PathBeginning
from daskml_exec.linear_model._problem import GLMProblem, Penalty
from daskml_exec.partitions import Partition
from daskml_exec.partitions._labels import Encoding
from daskml_exec.partitions._target import UNCHANGED
from daskml_exec.training import check_algorithm
from tests.tiers import slow

N, D, F = 90, 4, 3
FAMILIES = {
    "binary": Logistic(2),
    "softmax": Logistic(3),
    "squares": Gaussian(),
    "poisson": Poisson(),
}


def rows(family):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D))
    classes = getattr(family, "n_classes", 1)
    y = rng.integers(0, max(classes, 4 if classes == 1 else classes), N)
    y = y if classes > 1 else y.astype(float)
    fold = (np.arange(N) % (F + 1)).astype(np.uint16)
    fold[fold == F] = 2**16 - 1
    bounds = [0, 25, 25, 70, N]
    weight = rng.random(N) + 0.5
    return [
        Partition(i, a, X[a:b], y[a:b], weight[a:b], fold[a:b])
        for i, (a, b) in enumerate(itertools.pairwise(bounds))
    ]


def algorithm(family, *, every_round=False, refit=True):
    classes = getattr(family, "n_classes", 1)
    if classes > 1:
        names, responses = ("neg_log_loss", "accuracy"), ClassResponses(np.arange(classes))
        columns = Encoding(np.arange(classes), None)
    else:
        names, responses, columns = ("neg_mean_squared_error",), MeanResponses(family), UNCHANGED
    return Path(
        tuple(GLMProblem(family, Penalty(1 / C, of_sum=True), True) for C in (0.1, 10.0)),
        F,
        classes,
        1e-9,
        100,
        hessian_share=0.5,
        pool_share=0.0,  # a pool is rows, and no sum
        single=False,
        every_round=every_round,
        patience=5,
        held_out_by=Scorer(names, responses, columns, weighted=True).query,
        choose=best_of if refit else choice_of(False, []),
    )


@pytest.mark.parametrize(
    ("name", "every_round"),
    [
        ("binary", False),
        ("softmax", True),
        slow("squares", False),
        slow("poisson", False),
        slow("binary", True),
    ],
)
def test_it_is_an_algorithm(name, every_round):
    family = FAMILIES[name]
    check_algorithm(algorithm(family, every_round=every_round), PathBeginning(), rows(family))


def test_without_a_choice_it_ends_with_the_scores():
    family = FAMILIES["squares"]
    check_algorithm(algorithm(family, refit=False), PathBeginning(), rows(family))


def test_queries_say_what_their_rounds_do():
    by = algorithm(FAMILIES["binary"])
    parts = rows(FAMILIES["binary"])
    state, steps = PathBeginning(), []
    while (query := by.ask(state)) is not None:
        prepared = (query.prepare(),) if query.step == "score" else ()
        answers = [query.partial(part, *prepared) for part in parts]
        total = answers[0]
        for answer in answers[1:]:
            total = query.combine(total, answer)
        state, _ = by.tell(state, query, total)
        steps.append(query.step)
    assert [step for step, _ in itertools.groupby(steps)] == [
        "moments",
        "common",
        "own",
        "score",
        "own",
    ]
    assert partial(best_of)(state.scores) == state.model.penalty


def test_with_shares_of_l1():
    family = FAMILIES["binary"]
    by = algorithm(family)
    problems = [replace(each, penalty=replace(each.penalty, l1_share=0.5)) for each in by.problems]
    mixed = replace(by, problems=(by.problems[0], problems[1]))
    check_algorithm(mixed, PathBeginning(), rows(family))
