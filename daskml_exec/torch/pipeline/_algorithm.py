"""What follows from segments of a pipeline: losses, epochs, when to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.torch._divergence import UNTRAINED, Diverged
from daskml_exec.torch._scores import added, score_held_out
from daskml_exec.torch.pipeline._held_out import HeldOut
from daskml_exec.torch.pipeline._plan import PipelinePlan
from daskml_exec.torch.pipeline._score_segment import Scored, ScoringSegment, ScoringWork
from daskml_exec.torch.pipeline._segment import Found, PipelineSegment, PipelineWork
from daskml_exec.torch.pipeline._units import PipelineUnits
from daskml_exec.training import Measured
from daskml_exec.training.averaging import Model, Progress, Stopping


@dataclass(frozen=True)
class Best:
    """Stands for the model of the best score, which is on the Workers.

    Attributes
    ----------
    segments : int
        That were done when it had been scored. Stages have it as their weights until the next
        segment, and then as what they have kept.
    """

    segments: int


@dataclass(frozen=True)
class PipelineState:
    """The state between two segments; the weights are on the Workers.

    Attributes
    ----------
    progress : Progress
    max_iter : int
        Epochs at most.
    max_steps : int or None
        Steps at most, in mid-epoch if need be.
    segments, steps : int
        Done so far, in all epochs.
    position : int
        Steps done in this epoch.
    losses : tuple of ndarray of shape (n_steps, 2)
        Per replica, mean losses of this epoch's steps, and their weights: added at its end only, so
        that it is no matter where segments were cut. Empty before its first segment.
    since : tuple of float
        Per replica, the weight of its steps since the last average.
    scoring : bool
        Whether the next segment scores instead of training.
    scored : int
        Pieces of what is held out that were, since the epoch's end.
    sums : tuple of dict of str to ndarray of shape (2,)
        Per partition, what they came to: sums and weights by name.
    """

    progress: Progress
    max_iter: int
    max_steps: int | None = None
    segments: int = 0
    steps: int = 0
    position: int = 0
    losses: tuple[Array, ...] = ()
    since: tuple[float, ...] = ()
    scoring: bool = False
    scored: int = 0
    sums: tuple[Mapping[str, Array], ...] = ()

    @property
    def done(self) -> bool:
        """Whether no further segment is needed."""
        if self.scoring:
            return False
        return self.progress.stopped or self.progress.epochs >= self.max_iter or self.steps_end

    @property
    def steps_end(self) -> bool:
        """Whether training ends here, wherever that is in an epoch."""
        return self.max_steps is not None and self.steps >= self.max_steps


@dataclass(frozen=True)
class PipelineSteps:
    """`Algorithm` of modules that are cut into stages.

    Attributes
    ----------
    units : PipelineUnits
    plan : PipelinePlan
    stopping : Stopping
    begin : Model
        Which training begins with.
    arrays : mapping of int to mapping of str to array
        What stages begin with.
    new : bool
        Whether no step has changed the weights before.
    held_out : HeldOut or None
        By which models are scored; None where no samples are held out.
    keeps_best : bool
        Whether stages keep the weights of the best score.
    """

    units: PipelineUnits
    plan: PipelinePlan
    stopping: Stopping
    begin: Model
    arrays: Mapping[int, Mapping[str, Array]]
    new: bool
    held_out: HeldOut | None
    keeps_best: bool

    states = (PipelineState, Progress, Best)

    def given(self) -> Mapping[int, Any]:
        """Return what stages begin with."""
        return self.arrays

    def ask(self, state: PipelineState) -> PipelineSegment | ScoringSegment | None:
        if state.done:
            return None
        if self.held_out is not None and state.scoring:
            left = self.held_out.n_pieces - state.scored
            work = ScoringWork(state.progress.epochs - 1, state.scored, left)
            return ScoringSegment(self.units, self.held_out, work)
        return PipelineSegment(self.units, self.plan, self._work(state))

    def _work(self, state: PipelineState) -> PipelineWork:
        n_steps = self.plan.steps_per_epoch - state.position
        if state.max_steps is not None:
            n_steps = min(n_steps, state.max_steps - state.steps)
        return PipelineWork(
            epoch=state.progress.epochs,
            first_step=state.position,
            n_steps=n_steps,
            learning_rate=state.progress.learning_rate,
            end=state.position + n_steps,
            since=state.since,
            keeps=self.keeps_best and state.progress.best == Best(state.segments),
        )

    def tell(
        self, state: PipelineState, query: PipelineSegment | ScoringSegment, answer: Sequence[Any]
    ) -> tuple[PipelineState, Measured]:
        if isinstance(query, ScoringSegment):
            return self._scored(state, query, answer)
        return self._trained(state, query.work, answer)

    def _trained(
        self, state: PipelineState, work: PipelineWork, answer: Sequence[Found]
    ) -> tuple[PipelineState, Measured]:
        self._require_finite(answer, state, work)
        new = _per_replica([found.losses for found in answer])
        old = state.losses or (np.empty((0, 2)),) * len(new)
        since = _per_replica([found.since for found in answer])
        state = replace(
            state,
            segments=state.segments + 1,
            steps=state.steps + work.n_steps,
            position=state.position + work.n_steps,
            losses=tuple(map(np.concatenate, zip(old, new, strict=True))),
            since=since if self.plan.sync_steps is not None else (),
        )
        measured = Measured(loss=_mean(new))
        if state.position < self.plan.steps_per_epoch and not state.steps_end:
            return state, measured
        loss = _mean(state.losses)
        if loss is None:
            raise ValueError("no row with a positive weight is left to train on")
        rows = self.plan.samples_until(work.epoch, state.position)
        progress = state.progress.after_epoch(loss, rows, self.stopping)
        state = replace(
            state, progress=progress, position=0, losses=(), scoring=self.held_out is not None
        )
        return state, measured

    def _scored(
        self, state: PipelineState, query: ScoringSegment, answer: Sequence[Scored]
    ) -> tuple[PipelineState, Measured]:
        held_out, work = query.held_out, query.work
        sums = list(state.sums or ({},) * len(held_out.rows))
        found = {key: each for one in answer for key, each in one.sums.items()}
        for partition, number in sorted(found):  # one after the other, wherever segments are cut
            sums[partition] = added(sums[partition], found[partition, number])
        state = replace(
            state,
            segments=state.segments + 1,
            scored=state.scored + work.n_pieces,
            sums=tuple(sums),
        )
        if state.scored < held_out.n_pieces:
            return state, Measured()
        score = score_held_out(fold(state.sums, added), held_out.fraction)
        if not np.isfinite(score.value):
            raise Diverged(
                f"the score of the samples held out is {score.value:g} after epoch {work.epoch}",
                f"Lower lr, which was {state.progress.learning_rate:g}, or set clip_norm",
                self.begin,
            )
        progress = state.progress.after_score(score.value, Best(state.segments), self.stopping)
        state = replace(state, progress=progress, scoring=False, scored=0, sums=())
        return state, Measured(score=score.value, scores=score.named)

    def _require_finite(
        self, answer: Sequence[Found], state: PipelineState, work: PipelineWork
    ) -> None:
        """Raise for the first unit that cannot train on."""
        failures = {
            unit: failed
            for found in answer
            for unit, failed in found.failures.items()
            if failed.wrong
        }
        if not failures:
            return
        failed = failures[min(failures)]
        if failed.bad_sample:
            raise ValueError(failed.bad_sample)
        remedy = f"Lower lr, which was {work.learning_rate:g}, or set clip_norm"
        if self.new and not state.steps and not failed.n_done:
            remedy = UNTRAINED
        raise Diverged(failed.wrong, remedy, self.begin)


def _per_replica(found: Sequence[Mapping[int, Any]]) -> tuple[Any, ...]:
    """Return what Workers have of each replica, in the order of replicas."""
    known = {replica: each for one in found for replica, each in one.items()}
    return tuple(known[replica] for replica in sorted(known))


def _mean(of_replicas: Sequence[Array]) -> float | None:
    losses = np.concatenate(of_replicas)
    weight = float(losses[:, 1].sum())
    return float(losses.prod(axis=1).sum()) / weight if weight else None
