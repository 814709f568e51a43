"""State of the partitions that stays on the workers from round to round, and what rebuilds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from distributed import Future

from daskml_exec.executor._groups import Group


@dataclass(frozen=True, eq=False)
class Recipe:
    """What the driver must not drop as long as tasks of a round may have to run again."""

    messages: tuple[Any, ...] = ()


@dataclass
class CarryChain:
    """Rounds since the carries were None, or came from the driver.

    A lost group result is computed again from those of the rounds before, back to the first.
    The scheduler keeps the recipes, which it knows from the newest results, and not the results.
    """

    holders: dict[int, Future[Any]] = field(default_factory=dict)
    """Per partition: the result of the last round's group, with the partition's carry in it."""
    recipes: list[Recipe] = field(default_factory=list)
    rounds: int = 0

    def __bool__(self) -> bool:
        return bool(self.holders)

    def inputs(self, indices: Iterable[int]) -> list[Future[Any]]:
        """Return the results that hold the carries of these partitions, each once."""
        held = (self.holders[index] for index in indices if index in self.holders)
        return list({future.key: future for future in held}.values())

    def in_order(self) -> list[Future[Any]]:
        """Return, per partition, the result that holds its carry."""
        return [self.holders[index] for index in sorted(self.holders)]

    def advance(
        self, groups: Sequence[Group], results: Sequence[Future[Any]], recipe: Recipe
    ) -> list[Future[Any]]:
        """Go on with the results of a new round; return those that are no longer needed."""
        spent = self.inputs(self.holders)
        self.holders = {
            index: future
            for group, future in zip(groups, results, strict=True)
            for index in group.indices
        }
        self.recipes.append(recipe)
        self.rounds += 1
        return spent

    def begin(self, holders: Sequence[Future[Any]]) -> list[Future[Any]]:
        """Begin anew with these, one per partition; return what is no longer needed."""
        spent = self.end()
        self.holders = dict(enumerate(holders))
        self.recipes = [Recipe(tuple(holders))]
        return spent

    def end(self) -> list[Future[Any]]:
        """Begin anew; return what is no longer needed."""
        spent = self.inputs(self.holders)
        self.holders, self.recipes, self.rounds = {}, [], 0
        return spent


@dataclass
class SpentFutures:
    """Futures that nobody needs any more, let go of in batches.

    A message to the scheduler keeps the next one waiting for 10 ms. Results released after each
    round are such a message just before the next round's tasks: it cost a round of 1.2 MB each
    way 8 of 28 ms. On the other hand what is held is computed again when its worker is lost, so
    results of slow rounds, and large ones, go at once.
    """

    rounds: int = 0
    nbytes: int = 0
    futures: list[Future[Any]] = field(default_factory=list)

    def add(self, futures: Iterable[Future[Any]], nbytes: int, seconds: float) -> None:
        """Take the futures of a round that took so many seconds."""
        self.futures.extend(futures)
        self.rounds += 1
        self.nbytes += nbytes
        if self.rounds >= 8 or self.nbytes > 16_000_000 or seconds > 0.1:
            self.release()

    def release(self) -> None:
        """Let the cluster forget them, whoever still holds this object."""
        for future in self.futures:
            future.release()
        self.rounds, self.nbytes, self.futures = 0, 0, []
