"""Alternating least squares as an algorithm: one side's factors are solved, then the other's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.chunks import ROWS, chunk_sums, gram_nodes
from daskml_exec.kernels.factors.half_steps import compile_half_steps, half_step
from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.kernels.factors.prepared import Prepared, prepare
from daskml_exec.kernels.factors.ratings import Ratings
from daskml_exec.kernels.fixed_tree import Node, fold_siblings
from daskml_exec.partitions import Partition
from daskml_exec.recommendation._blocks import SideName
from daskml_exec.training import Measured, Query

Solver = Literal["exact", "cg"]

_FEW = 1_000_000


def worth_compiling(n_entries: int, n_factors: int) -> bool:
    """Return whether compiled loops are to solve half-steps of so many numbers.

    To compile them takes some fifteen seconds once on a machine. Stacked rows take ten times as
    long as they do, and a second for all of a fit of fewer than so many numbers. What is already
    compiled must not matter: the last bits are others.
    """
    return n_entries * n_factors >= _FEW


@dataclass(frozen=True)
class Sums:
    """What there is to know of the factors of one side, where they stay on Workers.

    Attributes
    ----------
    gram : ndarray of float64 of shape (n_factors, n_factors)
    penalty : float
        As of `Factors`.
    """

    gram: Array
    penalty: float


@dataclass(frozen=True)
class Factors:
    """The factors of one side.

    Attributes
    ----------
    values : ndarray of shape (n_rows, n_factors)
    gram : ndarray of float64 of shape (n_factors, n_factors)
        The sum of outer products of all rows.
    penalty : float
        Their share of the objective.
    """

    values: Array
    gram: Array
    penalty: float

    @classmethod
    def of(cls, values: Array, counts: Array, objective: Objective) -> Factors:
        """Return factors with their sums, which are those that Workers would have found."""
        penalty = float(penalty_sums(values, counts, objective).sum())
        return cls(values, gram_of(values), penalty)


@dataclass(frozen=True)
class Alternation:
    """Where training is.

    Attributes
    ----------
    user, item : Factors
    n_half_steps : int
        Done so far; users go first.
    objective : float
        After the last half-step.
    before : float
        After the last whole iteration.
    fell : float
        By how much the last whole iteration has lowered the objective, as a share of it.
    converged : bool
    """

    user: Factors
    item: Factors
    n_half_steps: int = 0
    objective: float = np.inf
    before: float = np.inf
    fell: float = np.inf
    converged: bool = False

    @property
    def n_iterations(self) -> int:
        """Whole iterations done."""
        return self.n_half_steps // 2


@dataclass(frozen=True)
class Solved:
    """What blocks bring of a half-step: rows and sums behind one another, nodes of the Gram tree.

    Attributes
    ----------
    factors, objectives, penalties : tuple of ndarray
        One each per block, in order.
    gram : dict of Node to ndarray
    n_chunks : int
    """

    factors: tuple[Array, ...]
    objectives: tuple[Array, ...]
    penalties: tuple[Array, ...]
    gram: dict[Node, Array]
    n_chunks: int

    def __add__(self, other: Solved) -> Solved:
        return Solved(
            self.factors + other.factors,
            self.objectives + other.objectives,
            self.penalties + other.penalties,
            fold_siblings({**self.gram, **other.gram}, self.n_chunks, np.add),
            self.n_chunks,
        )

    def side(self) -> Factors:
        """Return the factors of the side that all blocks together are."""
        sums = self.sums()
        return Factors(np.concatenate(self.factors), sums.gram, sums.penalty)

    def sums(self) -> Sums:
        """Return their sums alone."""
        ((_, gram),) = self.gram.items()
        return Sums(gram, float(np.concatenate(self.penalties).sum()))


@dataclass(frozen=True)
class HalfStep(Query[Solved]):
    """Solve the factors of one side, given those of the other.

    Attributes
    ----------
    side : {"user", "item"}
    n_rows : int
        Of this side.
    other, gram : ndarray
        Factors of the other side, and their Gram matrix.
    start : ndarray or None
        Factors of this side so far, where the solver begins with them.
    objective : Objective
    solver : {"exact", "cg"}
    nonnegative : bool
    loops : bool
        Whether rows are solved by compiled loops, where there are some.
    """

    side: SideName
    n_rows: int
    other: Array
    gram: Array
    start: Array | None
    objective: Objective
    solver: Solver
    nonnegative: bool
    loops: bool

    @property
    def step(self) -> str:
        """Say whose factors are solved."""
        return f"{self.side}s"

    def prepare(self) -> Prepared:
        """Return what all rows need of the other side."""
        return prepare(
            self.other,
            self.gram,
            self.objective,
            self.solver,
            nonnegative=self.nonnegative,
            loops=self.loops,
        )

    def partial(self, partition: Partition, prepared: Prepared) -> Solved:
        """Return the factors of a block's rows, and their sums."""
        side = partition.X.side(self.side)
        stop = side.start + side.n_rows
        start = None if self.start is None else self.start[side.start : stop]
        ratings = Ratings(side.pairs.indptr, side.pairs.columns, side.pairs.values)
        values, objectives = half_step(ratings, prepared, start)
        return Solved(
            (values,),
            (chunk_sums(objectives),),
            (penalty_sums(values, side.counts, self.objective),),
            gram_nodes(values, side.start, self.n_rows) if side.n_rows else {},
            n_chunks(self.n_rows),
        )


@dataclass(frozen=True)
class CompileHalfSteps:
    """Compiles the loops of half-steps where a partition is.

    Attributes
    ----------
    dtype : numpy.dtype
    solver : {"exact", "cg"}
    nonnegative : bool
    """

    dtype: Any
    solver: Solver
    nonnegative: bool

    def __call__(self, partition: Partition) -> None:
        """Compile them, or load what was compiled before."""
        compile_half_steps(self.dtype, self.solver, self.nonnegative)


@dataclass(frozen=True)
class AlternatingSteps:
    """The algorithm.

    Attributes
    ----------
    objective : Objective
    solver : {"exact", "cg"}
    nonnegative : bool
    loops : bool
    max_iter : int
    tol : float
        Training has converged when an iteration lowers the objective by less than this share.
    """

    objective: Objective
    solver: Solver
    nonnegative: bool
    loops: bool
    max_iter: int
    tol: float

    states: ClassVar[tuple[type, ...]] = (Alternation, Factors)

    def ask(self, state: Any) -> Any:
        """Ask for the users' factors, then for the items'."""
        if state.converged or state.n_iterations >= self.max_iter:
            return None
        side: SideName = "item" if state.n_half_steps % 2 else "user"
        mine, other = (state.item, state.user) if side == "item" else (state.user, state.item)
        return HalfStep(
            side,
            len(mine.values),
            other.values,
            other.gram,
            mine.values if self.solver == "cg" or self.nonnegative else None,
            self.objective,
            self.solver,
            self.nonnegative,
            self.loops,
        )

    def mine(self, answer: Solved) -> Any:
        """Return what the state has of the side that was solved."""
        return answer.side()

    def tell(self, state: Any, query: Any, answer: Solved) -> tuple[Any, Measured]:
        """Take in one side's factors; after both, see whether the objective has settled."""
        mine = self.mine(answer)
        other = state.item if query.side == "user" else state.user
        objective = float(np.concatenate(answer.objectives).sum()) + other.penalty
        if not np.isfinite(objective):
            raise ValueError(
                f"the objective became {objective} as the {query.step}' factors were solved; "
                "allowed are ratings, alpha and reg whose products are finite in the estimator's "
                "dtype"
            )
        after = replace(state, n_half_steps=state.n_half_steps + 1, objective=objective)
        if query.side == "user":
            after = replace(after, user=mine)
        else:
            fell = (state.before - objective) / max(abs(objective), np.finfo(np.float64).tiny)
            after = replace(
                after, item=mine, before=objective, fell=fell, converged=fell < self.tol
            )
        return after, Measured(loss=objective)


def factors_on_driver(state: Alternation) -> tuple[Array, Array]:
    """Return the factors of users and of items."""
    return state.user.values, state.item.values


def penalty_sums(values: Array, counts: Array, objective: Objective) -> Array:
    """Return what factors of rows with so many entries add to the objective, summed by chunks."""
    squares = np.einsum("ij,ij->i", values, values, dtype=np.float64)
    strengths = objective.penalty(np.maximum(counts, 1).astype(np.float64))
    return np.asarray(chunk_sums(strengths * squares))


def gram_of(values: Array) -> Array:
    """Return the sum of the outer products of all rows, in the bits that blocks give together."""
    nodes = gram_nodes(values, 0, len(values))
    (gram,) = fold_siblings(nodes, n_chunks(len(values)), np.add).values()
    return gram


def n_chunks(n_rows: int) -> int:
    """Return how many chunks of rows a Gram matrix is summed over: at least one."""
    return max(1, -(-n_rows // ROWS))


def initial_items(n_items: int, n_factors: int, dtype: Any, seed: Any) -> Array:
    """Return random factors to begin with, which depend on the seed and their number alone.

    They are even over [0, 1 / (2 sqrt(k))). After ten iterations the objective was lower from there
    than from ones of either sign, and near the lowest for weak and strong penalties, where other
    scales were best for one of them.
    """
    values = np.random.default_rng(seed).random((n_items, n_factors)) / (2 * np.sqrt(n_factors))
    return values.astype(dtype)
