"""Half-steps whose factors stay on the Workers: only their sums come to the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from daskml_exec.executor import Carrying
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.prepared import Prepared
from daskml_exec.partitions import Partition
from daskml_exec.recommendation._blocks import Cuts, SideName
from daskml_exec.recommendation._half_steps import (
    AlternatingSteps,
    Alternation,
    Progress,
    Solved,
    Solving,
    Sums,
)
from daskml_exec.training import Measured


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
class ResidentHalfStep(Carrying[Solved]):
    """Solve the factors of one side, given those that all blocks hold of the other.

    Attributes
    ----------
    side : {"user", "item"}
    n_rows : int
        Of this side.
    gram : ndarray
        Gram matrix of the other side.
    solving : Solving
    """

    side: SideName
    n_rows: int
    gram: Array
    solving: Solving

    gathers: ClassVar[bool] = True

    @property
    def step(self) -> str:
        """Say whose factors are solved."""
        return f"{self.side}s"

    def prepare(self, kept: Mapping[int, Held]) -> Prepared:
        """Return what all rows need of the other side, which is put together here."""
        name: SideName = "item" if self.side == "user" else "user"
        other = np.concatenate([kept[index].side(name) for index in sorted(kept)])
        return self.solving.prepared(other, self.gram)

    def partial(self, partition: Partition, carry: Held, prepared: Prepared) -> tuple[Solved, Held]:
        """Return the sums of a block's rows; their factors stay."""
        side = partition.X.side(self.side)
        start = carry.side(self.side) if self.solving.begins else None
        values, solved = self.solving.solved(side, self.n_rows, prepared, start)
        if self.side == "user":
            return solved, replace(carry, user=values)
        return solved, replace(carry, item=values)


@dataclass(frozen=True)
class ResidentSteps(AlternatingSteps):
    """The algorithm, of half-steps whose factors stay on the Workers; its state is `Progress`."""

    states: ClassVar[tuple[type, ...]] = (Progress, Sums)

    def ask(self, state: Progress) -> ResidentHalfStep | None:
        """Ask for the users' factors, then for the items'."""
        if self.done(state):
            return None
        pair = state.user, state.item
        mine, other = pair if state.turn == "user" else pair[::-1]
        return ResidentHalfStep(state.turn, mine.n_rows, other.gram, self.solving)

    def tell(
        self, state: Progress, query: ResidentHalfStep, answer: Solved
    ) -> tuple[Progress, Measured]:
        """Take in one side's sums."""
        after = state.told(answer, self.tol)
        return after, Measured(loss=after.objective)


def held_by_blocks(start: Alternation, cuts: Cuts) -> list[Held]:
    """Return the factors to begin with, by blocks."""
    users, items = (
        [values[first:last] for first, last in pairwise(ends.tolist())]
        for values, ends in ((start.user, cuts.user), (start.item, cuts.item))
    )
    return [Held(user, item) for user, item in zip(users, items, strict=True)]


def factors_of(held: Sequence[Any]) -> tuple[Array, Array]:
    """Return the factors of users and of items that all blocks hold together."""
    users = np.concatenate([each.user for each in held])
    return users, np.concatenate([each.item for each in held])
