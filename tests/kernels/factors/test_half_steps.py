"""Half-steps equal dense normal equations in double, and a row's bits are its own."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.kernels import stop_points
from daskml_exec.kernels.factors import batched
from daskml_exec.kernels.factors import prepared as prepared_module
from daskml_exec.kernels.factors.chunks import ROWS
from daskml_exec.kernels.factors.compiled import compiled_loops
from daskml_exec.kernels.factors.half_steps import compile_half_steps, half_step
from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.kernels.factors.prepared import prepare
from daskml_exec.kernels.factors.ratings import Ratings
from tests.kernels.factors.oracle import exact, objectives, part, random_ratings, systems


@pytest.fixture(scope="module", params=["compiled", "stacked"], autouse=True)
def way(request):
    """By compiled loops, and by stacks of rows as where Numba is not installed."""
    if request.param == "compiled":
        pytest.importorskip("numba", reason="numba is not installed")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "stacked":
            patch.setattr(prepared_module, "compiled_loops", lambda: None)
        yield request.param


FEEDBACKS = ("implicit", "explicit")
DTYPES = (np.float32, np.float64)
KINDS = {  # reg_exponent among them
    "implicit-0": Objective("implicit", 0.7, 0.1, 0.0),
    "implicit-half": Objective("implicit", 0.7, 0.1, 0.5),
    "implicit-1": Objective("implicit", 0.7, 0.1, 1.0),
    "explicit-0": Objective("explicit", 1.0, 0.1, 0.0),
    "explicit-half": Objective("explicit", 1.0, 0.1, 0.5),
    "explicit-1": Objective("explicit", 1.0, 0.1, 1.0),
}
on_kinds = pytest.mark.parametrize("kind", KINDS)
on_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def gram(other):
    other = other.astype(np.float64)
    return other.T @ other


def problem(k, dtype, counts=None, n_other=300, seed=0):
    rng = np.random.default_rng(seed)
    if counts is None:
        counts = [0, 1, 2, 3, k, k + 1, k - 1, 2 * k, 0, 5, 17, 250, 0]
    other = rng.normal(size=(n_other, k)).astype(dtype)
    return random_ratings(rng, counts, n_other, dtype), other


def relative(found, expected):
    """The largest distance of a row from what it should be, in norms of the largest row."""
    size = np.linalg.norm(expected, axis=1).max()
    return np.linalg.norm(found - expected, axis=1).max() / size


@pytest.mark.parametrize("k", [1, 2, 7, 8, 15, 16, 33, 64, 65, 130])
@on_dtypes
@on_kinds
def test_exact_half_steps_are_the_normal_equations(kind, dtype, k):
    ratings, other = problem(k, dtype)
    objective = KINDS[kind]
    factors, losses = half_step(ratings, prepare(other, gram(other), objective, "exact"))
    expected, least = exact(ratings, other, objective)
    assert factors.dtype == dtype and losses.dtype == np.float64
    assert relative(factors, expected) < (1e-5 if dtype == np.float32 else 1e-10)
    empty = np.diff(ratings.indptr) == 0
    assert not factors[empty].any() and not losses[empty].any()
    there = objectives(ratings, other, objective, factors)
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(losses, there, rtol=tolerance, atol=tolerance * there.max())
    assert losses.sum() <= least.sum() * (1 + tolerance)


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("reg", [1e-6, 1e-3, 1e3, 1e6])
@on_dtypes
def test_little_and_much_penalty(feedback, reg, dtype):
    ratings, other = problem(24, dtype)
    objective = Objective(feedback, 3.0, reg, 1.0)
    factors, _ = half_step(ratings, prepare(other, gram(other), objective, "exact"))
    expected, _ = exact(ratings, other, objective)
    # A square matrix of explicit factors is near to singular, for the oracle as well.
    assert relative(factors, expected) < (1e-5 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("feedback", FEEDBACKS)
@on_dtypes
@pytest.mark.parametrize("nonnegative", [False, True])
def test_without_a_penalty_nothing_is_nan(feedback, dtype, nonnegative):
    rng = np.random.default_rng(0)
    other = np.zeros((60, 9), dtype)
    other[:, :4] = rng.normal(size=(60, 4))
    other[:, 4] = other[:, 3]  # two alike, and four that are zero
    ratings = random_ratings(rng, [1, 2, 9, 8, 30, 0], 60, dtype)
    objective = Objective(feedback, 1.0, 0.0, 1.0)
    prepared = prepare(other, gram(other), objective, "exact", nonnegative)
    factors, losses = half_step(ratings, prepared)
    assert np.isfinite(factors).all() and np.isfinite(losses).all()
    zero, _ = half_step(ratings, prepare(0 * other, gram(0 * other), objective, "exact"))
    assert not zero.any()
    if not nonnegative:
        A, b, _ = next(itertools.islice(systems(ratings, other, objective), 4, None))
        least = np.linalg.lstsq(A, b, rcond=None)[0]
        np.testing.assert_allclose(other @ factors[4], other @ least, atol=1e-3)


@pytest.mark.parametrize("solver", ["exact", "cg", "nonnegative"])
@on_dtypes
@pytest.mark.parametrize("kind", ["implicit-1", "explicit-half"])
def test_a_row_has_its_bits_however_rows_are_cut(solver, dtype, kind):
    k, counts = 20, [3, 40, 0, 3, 20, 19, 21, 1, 1, 120, 3, 5] * 10
    ratings, other = problem(k, dtype, counts)
    start = np.random.default_rng(1).normal(size=(len(counts), k)).astype(dtype)
    nonnegative = solver == "nonnegative"
    other = abs(other) if nonnegative else other
    prepared = prepare(
        other, gram(other), KINDS[kind], "exact" if nonnegative else solver, nonnegative
    )
    whole = half_step(ratings, prepared, start)
    for size in (1, 2, 3):
        cuts = [*range(0, len(counts), size * ROWS), len(counts)]
        pieces = [
            half_step(part(ratings, a, b), prepared, start[a:b])
            for a, b in itertools.pairwise(cuts)
        ]
        for here, there in zip(whole, zip(*pieces, strict=True), strict=True):
            assert np.array_equal(here, np.concatenate(there))


@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=100),
    cuts=st.sets(st.integers(0, 3)),
    feedback=st.sampled_from(FEEDBACKS),
    solver=st.sampled_from(["exact", "cg"]),
    k=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=60)
def test_any_cut_equals_the_whole(counts, cuts, feedback, solver, k, seed):
    ratings, other = problem(k, np.float32, counts, 12, seed)
    prepared = prepare(other, gram(other), Objective(feedback, 1.0, 0.1, 1.0), solver)
    whole = half_step(ratings, prepared)
    ends = sorted({0, len(counts), *(cut * ROWS for cut in cuts if cut * ROWS < len(counts))})
    pieces = [half_step(part(ratings, a, b), prepared) for a, b in itertools.pairwise(ends)]
    for here, there in zip(whole, zip(*pieces, strict=True), strict=True):
        assert np.array_equal(here, np.concatenate(there))


@on_dtypes
@on_kinds
def test_no_rows_at_all(kind, dtype):
    other = np.ones((4, 3), dtype)
    empty = Ratings(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, dtype))
    for solver in ("exact", "cg"):
        factors, losses = half_step(empty, prepare(other, gram(other), KINDS[kind], solver))
        assert factors.shape == (0, 3) and factors.dtype == dtype and losses.shape == (0,)


def steps_of_conjugate_gradients(A, b, preconditioner, x, steps):
    r = b - A @ x
    p = preconditioner * r
    for _ in range(steps):
        if np.abs(r).max() < 1e-12 * max(1.0, np.abs(b).max()):
            break
        step = r @ (preconditioner * r) / (p @ A @ p)
        x, before = x + step * p, r @ (preconditioner * r)
        r = r - step * A @ p
        p = preconditioner * r + r @ (preconditioner * r) / before * p
    return x


@pytest.mark.parametrize("k", [1, 5, 16, 33, 64, 70])
@on_dtypes
@on_kinds
@pytest.mark.parametrize("begun", [False, True])
def test_conjugate_gradients_are_those_of_the_formula(kind, dtype, k, begun):
    ratings, other = problem(k, dtype, [0, 1, 2, 9, 30, 31, 70])
    objective = KINDS[kind]
    start = np.random.default_rng(1).normal(size=(7, k)).astype(dtype)
    prepared = prepare(other, gram(other), objective, "cg")
    factors, losses = half_step(ratings, prepared, start if begun else None)
    spectrum, basis = np.linalg.eigh(gram(other))
    expected = np.zeros((7, k))
    for i, system in enumerate(systems(ratings, other, objective)):
        if system is None:
            continue
        A, b, _ = system
        penalty = objective.reg * float(np.diff(ratings.indptr)[i]) ** objective.reg_exponent
        x = start[i].astype(np.float64) if begun else np.zeros(k)
        if objective.feedback == "implicit":
            turned = basis.T @ A @ basis, basis.T @ b, 1 / (spectrum + penalty), basis.T @ x
            expected[i] = basis @ steps_of_conjugate_gradients(*turned, 3)
        else:
            ones = np.full(k, 1 / penalty)
            expected[i] = steps_of_conjugate_gradients(A, b, ones, x, 3)
    tolerance = 5e-5 if dtype == np.float32 else 1e-9
    assert relative(factors, expected) < tolerance
    there = objectives(ratings, other, objective, factors)
    np.testing.assert_allclose(losses, there, rtol=tolerance, atol=tolerance * there.max())


@on_dtypes
@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_conjugate_gradients_stay_at_a_solution(feedback, dtype):
    ratings, other = problem(16, dtype)
    objective = Objective(feedback, 1.0, 1.0, 1.0)
    solution, _ = half_step(ratings, prepare(other, gram(other), objective, "exact"))
    again, _ = half_step(ratings, prepare(other, gram(other), objective, "cg"), solution)
    assert relative(again, solution) < (1e-5 if dtype == np.float32 else 1e-10)


@on_dtypes
@on_kinds
@pytest.mark.parametrize("k", [1, 4, 16, 33])
@pytest.mark.parametrize("begun", [False, True])
def test_nonnegative_factors_meet_their_conditions(kind, dtype, k, begun):
    ratings, other = problem(k, dtype)
    objective = KINDS[kind]
    other = other + dtype(0.3)
    prepared = prepare(other, gram(other), objective, "exact", nonnegative=True)
    start = np.random.default_rng(1).normal(size=(len(ratings.indptr) - 1, k)).astype(dtype)
    factors, losses = half_step(ratings, prepared, start if begun else None)
    assert (factors >= 0).all() and (factors > 0).any()
    for x, system in zip(
        factors.astype(np.float64), systems(ratings, other, objective), strict=True
    ):
        if system is None:
            assert not x.any()
            continue
        A, b, _ = system
        gradient = (A @ x - b) / max(np.abs(b).max(), 1e-30)
        assert gradient.min() > -1e-5 and np.abs(gradient[x > 0]).max(initial=0.0) < 1e-5
    there = objectives(ratings, other, objective, factors)
    np.testing.assert_allclose(losses, there, rtol=2e-6, atol=2e-6 * there.max())


@on_dtypes
@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("solver", ["exact", "nonnegative", "cg"])
def test_the_objective_never_rises(feedback, dtype, solver):
    rng = np.random.default_rng(3)
    dense = rng.geometric(0.4, (50, 40)) * (rng.random((50, 40)) < 0.3)
    sides = []
    for table in (dense, dense.T):
        rows, columns = np.nonzero(table)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(table)))])
        values = table[rows, columns].astype(dtype)
        sides.append(Ratings(indptr.astype(np.int64), columns.astype(np.int32), values))
    objective = Objective(feedback, 1.0, 0.05, 1.0)
    factors = [abs(rng.normal(size=(n, 6))).astype(dtype) for n in dense.shape]
    before = np.inf
    for half in range(12):
        own, other = half % 2, 1 - half % 2
        prepared = prepare(
            factors[other],
            gram(factors[other]),
            objective,
            "cg" if solver == "cg" else "exact",
            solver == "nonnegative",
        )
        factors[own], losses = half_step(sides[own], prepared, factors[own])
        counts = np.diff(sides[other].indptr).astype(float)
        penalties = objective.penalty(counts) * (factors[other].astype(float) ** 2).sum(axis=1)
        total = losses.sum() + penalties[counts > 0].sum()
        assert total <= before * (1 + (1e-7 if dtype == np.float32 else 1e-14))
        before = total


def read_only(array, odd=False):
    array = np.frombuffer(b"x" * odd + array.tobytes(), array.dtype, offset=int(odd)).reshape(
        array.shape
    )
    assert not array.flags.writeable and array.flags.aligned != odd
    return array


@on_dtypes
@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("solver", ["exact", "cg", "nonnegative"])
def test_shared_arrays_and_those_at_odd_addresses(solver, dtype, odd):
    ratings, other = problem(17, dtype)
    start = np.full((len(ratings.indptr) - 1, 17), 0.5, dtype)

    def step(given):
        ratings_, other_, start_ = given
        system, objective = gram(other_), Objective("implicit", 1.0, 0.1, 1.0)
        system.flags.writeable = not odd
        nonnegative = solver == "nonnegative"
        name = "exact" if nonnegative else solver
        return half_step(ratings_, prepare(other_, system, objective, name, nonnegative), start_)

    there = Ratings(
        read_only(ratings.indptr, odd),
        read_only(ratings.indices, odd),
        read_only(ratings.values, odd),
    )
    expected = step((ratings, other, start))
    for found, wanted in zip(
        step((there, read_only(other, odd), read_only(start, odd))), expected, strict=True
    ):
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("reg", [1e-6, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("alpha", [0.1, 10.0, 1000.0])
def test_badly_conditioned_rows_in_single_precision(feedback, reg, alpha):
    rng = np.random.default_rng(0)
    for k in (4, 32, 48):
        counts = [k - 2, k - 1, k, k + 1, 2 * k, k // 2]
        other = (rng.normal(size=(200, k)) * np.logspace(0, -1.5, k)).astype(np.float32)
        ratings = random_ratings(rng, counts, 200, np.float32)
        objective = Objective(feedback, alpha, reg, 0.0)
        factors, _ = half_step(ratings, prepare(other, gram(other), objective, "exact"))
        expected, _ = exact(ratings, other, objective)
        assert relative(factors, expected) < 1e-5


@on_dtypes
@on_kinds
@pytest.mark.parametrize("solver", ["exact", "nonnegative"])
def test_values_of_any_size(kind, dtype, solver):
    ratings, other = problem(16, dtype)
    ratings.values[:] = np.random.default_rng(0).choice(
        [0.0, 1e-30, 1e-6, -1e-30, 1.0, -3.0, 1e4], len(ratings.values)
    )
    objective, nonnegative = KINDS[kind], solver == "nonnegative"
    prepared = prepare(other, gram(other), objective, "exact", nonnegative)
    factors, losses = half_step(ratings, prepared)
    expected, least = exact(ratings, other, objective)
    assert np.isfinite(losses).all()
    if not nonnegative:
        for row, wanted in zip(factors, expected, strict=True):
            distance = np.linalg.norm(row - wanted)
            assert distance <= (1e-5 if dtype == np.float32 else 1e-10) * np.linalg.norm(wanted)
    assert (losses >= least - 1e-5 * np.abs(least).max()).all()


def test_long_rows(way, monkeypatch):
    monkeypatch.setattr(batched, "_LONGEST", 50)
    ratings, other = problem(12, np.float64, [250, 0, 51, 50, 3])
    start = np.ones((5, 12))
    for objective in KINDS.values():
        expected, least = exact(ratings, other, objective)
        prepared = prepare(other, gram(other), objective, "exact")
        factors, losses = half_step(ratings, prepared)
        assert relative(factors, expected) < 1e-10
        np.testing.assert_allclose(losses, least, rtol=1e-10)
        whole = prepare(other, gram(other), objective, "cg")
        short = half_step(ratings, whole, start)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batched, "_LONGEST", 4096)
            np.testing.assert_allclose(short[0], half_step(ratings, whole, start)[0], rtol=1e-9)


def test_a_half_step_can_be_stopped():
    seen = []
    ratings, other = problem(3, np.float32)
    prepared = prepare(other, gram(other), KINDS["implicit-1"], "exact")
    stop_points.look_with(lambda: seen.append(1))
    try:
        half_step(ratings, prepared)
    finally:
        stop_points.look_with(None)
    assert seen


@on_dtypes
def test_loops_are_compiled_ahead(dtype):
    for solver, nonnegative in (("exact", False), ("exact", True), ("cg", False)):
        compile_half_steps(dtype, solver, nonnegative)
    ratings, other = problem(3, dtype)
    if (loops := compiled_loops()) is None:
        return
    before = len(loops.exact_rows.signatures)
    half_step(ratings, prepare(other, gram(other), KINDS["implicit-1"], "exact"))
    assert len(loops.exact_rows.signatures) == before


def test_absent_numba_is_found_out(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    compiled_loops.cache_clear()
    try:
        assert compiled_loops() is None
        compile_half_steps("float32", "exact")
    finally:
        compiled_loops.cache_clear()


def test_what_cannot_be_prepared():
    other = np.ones((3, 2))
    objective = Objective("implicit", 1.0, 0.1, 1.0)
    with pytest.raises(ValueError, match="solver is 'qr': it may be 'exact' or 'cg'"):
        prepare(other, gram(other), objective, "qr")
    with pytest.raises(ValueError, match="with nonnegative=True it may be 'exact' alone"):
        prepare(other, gram(other), objective, "cg", nonnegative=True)
    with pytest.raises(ValueError, match="gram is None"):
        prepare(other, None, objective, "exact")
