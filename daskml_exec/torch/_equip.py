"""Partitions of samples with what trains a module on them; and their first samples."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.executor import Query
from daskml_exec.partitions import Data, Partition, Pieces
from daskml_exec.torch._purpose import Encode, encoded
from daskml_exec.torch._recipe import Recipe
from daskml_exec.torch._trainer import Equipped
from daskml_exec.training import reduce


@dataclass(frozen=True)
class Equip(Query[Equipped]):
    """Put what a fit needs beside each partition, so that it travels once."""

    recipe: Recipe
    encode: Encode | None

    def partial(self, partition: Partition) -> Equipped:
        return Equipped(encoded(partition, self.encode), self.recipe)


@contextmanager
def equipped(data: Data, recipe: Recipe, encode: Encode | None) -> Iterator[Data | Pieces]:
    """Yield the partitions with the recipe, where they are."""
    query = Equip(recipe, encode)
    pieces = data.partitions
    if isinstance(pieces, Pieces):
        made: Any = tuple(query.partial(partition) for partition in pieces.partitions)
        yield replace(pieces, partitions=made)
        return
    with data.map(query) as mapped:
        yield mapped


@dataclass(frozen=True)
class FirstSamples(Query[Any]):
    """The first samples of all."""

    n: int

    def partial(self, partition: Partition) -> Any:
        n = min(self.n, partition.n_rows)
        return [partition.take(np.arange(n))]

    def combine(self, left: list[Partition], right: list[Partition]) -> list[Partition]:
        found = sum(each.n_rows for each in left)
        return left if found >= self.n else [*left, *right]


def first_samples(data: Data, n: int) -> Partition:
    """Return the first samples, or all if there are fewer, of one partition."""
    found: list[Partition] = reduce(FirstSamples(n), data)
    return max(found, key=lambda each: each.n_rows)
