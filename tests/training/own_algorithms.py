"""Algorithms as a user writes them, on public names alone; and data for them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import dask.array as da
import numpy as np

from daskml_exec.training import Carrying, Measured, Query, load, many, train


@dataclass(frozen=True)
class Assign(Query):
    """Of the rows nearest to each centre: their sum, how many, and how far away they are."""

    centres: Any

    def partial(self, partition):
        X = partition.X
        squares = ((X[:, None, :] - self.centres) ** 2).sum(axis=2)
        members = np.eye(len(self.centres))[squares.argmin(axis=1)]
        return members.T @ np.column_stack([X, np.ones(len(X)), squares.min(axis=1)])


@dataclass(frozen=True)
class Centres:
    at: Any
    moved: float = np.inf


@dataclass(frozen=True)
class KMeans:
    tol: float = 0.0
    states = (Centres,)

    def ask(self, state):
        return Assign(state.at) if state.moved > self.tol else None

    def tell(self, state, query, sums):
        n_members = sums[:, [-2]]
        at = np.where(n_members > 0, sums[:, :-2] / np.maximum(n_members, 1), state.at)
        return Centres(at, float(np.abs(at - state.at).max())), Measured(loss=sums[:, -1].sum())


@dataclass(frozen=True)
class Powers(Query):
    centre: Any = 0.0
    power: int = 1

    def partial(self, partition):
        return np.append(
            ((partition.X - self.centre) ** self.power).sum(axis=0), partition.X.shape[0]
        )


class Scaler:
    """Its state is (), then (mean,), then (mean, scale)."""

    states = ()

    def ask(self, state):
        if len(state) == 2:
            return None
        return Powers(state[0], 2) if state else Powers()

    def tell(self, state, query, sums):
        found = sums[:-1] / sums[-1]
        return (*state, np.sqrt(found) if state else found), Measured()


@dataclass(frozen=True)
class Products(Query):
    def partial(self, partition):
        columns = np.column_stack([partition.X, partition.y])
        return columns.T @ columns


@dataclass(frozen=True)
class RidgePoint:
    alpha: float
    states = ()

    def ask(self, state):
        return Products() if state is None else None

    def tell(self, state, query, products):
        A, b = products[:-1, :-1], products[:-1, -1]
        return np.linalg.solve(A + self.alpha * np.eye(len(b)), b), Measured()


def ridge_path(alphas, data):
    members = many(*map(RidgePoint, alphas))
    return train(members, (None,) * len(alphas), data, name="ridge-path").state


@dataclass(frozen=True)
class Slope(Query):
    at: Any

    def partial(self, partition):
        error = partition.X @ self.at - partition.y
        return np.append(partition.X.T @ error, [error @ error, len(error)])


@dataclass(frozen=True)
class Point:
    at: Any
    n_iter: int = 0


@dataclass(frozen=True)
class Descent:
    """Gradient descent on squares."""

    rate: float = 0.1
    max_iter: int = 20
    states = (Point,)

    def ask(self, state):
        return Slope(state.at) if state.n_iter < self.max_iter else None

    def tell(self, state, query, sums):
        gradient, loss = sums[:-2] / sums[-1], sums[-2] / sums[-1]
        return Point(state.at - self.rate * gradient, state.n_iter + 1), Measured(loss)


@dataclass(frozen=True)
class Coordinate(Carrying):
    """A step along one column was taken; how steep is another? Rows keep what is not explained."""

    column: int
    before: int
    moved: float
    last: bool = False

    def partial(self, partition, carry):
        rest = partition.y if carry is None else carry
        rest = rest - self.moved * partition.X[:, self.before]
        column = partition.X[:, self.column]
        return np.array([column @ rest, column @ column]), rest


@dataclass(frozen=True)
class Coefficients:
    at: Any
    n_steps: int = 0
    moved: float = 0.0


@dataclass(frozen=True)
class CoordinateDescent:
    """Least squares, one coefficient after another."""

    sweeps: int = 10
    states = (Coefficients,)

    def ask(self, state):
        d = len(state.at)
        if state.n_steps == self.sweeps * d:
            return None
        last = state.n_steps == self.sweeps * d - 1
        return Coordinate(state.n_steps % d, (state.n_steps - 1) % d, state.moved, last)

    def tell(self, state, query, sums):
        moved = float(sums[0] / sums[1])
        at = state.at.copy()
        at[query.column] += moved
        return Coefficients(at, state.n_steps + 1, moved), Measured()


@dataclass(frozen=True)
class Whitened(Carrying):
    """Rows keep a number each; all are divided by the length of all of them together."""

    gathers: ClassVar[bool] = True

    def prepare(self, kept):
        squares = [np.append(kept[index] @ kept[index], 0.0) for index in sorted(kept)]
        return float(np.sqrt(np.sum(squares))) if kept else 1.0

    def partial(self, partition, carry, length):
        mine = partition.y if carry is None else carry / length + 1.0
        return np.array([mine.sum(), mine @ mine]), mine


@dataclass(frozen=True)
class Lengths:
    found: tuple[float, ...] = ()


@dataclass(frozen=True)
class Whitening:
    """What a gathering query is for, in little: each needs something of all."""

    n: int = 5
    states = (Lengths,)

    def ask(self, state):
        return Whitened() if len(state.found) < self.n else None

    def tell(self, state, query, sums):
        return Lengths((*state.found, float(sums[1]))), Measured()


def place(executor, X, y=None, n_partitions=5):
    """Bring rows to the cluster, in so many partitions."""
    cuts = tuple(len(part) for part in np.array_split(np.arange(len(X)), n_partitions))
    with executor:
        return load(da.from_array(X, chunks=(cuts, -1)), y, target=None if y is None else "numbers")


def blobs(n=300, d=3, k=4, seed=0):
    """Return rows around some centres, and a target."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=4, size=(k, d))
    X = centres[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    return X, X @ np.arange(1.0, d + 1) + 0.1 * rng.normal(size=n)
