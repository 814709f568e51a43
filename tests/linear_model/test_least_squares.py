"""The normal equations and their refinement in this process, against decompositions of the rows."""

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.linear_model._problem import Penalty
from tests.linear_model.oracles import (
    assert_optimum,
    features,
    fitted,
    least_norm,
    relative,
    ridge_optimum,
    squared_objective,
    targets,
)
from tests.linear_model.without_dask import lbfgs, least_squares

N = 300
CUTS = (90, 107, 107, 207)


def problem(*, n=N, d=6, seed=0, sparse=False):
    rng = np.random.default_rng(seed)
    X = features(rng, n, d, sparse=sparse)
    return X, targets(rng, X, "ridge"), rng.exponential(size=n)


def conditioned(condition, *, n=200, d=6, seed=0):
    """Return centred rows with this condition number, and a target off their span."""
    rng = np.random.default_rng(seed)
    centred = rng.normal(size=(n, d))
    left = np.linalg.qr(centred - centred.mean(axis=0))[0]
    right = np.linalg.qr(rng.normal(size=(d, d)))[0]
    X = left * np.logspace(0, -np.log10(condition), d) @ right
    return X, X @ rng.normal(size=d) + 0.01 * rng.normal(size=n) + 5.0


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_optimum_in_two_rounds(sparse, weighted, intercept, alpha, dtype):
    X, y, weight = problem(sparse=sparse)
    X, weight = X.astype(dtype), weight if weighted else None
    options = {"alpha": alpha, "intercept": intercept}
    state, rounds = least_squares(X, y, weight, cuts=CUTS, **options)
    assert state.converged and [step for step, _ in rounds] == ["normal", "refine"]
    exact = X.astype(np.float64)
    assert_optimum(state, ridge_optimum(exact, y, weight, **options))
    value = squared_objective(X, y, *fitted(state), alpha=alpha, weight=weight)
    assert float(value) == pytest.approx(rounds[-1][1].loss, rel=1e-8)


@pytest.mark.parametrize(
    ("condition", "refinements"), [(1, 1), (1e2, 1), (1e4, 1), (1e5, 3), (1e6, 3)]
)
@pytest.mark.parametrize("seed", range(3))
def test_condition_numbers(condition, refinements, seed):
    """As many digits as the rows determine: the equations alone would have half of them."""
    X, y = conditioned(condition, seed=seed)
    for alpha in (0.0, 1e-3 / condition**2):
        state, _ = least_squares(X, y, alpha=alpha, cuts=(50, 120))
        assert state.converged and state.n_iter <= refinements
        assert_optimum(state, ridge_optimum(X, y, alpha=alpha))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_redundant_columns_get_the_least_norm(sparse, intercept):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4))
    combined = X @ rng.normal(size=(4, 3)) * [1.0, 1e3, 1e-3]
    X = np.column_stack([X, X[:, :1], combined, np.zeros(N)])
    y = targets(rng, X, "ridge")
    state, rounds = least_squares(
        sp.csr_array(X) if sparse else X, y, cuts=CUTS, intercept=intercept
    )
    assert state.converged and len(rounds) <= 3
    expected = least_norm(X, y, intercept=intercept)
    assert_optimum(state, expected)
    coef, intercepts = fitted(state)
    assert coef[0, 0] == pytest.approx(coef[0, 4], rel=1e-9) and coef[0, -1] == 0
    assert relative(X @ coef[0] + intercepts, X @ expected[0][0] + expected[1]) <= 1e-10


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4 / 3, 1e15])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_constant_column_has_the_coefficient_zero(value, alpha):
    X, y, _ = problem()
    state, _ = least_squares(np.column_stack([X, np.full(N, value)]), y, alpha=alpha, cuts=CUTS)
    coef, _ = fitted(state)
    assert coef[0, -1] == 0 and state.converged
    assert relative(coef[:, :-1], ridge_optimum(X, y, alpha=alpha)[0]) <= 1e-9


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1e-12, 1e-6, 1.0])
@pytest.mark.parametrize("cuts", [(), (10,), range(1, 30)])
def test_more_columns_than_rows(intercept, alpha, cuts):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 80)), rng.normal(size=30)
    state, rounds = least_squares(X, y, alpha=alpha, intercept=intercept, cuts=cuts)
    assert state.converged and len(rounds) <= 8
    coef, level = fitted(state)
    expected = ridge_optimum(X, y, alpha=alpha, intercept=intercept)
    assert relative(coef, expected[0]) <= 1e-6
    assert relative(X @ coef[0] + level, X @ expected[0][0] + expected[1]) <= 1e-9


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_that_differ_by_powers_of_ten(scale):
    rng = np.random.default_rng(0)
    U = rng.normal(size=(N, 9))
    y = targets(rng, U, "ridge")
    scales = np.logspace(0, np.log10(scale), 9)
    state, rounds = least_squares(U * scales, y, cuts=CUTS)
    assert state.converged and len(rounds) == 2
    assert relative(fitted(state)[0] * scales, least_norm(U, y)[0]) <= 1e-12


@pytest.mark.parametrize("alpha", [1e-4, 1e-6, 1e-8, 1e-11, 1e-13])
def test_copies_of_a_column_share_its_coefficient(alpha):
    X, y, _ = problem(d=4)
    X /= X.std(axis=0)
    copies = np.column_stack([X, X[:, 3], X[:, 3]])
    one = np.column_stack([X[:, :3], X[:, 3] * np.sqrt(3)])
    expected = ridge_optimum(one, y, alpha=alpha)[0][0]
    state, _ = least_squares(copies, y, alpha=alpha, cuts=CUTS)
    wanted = np.append(expected[:3], [expected[3] / np.sqrt(3)] * 3)
    # The gradient's rounding over the penalty is what is left along differences of the copies,
    # unless they are found to be none of the rows' business.
    bound = 3e-13 / alpha if alpha >= 1e-8 else 0.0
    assert relative(fitted(state)[0][0], wanted) <= max(1e-6, bound)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_time_stamps(sparse, alpha):
    rng = np.random.default_rng(0)
    stamps = 1.7e9 + rng.uniform(-1e3, 1e3, size=N)
    near = np.column_stack([features(rng, N, 4), stamps - 1.7e9])
    y = targets(rng, near, "ridge")
    X = np.column_stack([near[:, :4], stamps])
    state, rounds = least_squares(sp.csr_array(X) if sparse else X, y, alpha=alpha, cuts=CUTS)
    assert len(rounds) <= 4
    assert relative(fitted(state)[0], ridge_optimum(near, y, alpha=alpha)[0]) <= 1e-8


def test_a_refined_solution_counts_as_converged():
    """Coefficients are right to 1e-13 here, and a warning would say that they are not."""
    outcomes = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        near = np.column_stack([features(rng, N, 4), rng.uniform(-1e3, 1e3, size=N)])
        X = near + np.array([0.0, 0.0, 0.0, 0.0, 1e12])
        near[:, 4] = X[:, 4] - 1e12
        y = targets(rng, near, "ridge")
        state, _ = least_squares(X, y, alpha=1.0, cuts=(100,))
        assert relative(fitted(state)[0], ridge_optimum(near, y)[0]) <= 1e-11
        outcomes.append(state.converged)
    assert all(outcomes)


@pytest.mark.parametrize("level", [1e3, 1e9])
def test_a_target_far_from_zero(level):
    X, y, _ = problem()
    state, _ = least_squares(X, y + level, cuts=CUTS)
    near = least_norm(X, y)
    coef, intercept = fitted(state)
    assert relative(coef, near[0]) <= 1e-15 * level + 1e-10  # what adding the level rounds off
    assert intercept[0] - level == pytest.approx(near[1][0], abs=1e-13 * level)


@pytest.mark.parametrize("value", [0.0, 7.0, -1e9])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_constant_target_is_the_intercept(value, alpha):
    X, _, weight = problem()
    state, rounds = least_squares(X, np.full(N, value), weight, alpha=alpha, cuts=CUTS)
    coef, intercept = fitted(state)
    assert state.converged and len(rounds) == 2
    assert np.abs(coef).max() <= 1e-12 * abs(value)
    assert intercept[0] == pytest.approx(value, rel=1e-12)


def test_a_perfect_fit_has_an_objective_of_zero():
    X, _, _ = problem()
    beta = np.arange(1.0, 7.0)
    state, rounds = least_squares(X, X @ beta + 2.0, cuts=CUTS)
    assert state.converged and rounds[-1][1].loss < 1e-20
    assert relative(fitted(state)[0][0], beta) <= 1e-10


@pytest.mark.parametrize("powers", [3, 8])
def test_wild_weights(powers):
    X, y, _ = problem()
    weight = 10.0 ** np.random.default_rng(1).uniform(-powers, powers, size=N)
    weight[::7] = 0.0
    state, _ = least_squares(X, y, weight, alpha=1.0, cuts=CUTS)
    assert state.converged
    assert_optimum(state, ridge_optimum(X, y, weight))


@pytest.mark.parametrize("cuts", [range(1, 60), (0, 0, 30, 30, 60, 60)])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_partitions_of_one_row_and_of_none(cuts, alpha):
    X, y, weight = problem(n=60)
    state, rounds = least_squares(X, y, weight, alpha=alpha, cuts=cuts)
    assert len(rounds) == 2
    assert_optimum(state, ridge_optimum(X, y, weight, alpha=alpha), 1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_gradients_alone_reach_the_same_optimum(alpha):
    """What wide data gets, where the equations would be too many."""
    X, y, weight = problem(sparse=True)
    state, _ = lbfgs(Gaussian(), X, y, weight, penalty=Penalty(alpha, of_sum=True), cuts=CUTS)
    assert state.converged
    assert_optimum(state, ridge_optimum(X, y, weight, alpha=alpha))
