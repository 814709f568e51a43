"""Which regime a shape gets, and what the explanation says of it."""

import inspect
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from daskml_exec.linear_model import _plan
from daskml_exec.linear_model._explain import Explanation
from daskml_exec.linear_model._plan import (
    AVERAGING,
    GRADIENTS,
    GRAM,
    HESSIAN,
    PRODUCTS,
    SPAN,
    Plan,
    Shape,
    asked,
    least_squares_plan,
    least_squares_plan_for,
    newton_plan,
    plan_for,
)
from daskml_exec.training import History
from tests.linear_model.toolbox import round_record


def shape(rows, features, *, outputs=1, sparse=False, row_bytes=None):
    nbytes = row_bytes or features * (12 * 0.01 if sparse else 8)
    return Shape(rows, features, outputs, True, nbytes, sparse)


@pytest.mark.parametrize(
    ("given", "regime", "every_round", "sampled"),
    [
        (shape(150, 4), HESSIAN, True, False),
        (shape(150, 4, outputs=3), HESSIAN, True, False),
        (shape(10**5, 30), HESSIAN, True, False),
        (shape(10**6, 100), HESSIAN, False, True),
        (shape(10**7, 28), HESSIAN, False, True),
        (shape(10**5, 1000), HESSIAN, False, True),
        (shape(10**6, 500, outputs=10), HESSIAN, False, True),
        (shape(60_000, 784, outputs=10), PRODUCTS, False, False),
        (shape(10**6, 5000), HESSIAN, False, True),
        (shape(50_000, 5990), HESSIAN, False, False),
        (shape(10**6, 50, outputs=100), PRODUCTS, False, False),
        (shape(10**6, 7000), PRODUCTS, False, False),
        (shape(10**6, 700, sparse=True), HESSIAN, False, True),
        (shape(10**6, 1200, sparse=True), PRODUCTS, False, False),
        (shape(10**6, 10**6, sparse=True, row_bytes=1200), PRODUCTS, False, False),
        (shape(100, 10**5), SPAN, False, False),
        (shape(2000, 5900), SPAN, False, False),
        (shape(200, 2000, outputs=3), SPAN, False, False),
        (shape(500, 2000, sparse=True), SPAN, False, False),
        (shape(5000, 10**5, sparse=True), PRODUCTS, False, False),
    ],
    ids=lambda value: (
        f"{value.rows}x{value.features}x{value.outputs}{'s' * value.sparse}"
        if isinstance(value, Shape)
        else ""
    ),
)
def test_regimes_by_shape(given, regime, every_round, sampled):
    plan = newton_plan(given, penalised=True)
    assert (plan.regime, plan.every_round) == (regime, every_round)
    if regime == HESSIAN:
        assert (plan.hessian_share < 1.0) == sampled
        assert plan.pool_share <= 1 / 4
    else:
        assert plan.hessian_share == 0.0 and 0.0 < plan.pool_share <= 1.0


@pytest.mark.parametrize("features", [2, 30, 300, 3000])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("rows", [0, 1, 100, 10**4, 10**6, 10**9])
@pytest.mark.parametrize("sparse", [False, True])
def test_samples_are_shares_and_fit_on_the_driver(features, outputs, rows, sparse):
    given = shape(rows, features, outputs=outputs, sparse=sparse)
    plan = newton_plan(given, penalised=True)
    assert 0.0 <= plan.hessian_share <= 1.0 and 0.0 <= plan.pool_share <= 1.0
    most = 400e6 if plan.regime == SPAN else 64e6
    assert plan.pool_share * rows * given.row_bytes <= most * (1 + 1e-9)
    if plan.every_round:
        assert plan.hessian_share == 1.0
    if plan.regime == HESSIAN and plan.hessian_share < 1.0:
        assert plan.hessian_share * rows >= 20 * given.coordinates * 0.99


@pytest.mark.parametrize(
    ("given", "regime"),
    [
        (shape(150, 4), GRAM),
        (shape(10**7, 28), GRAM),
        (shape(10**6, 5998), GRAM),
        (shape(10**6, 6000), GRADIENTS),
        (shape(10**6, 998, sparse=True), GRAM),
        (shape(10**6, 1000, sparse=True), GRADIENTS),
        (shape(30, 10**5), SPAN),
        (shape(30, 2000), GRAM),
        (shape(30, 2000, sparse=True), SPAN),
        (shape(6500, 10**5), GRADIENTS),
    ],
)
def test_regimes_of_least_squares(given, regime):
    plan = least_squares_plan(given, penalised=True)
    assert plan.regime == regime
    assert plan.hessian_share == 0.0
    assert plan.pool_share == (1.0 if regime == SPAN else 0.0)


@pytest.mark.parametrize("given", [shape(6500, 10**5), shape(3000, 20_000)])
def test_fewer_rows_than_columns_that_the_driver_does_not_hold(given):
    assert newton_plan(given, penalised=True).regime == GRADIENTS


def test_without_a_penalty_few_rows_have_gradients_alone():
    assert newton_plan(shape(200, 2000), penalised=False).regime == GRADIENTS
    assert newton_plan(shape(2001, 2000), penalised=False).regime == HESSIAN


def test_least_norm_solutions_of_many_columns_come_from_gradients():
    assert least_squares_plan(shape(30, 500), penalised=False).regime == GRAM
    assert least_squares_plan(shape(30, 2000), penalised=False).regime == GRADIENTS
    assert least_squares_plan(shape(10**6, 2000), penalised=False).regime == GRAM


@pytest.mark.parametrize("given", [shape(150, 4), shape(10**6, 10**6, sparse=True)])
@pytest.mark.parametrize("penalised", [False, True])
def test_auto_is_newton_and_named_solvers_do_not_look_at_the_shape(given, penalised):
    squared = partial(least_squares_plan_for, penalised=penalised, shape=given)
    named = partial(plan_for, penalised=penalised, shape=given)
    assert named("auto") == named("newton") == newton_plan(given, penalised=penalised)
    assert squared("auto") == squared("newton") == least_squares_plan(given, penalised=penalised)
    assert named("lbfgs") == squared("lbfgs") == asked(GRADIENTS)
    assert named("averaging") == asked(AVERAGING)


def test_a_plan_knows_nothing_of_the_cluster():
    """Its only argument is the shape, whose fields are of the data and the model."""
    assert list(inspect.signature(newton_plan).parameters) == ["shape", "penalised"]
    assert list(inspect.signature(least_squares_plan).parameters) == ["shape", "penalised"]
    assert set(Shape.__dataclass_fields__) == {
        "rows",
        "features",
        "outputs",
        "fit_intercept",
        "row_bytes",
        "sparse",
    }
    imported = {name for name, value in vars(_plan).items() if inspect.ismodule(value)}
    assert imported == set()


def test_an_intercept_is_a_coordinate_of_each_output():
    given = shape(10, 4, outputs=3)
    assert given.coordinates == 15
    assert replace(given, fit_intercept=False).coordinates == 12


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (shape(150, 4), r"5 x 5 numbers \(200 B\) fits on the driver, and is taken from all rows"),
        (shape(10**7, 28), r"29 x 29 numbers \(6\.73 kB\) .* from one row in 16"),
        (
            shape(10**6, 7000),
            r"392 MB\) is larger than 6,000 x 6,000: the driver solves with a sample",
        ),
        (
            shape(100, 10**5),
            r"100 rows are fewer than 100,000 columns: .* 100 x 100 numbers \(80 kB\) of",
        ),
        (shape(6500, 10**5), "6,500 rows are fewer than 100,000 columns: directions come from"),
        (
            shape(10**6, 50, outputs=100),
            r"would cost more than the rounds that it saves: the driver solves",
        ),
    ],
)
def test_reasons_name_sizes_and_limits(given, wanted):
    assert re.search(wanted, newton_plan(given, penalised=True).reason)


def explained(plan, given):
    steps = ("moments", "hessian", "gradient", "gradient")
    records = tuple(round_record(i, step) for i, step in enumerate(steps))
    history = History(records, n_partitions=4)
    return Explanation(given, plan, history)


def test_an_explanation_has_plan_and_measurements():
    plan = Plan(HESSIAN, "because", hessian_share=0.25, pool_share=0.125)
    explanation = explained(plan, shape(8000, 100, outputs=3))
    assert explanation.regime == HESSIAN and explanation.reason == "because"
    assert (explanation.hessian_share, explanation.pool_share) == (0.25, 0.125)
    assert str(explanation).splitlines() == [
        "data      8,000 rows x 100 columns, dense, 6.4 MB in 4 partitions, 3 outputs",
        "regime    hessian: because",
        "sample    1,000 rows on the driver (800 kB)",
        "measured  rounds  seconds  moved",
        "moments        1    0.500   2 MB",
        "hessian        1    0.500   2 MB",
        "gradient       2    1.000   4 MB",
        "all            4    2.000   8 MB",
    ]
    assert "<td>gradient</td><td>2</td><td>1.000</td><td>4 MB</td>" in explanation._repr_html_()
    assert repr(explanation) == str(explanation)


def test_an_explanation_without_a_sample_has_no_line_of_it():
    text = str(explained(Plan(GRAM, "because"), shape(10, 4, sparse=True)))
    assert "sample" not in text and "sparse" in text and "outputs" not in text
    assert np.all([line.strip() for line in text.splitlines()])
