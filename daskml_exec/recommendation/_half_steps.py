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
from daskml_exec.recommendation._blocks import Side, SideName
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
class Solving:
    """How rows are solved.

    Attributes
    ----------
    objective : Objective
    solver : {"exact", "cg"}
    nonnegative : bool
    loops : bool
        Whether by compiled loops, where there are some.
    """

    objective: Objective
    solver: Solver
    nonnegative: bool
    loops: bool

    @property
    def begins(self) -> bool:
        """Whether it begins with the factors so far."""
        return self.solver == "cg" or self.nonnegative

    def prepared(self, other: Array, gram: Array) -> Prepared:
        """Return what all rows need of the other side."""
        return prepare(
            other,
            gram,
            self.objective,
            self.solver,
            nonnegative=self.nonnegative,
            loops=self.loops,
        )

    def solved(
        self, side: Side, n_rows: int, prepared: Prepared, start: Array | None
    ) -> tuple[Array, Solved]:
        """Return the factors of a block's rows, and their sums; all blocks have `n_rows`."""
        ratings = Ratings(side.pairs.indptr, side.pairs.columns, side.pairs.values)
        values, objectives = half_step(ratings, prepared, start)
        return values, Solved(
            (),
            (chunk_sums(objectives),),
            (penalty_sums(values, side.counts, self.objective),),
            gram_nodes(values, side.start, n_rows) if side.n_rows else {},
            n_rows,
        )


@dataclass(frozen=True)
class Sums:
    """What the driver knows of the factors of one side, wherever they are.

    Attributes
    ----------
    n_rows : int
    gram : ndarray of float64 of shape (n_factors, n_factors)
        The sum of outer products of all rows.
    penalty : float
        Their share of the objective.
    """

    n_rows: int
    gram: Array
    penalty: float

    @classmethod
    def of(cls, values: Array, counts: Array, objective: Objective) -> Sums:
        """Return the sums that Workers would have found."""
        penalty = float(penalty_sums(values, counts, objective).sum())
        return cls(len(values), gram_of(values), penalty)


@dataclass(frozen=True)
class Progress:
    """How far training is.

    Attributes
    ----------
    user, item : Sums
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

    user: Sums
    item: Sums
    n_half_steps: int = 0
    objective: float = np.inf
    before: float = np.inf
    fell: float = np.inf
    converged: bool = False

    @property
    def n_iterations(self) -> int:
        """Whole iterations done."""
        return self.n_half_steps // 2

    @property
    def turn(self) -> SideName:
        """Whose factors are next."""
        return "item" if self.n_half_steps % 2 else "user"

    def told(self, answer: Solved, tol: float) -> Progress:
        """Take in one side's sums; after both, see whether the objective has settled.

        Raises
        ------
        ValueError
            The objective is not finite.
        """
        other = self.item if self.turn == "user" else self.user
        objective = float(np.concatenate(answer.objectives).sum()) + other.penalty
        if not np.isfinite(objective):
            raise ValueError(
                f"the objective became {objective} as the {self.turn}s' factors were solved; "
                "allowed are ratings, alpha and reg whose products are finite in the estimator's "
                "dtype"
            )
        after = replace(self, n_half_steps=self.n_half_steps + 1, objective=objective)
        if self.turn == "user":
            return replace(after, user=answer.sums())
        fell = (self.before - objective) / max(abs(objective), np.finfo(np.float64).tiny)
        return replace(after, item=answer.sums(), before=objective, fell=fell, converged=fell < tol)


@dataclass(frozen=True)
class Alternation:
    """Where training is, with all factors on the driver.

    Attributes
    ----------
    progress : Progress
    user, item : ndarray of shape (n_rows, n_factors)
    """

    progress: Progress
    user: Array
    item: Array


@dataclass(frozen=True)
class Solved:
    """What blocks bring of a half-step: rows and sums behind one another, nodes of the Gram tree.

    Attributes
    ----------
    factors : tuple of ndarray
        One per block, in order; none where they stay with the blocks.
    objectives, penalties : tuple of ndarray
        One each per block, in order.
    gram : dict of Node to ndarray
    n_rows : int
        Of all blocks together.
    """

    factors: tuple[Array, ...]
    objectives: tuple[Array, ...]
    penalties: tuple[Array, ...]
    gram: dict[Node, Array]
    n_rows: int

    def __add__(self, other: Solved) -> Solved:
        return Solved(
            self.factors + other.factors,
            self.objectives + other.objectives,
            self.penalties + other.penalties,
            fold_siblings({**self.gram, **other.gram}, n_chunks(self.n_rows), np.add),
            self.n_rows,
        )

    def sums(self) -> Sums:
        """Return the sums of the side that all blocks together are."""
        ((_, gram),) = self.gram.items()
        return Sums(self.n_rows, gram, float(np.concatenate(self.penalties).sum()))


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
    solving : Solving
    """

    side: SideName
    n_rows: int
    other: Array
    gram: Array
    start: Array | None
    solving: Solving

    @property
    def step(self) -> str:
        """Say whose factors are solved."""
        return f"{self.side}s"

    def prepare(self) -> Prepared:
        """Return what all rows need of the other side."""
        return self.solving.prepared(self.other, self.gram)

    def partial(self, partition: Partition, prepared: Prepared) -> Solved:
        """Return the factors of a block's rows, and their sums."""
        side = partition.X.side(self.side)
        start = None if self.start is None else self.start[side.start : side.start + side.n_rows]
        values, solved = self.solving.solved(side, self.n_rows, prepared, start)
        return replace(solved, factors=(values,))


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
    solving : Solving
    max_iter : int
    tol : float
        Training has converged when an iteration lowers the objective by less than this share.
    """

    solving: Solving
    max_iter: int
    tol: float

    states: ClassVar[tuple[type, ...]] = (Alternation, Progress, Sums)

    def done(self, progress: Progress) -> bool:
        """Whether there is nothing left to ask."""
        return progress.converged or progress.n_iterations >= self.max_iter

    def ask(self, state: Any) -> Any:
        """Ask for the users' factors, then for the items'."""
        progress = state.progress
        if self.done(progress):
            return None
        pairs = (progress.user, state.user), (progress.item, state.item)
        mine, other = pairs if progress.turn == "user" else pairs[::-1]
        return HalfStep(
            progress.turn,
            mine[0].n_rows,
            other[1],
            other[0].gram,
            mine[1] if self.solving.begins else None,
            self.solving,
        )

    def tell(self, state: Any, query: Any, answer: Solved) -> tuple[Any, Measured]:
        """Take in one side's factors."""
        progress, values = state.progress.told(answer, self.tol), np.concatenate(answer.factors)
        if query.side == "user":
            after = Alternation(progress, values, state.item)
        else:
            after = Alternation(progress, state.user, values)
        return after, Measured(loss=progress.objective)


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
