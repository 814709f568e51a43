"""The search over feature blocks, without Dask: any cut, hard columns, solutions of least norm."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.kernels.distributions import Gaussian, Logistic, Poisson
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.linear_model._on_cells import missed_least_norm, on_cells
from daskml_exec.linear_model._plan import GRADIENTS, PRODUCTS, Plan
from daskml_exec.linear_model._problem import GLMProblem, Penalty
from daskml_exec.partitions import Cell, Partition
from tests.linear_model.oracles import OPTIMA, assert_optimum, features, relative, targets
from tests.tiers import each_pair, each_value

N, D = 200, 7
# Family, kind of target, classes, and the strength of the penalty with its name for the oracle.
CASES = {
    "binary": (Logistic(2), "logistic", 2, Penalty(1.0, of_sum=True), {"C": 1.0}),
    "classes": (Logistic(3), "logistic", 3, Penalty(0.1, of_sum=True), {"C": 10.0}),
    "counts": (Poisson(), "poisson", 1, Penalty(1e-3, of_sum=False), {"alpha": 1e-3}),
    "ridge": (Gaussian(), "ridge", 1, Penalty(1.0, of_sum=True), {"alpha": 1.0}),
    "free": (Gaussian(), "ridge", 1, Penalty(0.0, of_sum=True), {"alpha": 0.0}),
}


@dataclass
class _Outcome:
    columns: list
    rows: object


class LocalGrid:
    """A grid of cells in this process, with the rounds of a `GridRunner`."""

    def __init__(self, X, y, weight, rows, columns):
        rows, columns = [0, *sorted(rows), X.shape[0]], [0, *sorted(columns), X.shape[1]]
        self.blocks = [slice(a, b) for a, b in itertools.pairwise(columns)]
        self.cells = [
            [Cell(i, j, block.start, X[a:b, block]) for j, block in enumerate(self.blocks)]
            for i, (a, b) in enumerate(itertools.pairwise(rows))
        ]
        self.targets = [
            Partition(i, a, None, y[a:b], None if weight is None else weight[a:b])
            for i, (a, b) in enumerate(itertools.pairwise(rows))
        ]

    def run_pass(self, over, *, name):
        columns = [
            fold([over.of_cell(row[j], t) for row, t in self.rows()], lambda a, b: a + b)
            for j in range(len(self.blocks))
        ]
        rows = fold([over.of_row(row) for row in self.targets], lambda a, b: a + b)
        return _Outcome(columns, rows)

    def run(self, exchange, outgoing, common, returning, *, name):
        back, sums = [], []
        for row, target in self.rows():
            parts = [exchange.forward(c, m) for c, m in zip(row, outgoing, strict=True)]
            residual, of_row = exchange.meet(target, parts, common)
            back.append([exchange.backward(c, residual, returning[c.column]) for c in row])
            sums.append(of_row)
        columns = [fold(list(c), np.add) for c in zip(*back, strict=True)]
        return _Outcome(columns, fold(sums, lambda a, b: a + b))

    def rows(self):
        return zip(self.cells, self.targets, strict=True)


def fit(
    case, X, y, weight=None, *, rows=(60,), columns=(3,), intercept=True, penalty=None, share=1.0
):
    """Return the state and the steps; of redundant columns the least norm is reached."""
    family, _, _, own, _ = CASES[case]
    problem = GLMProblem(family, own if penalty is None else penalty, intercept)
    grid = LocalGrid(X, y, weight, rows, columns)
    plan = Plan(PRODUCTS, "", pool_share=share) if share else Plan(GRADIENTS, "")
    if family == Gaussian() and X.shape[0] < X.shape[1]:
        plan = Plan(GRADIENTS, "")
    algorithm, state = on_cells(plan, problem, X.shape, tol=1e-10, max_iter=2000)
    steps = []
    while (query := algorithm.ask(state)) is not None:
        over = query.over_cells(grid.blocks)
        answer = over.joined(over.submit(grid, "local"))
        state, _ = algorithm.tell(state, query, answer)
        steps.append(query.step)
    assert not missed_least_norm(state)
    return state.solution, steps


def problem_of(case, *, sparse=False, n=N):
    _, kind, K, _, _ = CASES[case]
    rng = np.random.default_rng(0)
    X = features(rng, n, D, sparse=sparse)
    return X, targets(rng, X, kind, K), rng.exponential(size=n)


def optimum(case, X, y, weight=None, **options):
    _, kind, _, _, params = CASES[case]
    return OPTIMA[kind](X.toarray() if sp.issparse(X) else X, y, weight, **{**params, **options})


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=15)
@given(
    rows=st.lists(st.integers(0, N), max_size=4),
    columns=st.lists(st.integers(1, D - 1), max_size=4, unique=True),
    sparse=st.booleans(),
    intercept=st.booleans(),
    weighted=st.booleans(),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_any_cut_of_both_axes_is_the_whole(case, rows, columns, sparse, intercept, weighted, share):
    X, y, weight = problem_of(case, sparse=sparse)
    weight = weight if weighted else None
    how = {"rows": rows, "columns": columns, "intercept": intercept, "share": share}
    state, steps = fit(case, X, y, weight, **how)
    assert state.converged and len(steps) <= 80
    assert_optimum(state, optimum(case, X, y, weight, intercept=intercept))


@pytest.mark.parametrize("case", CASES)
def test_single_precision(case):
    X, y, _ = problem_of(case)
    X = X.astype(np.float32)
    state, _ = fit(case, X, y)
    assert_optimum(state, optimum(case, X.astype(np.float64), y))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("sparse", [False, True])
def test_columns_of_any_unit_and_mean(case, sparse):
    """Columns whose units differ by twelve powers of ten, far from zero; and a constant one."""
    X, y, _ = problem_of(case)
    U = X / X.std(axis=0)
    far = np.column_stack([U[:, :2] * 1e-6, U[:, 2] * 1e6, U[:, 3:] + 1e5, np.full(N, 3.0)])
    far = sp.csr_array(far) if sparse else far
    state, _ = fit(case, far, y, columns=(3, 5), penalty=Penalty(0.0, of_sum=True))
    assert state.converged
    coef = state.parameters.coef
    assert not coef[:, -1].any()
    free = {"C": np.inf} if CASES[case][1] == "logistic" else {"alpha": 0.0}
    expected = optimum(case, U, y, **free)[0]
    if len(coef) > 1:
        coef, expected = coef - coef.mean(axis=0), expected - expected.mean(axis=0)
    assert relative(coef[:, :-1] * [1e-6, 1e-6, 1e6, 1, 1, 1, 1], expected) <= 1e-6


def factors(rng, n, d, noise):
    """Four factors and noise, in different units."""
    X = rng.normal(size=(n, 4)) @ rng.normal(size=(4, d)) + noise * rng.normal(size=(n, d))
    return X * np.logspace(-2, 2, d)


@each_value(
    case=CASES, given=[(0.1, 0.0, 300), (0.01, 0.0, 500), (0.01, 0.2, 250), (0.01, 1.0, 30)]
)
def test_correlated_columns(case, given):
    """With steps remembered for each column, correlations cost no more rounds than a few times d.

    With thirty steps these take up to two thousand, and some do not converge. A sample of the
    rows saves most of them.
    """
    noise, share, most = given
    rng = np.random.default_rng(0)
    X = factors(rng, 500, 40, noise)
    y = targets(rng, X, CASES[case][1], CASES[case][2])
    state, steps = fit(case, X, y, columns=(10, 20, 30), share=share)
    of_search = [step for step in steps if step != "project"]
    assert state.converged and len(of_search) <= most
    assert_optimum(state, optimum(case, X, y))


@pytest.mark.parametrize("C", [1.0, 1e4])
def test_few_rows_of_columns_in_different_units(C):
    """Classes that are far apart in the large columns, and all but the penalty's in the small."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 120)) * np.logspace(-2, 2, 120)
    y = targets(rng, X, "logistic", 2)
    state, steps = fit("binary", X, y, penalty=Penalty(1.0 / C, of_sum=True), columns=(40, 80))
    assert state.converged and len(steps) <= 250
    assert_optimum(state, optimum("binary", X, y, C=C))


def redundant(rng, kind):
    A = rng.normal(size=(80, 4)) * np.logspace(-2, 2, 4)
    if kind == "copies":
        return np.column_stack([A, 3 * A[:, 2], A[:, 0] + A[:, 3] / 1e4, np.full(80, 7.0)])
    if kind == "categories":
        return np.column_stack([np.eye(4)[rng.integers(0, 4, 80)], A])
    if kind == "low rank":
        return rng.normal(size=(80, 3)) @ rng.normal(size=(3, 9)) * np.logspace(-1, 1, 9)
    if kind == "few rows":
        return rng.normal(size=(30, 50)) * np.logspace(-1, 1, 50)
    return A


@each_pair(
    kind=["copies", "categories", "low rank", "few rows", "regular"],
    intercept=[True, False],
    sparse=[False, True],
)
def test_the_solution_of_least_norm(kind, intercept, sparse):
    """In the columns' own units, also where columns are redundant in different ones.

    Rounding must not decide, so rows are summed in several orders: each is what another processor
    may make of the first.
    """
    rng = np.random.default_rng(0)
    X = redundant(rng, kind)
    y = targets(rng, X, "ridge")
    expected = optimum("free", X, y, intercept=intercept)
    for seed, cuts in enumerate([(20, 25), (), (1, 2, 29), (5, 10, 15, 20, 25)]):
        order = np.random.default_rng(seed).permutation(len(y)) if seed else np.arange(len(y))
        given_X = sp.csr_array(X[order]) if sparse else X[order]
        for share in (0.0, 1.0):
            how = {"rows": cuts, "columns": (2, 3), "intercept": intercept, "share": share}
            state, _ = fit("free", given_X, y[order], **how)
            assert state.converged
            assert_optimum(state, expected)


def test_nearly_redundant_columns_are_not_redundant():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    X = np.column_stack([X, X[:, 0] + 1e-4 * rng.normal(size=100)]) * [1, 10, 1, 1, 100]
    y = targets(rng, X, "ridge")
    state, _ = fit("free", X, y)
    assert state.converged
    assert_optimum(state, optimum("free", X, y))


def test_constant_targets():
    X, _, _ = problem_of("free")
    state, _ = fit("free", X, np.full(N, 3.0))
    assert state.converged and not state.parameters.coef.any()
    assert state.parameters.intercept == pytest.approx([3.0])
