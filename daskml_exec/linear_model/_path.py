"""A path of penalties, and its folds, in the passes of a few fits.

The optimum of a model that does not see one fold lies close to that of the model that sees all:
about the square root of coordinates over rows away. So a few rounds take the models of all folds
along together, one point for each penalty, where a row's residual is computed once and added to
the sum of its fold; a Hessian from a sample of the rows serves the models of all folds. From
there each model searches on by itself, with what it has seen of its own gradient so far as the
memory of its quasi-Newton search; those that have converged leave.

Reference: Nocedal and Wright (2006), Numerical Optimization, section 7.2, for the memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Target
from daskml_exec.kernels.hessian_sums import HessiansSums, HessianSums
from daskml_exec.kernels.lbfgs import LBFGSState
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.many_models import FoldSums, ModelSums, Points
from daskml_exec.kernels.proximal_newton import ProximalState
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._curvature import Factorised
from daskml_exec.linear_model._held_out import HeldOut
from daskml_exec.linear_model._newton import GROWTH, SHORT_STEP, SURE, slow
from daskml_exec.linear_model._path_queries import (
    FoldMoments,
    OwnPoints,
    OwnSums,
    WantedHessian,
)
from daskml_exec.linear_model._path_searches import (
    Matrix,
    Method,
    PooledPath,
    Search,
    method_of,
    resumed,
)
from daskml_exec.linear_model._path_states import (
    CommonRounds,
    Curvature,
    Ground,
    OwnModel,
    OwnRounds,
    PathBeginning,
    PathState,
    Refit,
    Scored,
)
from daskml_exec.linear_model._problem import GLMProblem, Parameters, parameters_at
from daskml_exec.linear_model._search import Known, known_from
from daskml_exec.training import Measured

# Common rounds end where what is left of the gradient is this share of what folds differ by.
_NEAR = 0.1
# From gradients of this size on, in their unit, a step leads to where Hessians are others.
_FAR = 0.01
_MOST_COMMON_ROUNDS = 6


@dataclass(frozen=True)
class Path:
    """`Algorithm` of models that differ in their penalty and in the fold that they do not see.

    Parameters
    ----------
    problems : tuple of GLMProblem
        J of them, which differ in the strength of the penalty alone.
    n_folds, n_classes : int
    tol : float
    max_iter : int
    hessian_share, pool_share : float
        Of all rows.
    single : bool
        Whether single precision will do for the first Hessians.
    every_round : bool
        Whether each round brings new Hessians of models that go by themselves.
    patience : int
        Steps with one Hessian before a new one may be worth its time.
    held_out_by : callable or None
        Makes the query for scores of coefficients (F, J, K, d) and intercepts (F, J, K).
    choose : callable or None
        Returns which penalty is to be fitted again, of the scores; None if none is.
    """

    problems: tuple[GLMProblem, ...]
    n_folds: int
    n_classes: int
    tol: float
    max_iter: int
    hessian_share: float
    pool_share: float
    single: bool
    every_round: bool
    patience: int
    held_out_by: Callable[[Array, Array], HeldOut]
    choose: Callable[[Array], int | None]

    states = (
        PathBeginning,
        CommonRounds,
        OwnRounds,
        OwnModel,
        Refit,
        Scored,
        Ground,
        Target,
        Standardisation,
        LBFGSState,
        ProximalState,
        Factorised,
        Matrix,
    )

    @property
    def methods(self) -> tuple[Method, ...]:
        """How the models of each penalty are searched for."""
        return tuple(map(method_of, self.problems))

    @property
    def loss(self) -> Any:
        """The loss of a row."""
        return self.problems[0].family.loss

    def ask(self, state: PathState) -> Any:
        return state.ask(self)

    def tell(self, state: Any, query: Any, answer: Any) -> tuple[PathState, Measured]:
        told: tuple[PathState, Measured] = state.tell(self, query, answer)
        return told

    def ended(self, search: Search) -> bool:
        """Whether a search needs no further round."""
        exhausted = search.n_iter >= self.max_iter and search.direction is None
        return search.done or (exhausted and search.gradient is not None)

    def points(self, coordinates: Sequence[Standardisation], trials: Sequence[Array]) -> Points:
        """Return points in coordinates as parameters."""
        there = list(map(parameters_at, coordinates, trials))
        coef, intercept = (
            np.stack([at.coef for at in there]),
            np.stack([at.intercept for at in there]),
        )
        return Points(coef, intercept, there[0].center)

    def begun(self, answer: FoldMoments) -> CommonRounds:
        """Return the state from which to search: the path of the pooled rows."""
        self._require_classes(answer.weights)
        moments, pool = answer.whole.moments, answer.whole.pool
        rows = pool.joined() if pool.pieces else None
        pooled = None if rows is None or rows.sample_weight.sum() <= 0 else PooledPath(rows)
        at: Parameters | None = None
        found: dict[int, tuple[Known, Array]] = {}
        # From the strongest penalty on: each optimum is a start for the next.
        for j in sorted(range(len(self.problems)), key=lambda j: -self._strength(j)):
            known = known_from(self.problems[j], moments, at)
            point = known.point
            if pooled is not None and rows is not None and rows.X.shape[0] > point.size:
                point = pooled.optimum(self.problems[j], known)
                at = Parameters(*known.coordinates.parameters(point))
            found[j] = known, point
        J = len(found)
        coordinates = tuple(found[j][0].coordinates for j in range(J))
        weights = answer.weights.sum(axis=1)
        ground = Ground(weights, found[0][0].target, coordinates)
        searches = tuple(
            self.methods[j].start(
                self.problems[j], coordinates[j], float(weights.sum()), found[j][1]
            )
            for j in range(J)
        )
        return CommonRounds(ground, searches, (None,) * J, live=tuple(range(J)))

    def _strength(self, j: int) -> float:
        return self.problems[j].penalty.strength

    def _require_classes(self, weights: Array) -> None:
        """Raise ValueError where a training set would have no row of a class, or no row."""
        others = weights.sum(axis=0) - weights[: self.n_folds]
        if (others > 0).all():
            return
        fold, code = (int(each[0]) for each in np.nonzero(~(others > 0)))
        raise LostCodeError(fold, code)

    def with_factors(self, state: CommonRounds, sums: HessiansSums) -> CommonRounds:
        """Take in Hessians, for which the memory of steps with older ones is worthless."""
        ground, F = state.ground, self.n_folds
        factors, searches, own = list(state.factors), list(state.searches), list(state.own)
        for place, j in enumerate(state.live):
            found = self._factor(
                ground, j, HessianSums(sums.weight, sums.matrices[place]), self._weight(ground, -1)
            )
            if found is not None:
                forget = self.methods[j].forget
                factors[j], searches[j] = found, forget(searches[j])
                own[j * F : (j + 1) * F] = map(forget, own[j * F : (j + 1) * F])
        return replace(state, factors=tuple(factors), searches=tuple(searches), own=tuple(own))

    def told_common(
        self, state: CommonRounds, sums: FoldSums
    ) -> tuple["CommonRounds | OwnRounds", Measured]:
        """Take in loss and gradient by fold at the trials of the live penalties."""
        ground, F = state.ground, self.n_folds
        searches, live, norms, values = list(state.searches), [], [], []
        own: list[Any] = list(state.own) or [None] * (len(searches) * F)
        for place, j in enumerate(state.live):
            method, search = self.methods[j], searches[j]
            total = _summed(sums, place)
            value, gradient = self._objective(j, ground, total, search.trial, total.weight)
            apart = 0.0
            for k in range(F):
                part = _less(total, sums, place, k)
                seen = self._objective(j, ground, part, search.trial, part.weight)
                own[j * F + k] = self._seen(j, ground, own[j * F + k], search.trial, part, *seen)
                apart = max(apart, float(np.abs(seen[1] - gradient).max(initial=0.0)))
            unit = self._unit(j, ground, value)
            norms.append(_in_unit(method.norm(search, gradient), unit))
            near = max(self._absolute(unit), _NEAR * apart)
            search = method.advance(search, value, gradient, near)
            searches[j] = self._along(j, search, state.factors[j])
            values.append(value)
            if not self.ended(search):
                live.append(j)
        measured = Measured(float(np.mean(values)), max(norms), scores={"models": len(state.live)})
        state = replace(
            state,
            searches=tuple(searches),
            own=tuple(own),
            live=tuple(live),
            rounds=state.rounds + 1,
            wants_hessians=max(norms) > _FAR,
        )
        if live and state.rounds < _MOST_COMMON_ROUNDS:
            return state, measured
        return self.apart(state), measured

    def _seen(
        self,
        j: int,
        ground: Ground,
        before: Search | None,
        point: Array,
        part: LossSums,
        value: float,
        gradient: Array,
    ) -> Search:
        """Take in what a model has seen of its own function at a common point."""
        method = self.methods[j]
        if before is not None:
            return method.visit(before, point, value, gradient)
        first = method.start(self.problems[j], ground.coordinates[j], part.weight, point)
        return method.advance(first, value, gradient, 0.0)

    def apart(self, state: CommonRounds) -> OwnRounds:
        """Return the state in which each model goes on by itself."""
        F = self.n_folds
        own, factors = state.own, state.factors
        if not own:  # stopped before anything was seen of them
            own = tuple(search for search in state.searches for _ in range(F))
        models = tuple(
            self._begun_own(m // F, m % F, search, factors[m // F], state.ground)
            for m, search in enumerate(own)
        )
        return OwnRounds(state.ground, factors, state.searches, models)

    def _begun_own(
        self, j: int, k: int, search: Search, factor: Curvature | None, ground: Ground
    ) -> OwnModel:
        unit = self._unit(j, ground, search.value)
        if search.gradient_norm <= self._absolute(unit):
            search = replace(search, converged=True)
        return self._steered(self._own_model(j, k, search, unit), factor)

    def _own_model(self, j: int, k: int, search: Search, unit: float) -> OwnModel:
        every = self.every_round
        share = 1.0 if every else self.hessian_share
        norm = _in_unit(search.gradient_norm, unit)
        return OwnModel(j, k, search, unit, norm, share=share, wants_hessian=every)

    def live(self, models: Sequence[OwnModel]) -> list[OwnModel]:
        """Return the models that have not ended."""
        return [model for model in models if not self.ended(model.search)]

    def own_points(self, ground: Ground, live: Sequence[OwnModel]) -> OwnPoints:
        """Return the query for the gradients of models at their trials."""
        at = self.points(
            [ground.coordinates[each.penalty] for each in live],
            [each.search.trial for each in live],
        )
        first = ground.coordinates[0]
        wanted = tuple(
            WantedHessian(
                ground.coordinates[each.penalty].moved_to(first, each.search.trial),
                each.left_out,
                each.share,
            )
            for each in live
            if each.wants_hessian
        )
        left_out = np.array([each.left_out for each in live])
        return OwnPoints(self.loss, at, self.n_folds, left_out, first, wanted)

    def told_own(
        self, state: OwnRounds, models: Sequence[OwnModel], answer: OwnSums
    ) -> tuple[tuple[OwnModel, ...], Measured]:
        """Take in the gradients of the models that have not ended, and Hessians."""
        hessians = iter(answer.hessians)
        told, place, norms = [], 0, []
        for model in models:
            if self.ended(model.search):
                told.append(model)
                continue
            if model.wants_hessian:
                model = self._renewed(state.ground, model, next(hessians))
            model = self._judged(state, model, answer.sums, place)
            norms.append(model.norm)
            told.append(model)
            place += 1
        measured = Measured(None, max(norms), scores={"models": place})
        return tuple(told), measured

    def _renewed(self, ground: Ground, model: OwnModel, sums: HessianSums) -> OwnModel:
        """Take in a Hessian, for which the memory of steps with the old one is worthless."""
        factor = self._factor(ground, model.penalty, sums, self._weight(ground, model.left_out))
        forget = self.methods[model.penalty].forget
        search = model.search if factor is None else forget(model.search)
        return replace(
            model,
            factor=factor or model.factor,
            search=search,
            norms=(),
            misled=False,
            wants_hessian=self.every_round,
        )

    def _judged(self, state: OwnRounds, model: OwnModel, sums: ModelSums, place: int) -> OwnModel:
        """Take in a model's gradient at its trial, and choose where to look next."""
        j, ground, before = model.penalty, state.ground, model.search
        weight = self._weight(ground, model.left_out)
        part = LossSums(weight, 0.0, sums.coef[place], sums.intercept[place])
        _, gradient = self._objective(j, ground, part, before.trial, weight)
        tol = self._absolute(model.unit)
        search = self.methods[j].advance_by_slope(before, gradient, tol)
        if search.gradient is gradient:
            short = before.direction is not None and before.step < SHORT_STEP
            norm = _in_unit(search.gradient_norm, model.unit)
            model = replace(
                model, norm=norm, norms=(*model.norms, norm), misled=model.misled or short
            )
        factor = model.factor or state.factors[j]
        if search.converged:
            return replace(model, search=self._last_step(j, search, factor, model.unit))
        model = replace(model, search=search)
        if search.stuck or search.needs_direction:
            model = self._with_new_hessian(model)
        return self._steered(model, factor)

    def _with_new_hessian(self, model: OwnModel) -> OwnModel:
        """Have the next round bring a Hessian where the last one leads no further."""
        search, norms = model.search, model.norms
        spent = model.share >= 1.0 and len(norms) <= 1
        if not (model.misled or slow(norms, self.patience) or (search.stuck and not spent)):
            return model
        return replace(
            model,
            search=replace(search, stuck=False),
            share=min(1.0, GROWTH * model.share),
            wants_hessian=True,
        )

    def held_out(self, state: OwnRounds) -> HeldOut:
        """Return the query for the scores of all models on the folds that they have not seen."""
        found: HeldOut = self.held_out_by(*self.by_fold(state))
        return found

    def by_fold(self, state: OwnRounds) -> tuple[Array, Array]:
        """Return the coefficients (F, J, K, d) and intercepts (F, J, K) of all models."""
        there = [
            state.ground.coordinates[each.penalty].parameters(each.search.point)
            for each in state.models
        ]
        F = self.n_folds
        coef, intercept = (
            np.stack([np.stack([each[which] for each in there[k::F]]) for k in range(F)])
            for which in (0, 1)
        )
        return coef, intercept

    def scored(self, state: OwnRounds, scores: Array) -> tuple[Refit | Scored, Measured]:
        """Take in the scores, and choose."""
        best = self.choose(scores)
        if best is None:
            return Scored(state, scores), Measured()
        # The step from the last common point leads nearer to the optimum of all rows than the mean
        # of the folds' own optima is.
        common = resumed(state.common[best])
        search = self._along(best, common, state.factors[best])
        unit = self._unit(best, state.ground, common.value)
        model = self._own_model(best, -1, search, unit)
        return Refit(state, scores, model), Measured(score=float(scores[0][:, best].mean()))

    def _factor(self, ground: Ground, j: int, sums: HessianSums, weight: float) -> Curvature | None:
        """Return what a Hessian in the first penalty's coordinates is in those of this one."""
        to, problem = ground.coordinates[j], self.problems[j]
        change = np.tile(to.change_from(ground.coordinates[0]), problem.n_outputs)
        scaled = HessianSums(sums.weight, sums.matrix * np.outer(change, change))
        penalty = to.penalty(problem.penalty.by_column(weight))
        found: Curvature | None = self.methods[j].curvature(scaled, penalty, problem.n_outputs)
        return found

    def _weight(self, ground: Ground, left_out: int) -> float:
        whole = float(ground.weights.sum())
        return whole if left_out < 0 else whole - float(ground.weights[left_out])

    def _objective(
        self, j: int, ground: Ground, sums: LossSums, point: Array, weight: float
    ) -> tuple[float, Array]:
        to = ground.coordinates[j]
        return self.problems[j].objective(sums, parameters_at(to, point), to, weight)

    def _steered(self, model: OwnModel, factor: Curvature | None) -> OwnModel:
        return replace(model, search=self._along(model.penalty, model.search, factor))

    def _along(self, j: int, search: Search, factor: Curvature | None) -> Search:
        """Choose the next direction of a search that wants one."""
        if not search.needs_direction or self.ended(search):
            return search
        return self.methods[j].steer(search, factor)

    def _last_step(self, j: int, search: Search, factor: Curvature | None, unit: float) -> Search:
        """Take the step from the last gradient, which costs no round, if it is a small one."""
        if factor is None or search.gradient is None:
            return search
        point, gain = self.methods[j].ahead(search, factor)
        return replace(search, point=point, trial=point) if gain <= SURE * unit**2 else search

    def _absolute(self, unit: float) -> float:
        # An objective of zero, its lower bound, is the optimum whatever is left of the gradient.
        return self.tol * unit if unit else np.inf

    def _unit(self, j: int, ground: Ground, value: float) -> float:
        return self.problems[j].family.gradient_unit(value, ground.target)


def _in_unit(norm: float, unit: float) -> float:
    return norm / unit if unit else 0.0


class LostCodeError(Exception):
    """Training rows have none of a class, of which a path knows the code."""

    def __init__(self, fold: int, code: int) -> None:
        super().__init__(fold, code)
        self.fold, self.code = fold, code


def _summed(sums: FoldSums, place: int) -> LossSums:
    """Return the sums of one model over all rows."""
    return LossSums(
        float(sums.weight.sum()),
        float(sums.loss[:, place].sum()),
        sums.coef[:, place].sum(axis=0),
        sums.intercept[:, place].sum(axis=0),
    )


def _less(total: LossSums, sums: FoldSums, place: int, k: int) -> LossSums:
    """Return the sums of one model over all rows but those of one fold."""
    return LossSums(
        total.weight - float(sums.weight[k]),
        total.loss - float(sums.loss[k, place]),
        total.coef - sums.coef[k, place],
        total.intercept - sums.intercept[k, place],
    )
