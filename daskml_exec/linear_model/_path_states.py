"""States of a path of models: what is known between two rounds, and what is asked next."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Target
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._curvature import Factorised
from daskml_exec.linear_model._held_out import HeldOut
from daskml_exec.linear_model._path_queries import (
    CommonPoints,
    CommonSums,
    FoldMoments,
    OwnPoints,
    PathMoments,
)
from daskml_exec.linear_model._path_searches import Matrix, Search
from daskml_exec.training import Measured

Curvature = Factorised | Matrix

if TYPE_CHECKING:
    from daskml_exec.linear_model._path import Path


@dataclass(frozen=True)
class Ground:
    """What the first round has found.

    Attributes
    ----------
    weights : ndarray of shape (F + 1,)
        Of the rows of each fold, and of those in none.
    target : Target
    coordinates : tuple of Standardisation
        Of each penalty's models.
    """

    weights: Array
    target: Target
    coordinates: tuple[Standardisation, ...]


@dataclass(frozen=True)
class PathBeginning:
    """Before anything is known of the rows."""

    def ask(self, by: "Path") -> PathMoments:
        problem = by.problems[0]
        return PathMoments(by.n_folds, by.n_classes, by.pool_share, problem.columns)

    def tell(self, by: "Path", query: Any, answer: FoldMoments) -> tuple["CommonRounds", Measured]:
        return by.begun(answer), Measured()


@dataclass(frozen=True)
class CommonRounds:
    """Models of all folds go together.

    Attributes
    ----------
    ground : Ground
    searches : tuple of LBFGSState or ProximalState
        For each penalty, over all rows.
    factors : tuple of Factorised, Matrix or None
        Of each penalty's Hessian.
    own : tuple of LBFGSState
        For each penalty and fold, what was seen of its own function; empty before the first answer.
    live : tuple of int
        Penalties that take part in the next round.
    wants_hessians : bool
        Whether it is to bring Hessians: where steps are long, the last ones are of no use.
    rounds : int
    """

    ground: Ground
    searches: tuple[Search, ...]
    factors: tuple[Curvature | None, ...]
    own: tuple[Search, ...] = ()
    live: tuple[int, ...] = ()
    wants_hessians: bool = True
    rounds: int = 0

    def ask(self, by: "Path") -> CommonPoints:
        trials = [self.searches[j].trial for j in self.live]
        coordinates = [self.ground.coordinates[j] for j in self.live]
        at, to = by.points(coordinates, trials), self.ground.coordinates[0]
        if not self.wants_hessians:
            return CommonPoints(by.loss, at, by.n_folds, to)
        points = np.stack(
            [each.moved_to(to, trial) for each, trial in zip(coordinates, trials, strict=True)]
        )
        return CommonPoints(by.loss, at, by.n_folds, to, points, by.hessian_share, by.single)

    def tell(
        self, by: "Path", query: Any, answer: CommonSums
    ) -> tuple["CommonRounds | OwnRounds", Measured]:
        state = self if answer.hessians is None else by.with_factors(self, answer.hessians)
        return by.told_common(state, answer.sums)


@dataclass(frozen=True)
class OwnModel:
    """One model's search by itself.

    Attributes
    ----------
    penalty : int
        Which one.
    left_out : int
        The fold that it does not train on; -1 for none.
    search : LBFGSState or ProximalState
    unit : float
        Of its gradient.
    norm : float
        Of the gradient at its point, in that unit.
    factor : Factorised, Matrix or None
        Of a Hessian of its own; None for that of all models of the penalty.
    share : float
        Of the rows that the last Hessian came from.
    norms : tuple of float
        At the points accepted since then.
    misled : bool
        Whether a step since then had to be cut short.
    wants_hessian : bool
        Whether the next round is to bring a Hessian.
    """

    penalty: int
    left_out: int
    search: Search
    unit: float
    norm: float
    factor: Curvature | None = None
    share: float = 0.0
    norms: tuple[float, ...] = ()
    misled: bool = False
    wants_hessian: bool = False


@dataclass(frozen=True)
class OwnRounds:
    """Each model at points of its own.

    Attributes
    ----------
    ground, factors
        As of `CommonRounds`.
    common : tuple of LBFGSState
        The searches over all rows.
    models : tuple of OwnModel
        Those of all folds, one penalty after the other.
    """

    ground: Ground
    factors: tuple[Curvature | None, ...]
    common: tuple[Search, ...]
    models: tuple[OwnModel, ...]

    def ask(self, by: "Path") -> OwnPoints | HeldOut:
        live = by.live(self.models)
        return by.own_points(self.ground, live) if live else by.held_out(self)

    def tell(self, by: "Path", query: Any, answer: Any) -> tuple[Any, Measured]:
        if isinstance(query, HeldOut):
            return by.scored(self, query.scores(answer))
        models, measured = by.told_own(self, self.models, answer)
        return replace(self, models=models), measured


@dataclass(frozen=True)
class Refit:
    """The chosen penalty's model, over all rows.

    Attributes
    ----------
    own : OwnRounds
    scores : ndarray of shape (n_scorings, F, J)
    model : OwnModel
    """

    own: OwnRounds
    scores: Array
    model: OwnModel

    def ask(self, by: "Path") -> OwnPoints | None:
        live = by.live((self.model,))
        return by.own_points(self.own.ground, live) if live else None

    def tell(self, by: "Path", query: Any, answer: Any) -> tuple["Refit", Measured]:
        (model,), measured = by.told_own(self.own, (self.model,), answer)
        return replace(self, model=model), measured


@dataclass(frozen=True)
class Scored:
    """All models and their scores, where none is to be fitted again.

    Attributes
    ----------
    own : OwnRounds
    scores : ndarray of shape (n_scorings, F, J)
    """

    own: OwnRounds
    scores: Array

    def ask(self, by: "Path") -> None:
        return None


PathState = PathBeginning | CommonRounds | OwnRounds | Refit | Scored
