"""The models of all users in one pass over blocks of interactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.user_models.features import ReadyFeatures, ready_features
from daskml_exec.kernels.user_models.models import Loss, compile_user_models, user_models
from daskml_exec.partitions import Partition
from daskml_exec.recommendation._blocks import Block
from daskml_exec.training import FitWarning, Measured, Query

_FEW = 100_000


def worth_compiling(n_entries: int) -> bool:
    """Return whether compiled loops are to fit models on so many interactions.

    To compile them takes some seven seconds once on a machine. Stacked users take three to eight
    times as long as they do, and about a second for all of fewer interactions. What is already
    compiled must not matter: the last bits are others.
    """
    return n_entries >= _FEW


@dataclass(frozen=True)
class BlockModels:
    """Models of the users of one block, or of several behind one another.

    Attributes
    ----------
    counts : ndarray of int64 of shape (n_users,)
        How many items each has.
    items : ndarray of int32 of shape (n_entries,)
    dual : ndarray of shape (n_entries,)
    intercepts : ndarray of shape (n_users,)
    n_missed : int
        Users whose models did not converge.
    """

    counts: Array
    items: Array
    dual: Array
    intercepts: Array
    n_missed: int

    def coefficients(self, columns: Array, n_columns: int) -> Any:
        """Return the dual coefficients as a CSR array, with other numbers for items."""
        indptr = np.concatenate([[0], np.cumsum(self.counts)])
        made = sp.csr_array((self.dual, columns, indptr), shape=(len(self.counts), n_columns))
        made.has_canonical_format = True
        return made

    def warnings(self) -> list[FitWarning]:
        """Return what is to be said of them."""
        found, n = [], len(self.intercepts)
        if self.n_missed:
            message = f"the models of {self.n_missed:,} of {n:,} users have not converged"
            found.append(FitWarning("converged", message, ConvergenceWarning))
        if not np.isfinite(self.intercepts).any():
            message = (
                "each user has ratings of one class alone, so that nothing tells items apart; "
                "loss='log' wants ratings above zero and others, such as explicit zeros"
            )
            found.append(FitWarning("classes", message))
        return found


@dataclass(frozen=True)
class InParts:
    """Models of blocks, in order, not joined yet.

    Attributes
    ----------
    parts : tuple of BlockModels
    """

    parts: tuple[BlockModels, ...]

    def joined(self) -> BlockModels:
        """Return all of them as one."""
        counts, items, dual, intercepts = (
            np.concatenate([getattr(part, name) for part in self.parts])
            for name in ("counts", "items", "dual", "intercepts")
        )
        n_missed = sum(part.n_missed for part in self.parts)
        return BlockModels(counts, items, dual, intercepts, n_missed)


@dataclass(frozen=True)
class FitUsers(Query[InParts]):
    """Fit the models of the users of a block.

    Attributes
    ----------
    features : ndarray or CSR array of shape (n_items, d)
        Of all items of the interactions.
    loss : {"squared", "log"}
    alpha : float
    fit_intercept : bool
    loops : bool
        Whether users are fitted by compiled loops, where there are some.
    """

    features: Any
    loss: Loss
    alpha: float
    fit_intercept: bool
    loops: bool

    @property
    def step(self) -> str:
        """What the round does."""
        return "users"

    def prepare(self) -> ReadyFeatures:
        """Return the features as kernels take them."""
        return ready_features(self.features, fit_intercept=self.fit_intercept)

    def partial(self, partition: Partition, prepared: ReadyFeatures) -> InParts:
        """Return the models of the users of a block."""
        block: Block = partition.X
        found = user_models(
            block.user.matrix,
            prepared,
            loss=self.loss,
            alpha=self.alpha,
            fit_intercept=self.fit_intercept,
            loops=self.loops,
        )
        columns = block.user.pairs.columns
        counts = block.user.counts
        return InParts(
            (BlockModels(counts, columns, found.dual, found.intercepts, found.n_missed),)
        )

    def combine(self, left: InParts, right: InParts) -> InParts:
        """Return the models of both, in order."""
        return InParts(left.parts + right.parts)


@dataclass(frozen=True)
class Unasked:
    """Before the pass over the blocks."""


@dataclass(frozen=True)
class OnePass:
    """Asks one question, whose answer is the state then.

    Attributes
    ----------
    query : FitUsers
    """

    query: FitUsers
    states: ClassVar[tuple[type, ...]] = (Unasked, InParts, BlockModels)

    def ask(self, state: Unasked | InParts) -> FitUsers | None:
        """Return the question, once."""
        return self.query if isinstance(state, Unasked) else None

    def tell(
        self, state: Unasked | InParts, query: FitUsers, answer: InParts
    ) -> tuple[InParts, Measured]:
        """Return the answer."""
        return answer, Measured()


def costs_of_users(counts: Array) -> Array:
    """Return about how long users take, by how many items they have."""
    return counts.astype(np.float64) ** 2


def compile_models(partition: Partition) -> None:
    """Compile the loops of `FitUsers`, on a Worker."""
    compile_user_models()
