"""Half-steps whose factors stay on the Workers: only their sums come to the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from daskml_exec.executor import Carrying
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.chunks import chunk_sums, gram_nodes
from daskml_exec.kernels.factors.half_steps import half_step
from daskml_exec.kernels.factors.objective import Objective
from daskml_exec.kernels.factors.prepared import Prepared, prepare
from daskml_exec.kernels.factors.ratings import Ratings
from daskml_exec.partitions import Partition
from daskml_exec.recommendation._blocks import Cuts, SideName
from daskml_exec.recommendation._half_steps import (
    AlternatingSteps,
    Alternation,
    Solved,
    Solver,
    Sums,
    n_chunks,
    penalty_sums,
)


@dataclass(frozen=True)
class Held:
    """The factors of a block, which stay where it is.

    Attributes
    ----------
    user, item : ndarray
    """

    user: Array
    item: Array

    def side(self, name: SideName) -> Array:
        """Return one of the two."""
        return self.user if name == "user" else self.item


@dataclass(frozen=True)
class Residing:
    """Where training is; the fields are those of `Alternation`, without factors.

    Attributes
    ----------
    user, item : Sums
    n_users, n_items : int
    n_half_steps, objective, before, fell, converged
        As of `Alternation`.
    """

    user: Sums
    item: Sums
    n_users: int
    n_items: int
    n_half_steps: int = 0
    objective: float = np.inf
    before: float = np.inf
    fell: float = np.inf
    converged: bool = False

    @classmethod
    def of(cls, start: Alternation) -> Residing:
        """Return the beginning, of which the factors are left with the blocks."""
        user, item = (Sums(side.gram, side.penalty) for side in (start.user, start.item))
        return cls(user, item, len(start.user.values), len(start.item.values))

    @property
    def n_iterations(self) -> int:
        """Whole iterations done."""
        return self.n_half_steps // 2


@dataclass(frozen=True)
class ResidentHalfStep(Carrying[Solved]):
    """Solve the factors of one side, given those that all blocks hold of the other.

    Attributes
    ----------
    side : {"user", "item"}
    n_rows : int
        Of this side.
    gram : ndarray
        Gram matrix of the other side.
    objective : Objective
    solver : {"exact", "cg"}
    nonnegative, loops : bool
        As of `HalfStep`.
    """

    side: SideName
    n_rows: int
    gram: Array
    objective: Objective
    solver: Solver
    nonnegative: bool
    loops: bool

    gathers: ClassVar[bool] = True

    @property
    def step(self) -> str:
        """Say whose factors are solved."""
        return f"{self.side}s"

    def prepare(self, kept: Mapping[int, Held]) -> Prepared:
        """Return what all rows need of the other side, which is put together here."""
        name: SideName = "item" if self.side == "user" else "user"
        other = np.concatenate([kept[index].side(name) for index in sorted(kept)])
        return prepare(
            other,
            self.gram,
            self.objective,
            self.solver,
            nonnegative=self.nonnegative,
            loops=self.loops,
        )

    def partial(self, partition: Partition, carry: Held, prepared: Prepared) -> tuple[Solved, Held]:
        """Return the sums of a block's rows; their factors stay."""
        side = partition.X.side(self.side)
        begin = self.solver == "cg" or self.nonnegative
        ratings = Ratings(side.pairs.indptr, side.pairs.columns, side.pairs.values)
        start = carry.side(self.side) if begin else None
        values, objectives = half_step(ratings, prepared, start)
        solved = Solved(
            (),
            (chunk_sums(objectives),),
            (penalty_sums(values, side.counts, self.objective),),
            gram_nodes(values, side.start, self.n_rows) if side.n_rows else {},
            n_chunks(self.n_rows),
        )
        if self.side == "user":
            return solved, replace(carry, user=values)
        return solved, replace(carry, item=values)


@dataclass(frozen=True)
class ResidentSteps(AlternatingSteps):
    """The algorithm, of half-steps whose factors stay on the Workers."""

    states: ClassVar[tuple[type, ...]] = (Residing, Sums)

    def ask(self, state: Residing) -> ResidentHalfStep | None:
        """Ask for the users' factors, then for the items'."""
        if state.converged or state.n_iterations >= self.max_iter:
            return None
        users_turn = state.n_half_steps % 2 == 0
        return ResidentHalfStep(
            "user" if users_turn else "item",
            state.n_users if users_turn else state.n_items,
            (state.item if users_turn else state.user).gram,
            self.objective,
            self.solver,
            self.nonnegative,
            self.loops,
        )

    def mine(self, answer: Solved) -> Sums:
        """Return what the state has of the side that was solved."""
        return answer.sums()


def held_by_blocks(start: Alternation, cuts: Cuts) -> list[Held]:
    """Return the factors to begin with, by blocks."""
    users, items = (
        [values[first:last] for first, last in pairwise(ends.tolist())]
        for values, ends in ((start.user.values, cuts.user), (start.item.values, cuts.item))
    )
    return [Held(user, item) for user, item in zip(users, items, strict=True)]


def factors_of(held: Sequence[Any]) -> tuple[Array, Array]:
    """Return the factors of users and of items that all blocks hold together."""
    users = np.concatenate([each.user for each in held])
    return users, np.concatenate([each.item for each in held])
