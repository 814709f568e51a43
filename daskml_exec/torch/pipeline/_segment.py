"""Segments of a pipeline: what each Worker does in them with its stages."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from daskml_exec.executor.peers import Peer, Source
from daskml_exec.kernels.arrays import Array
from daskml_exec.torch._steady import steady
from daskml_exec.torch._steps import factor_of
from daskml_exec.torch.pipeline._averages import average_stages
from daskml_exec.torch.pipeline._guard import guarded
from daskml_exec.torch.pipeline._order import actions
from daskml_exec.torch.pipeline._plan import PipelinePlan
from daskml_exec.torch.pipeline._replica import Failed, Replica
from daskml_exec.torch.pipeline._samples import Stream
from daskml_exec.torch.pipeline._seeds import Draws
from daskml_exec.torch.pipeline._stage import Stage
from daskml_exec.torch.pipeline._step import Steps
from daskml_exec.torch.pipeline._team import Team
from daskml_exec.torch.pipeline._units import PipelineUnits
from daskml_exec.training import Segment
from daskml_exec.training.groups._replica_averages import Share
from daskml_exec.training.groups._replicas import Stint, stints_of


@dataclass(frozen=True)
class PipelineWork:
    """The steps of a segment, of each replica.

    Attributes
    ----------
    epoch, first_step, n_steps : int
    learning_rate : float
        Before the scheduler's factor.
    end : int
        The step at which training or the epoch ends, wherever segments are cut.
    since : tuple of float
        Per replica, the weight of its steps since the last average; empty where there is one.
    keeps : bool
        Whether stages keep the weights that they begin with: those of the best score so far.
    """

    epoch: int
    first_step: int
    n_steps: int
    learning_rate: float
    end: int
    since: tuple[float, ...] = ()
    keeps: bool = False


@dataclass(frozen=True)
class Found:
    """What a Worker has seen in a segment.

    Attributes
    ----------
    losses : dict of int to ndarray of shape (n_steps, 2)
        Mean losses and their weights, of each replica whose last stage is here.
    since : dict of int to float
        The weight of the steps since the last average, of each replica that has stages here.
    failures : dict of int to Failed
        Of replicas whose loss, or of stages whose parameters, are not finite: by their units.
    """

    losses: dict[int, Array] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)
    failures: dict[int, Failed] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineSegment(Segment):
    """Steps of all stages."""

    kind: PipelineUnits
    plan: PipelinePlan
    work: PipelineWork

    @property
    def step(self) -> str:
        return "train"

    @property
    def units(self) -> PipelineUnits:
        return self.kind

    @property
    def n_steps(self) -> int:
        return self.work.n_steps

    def cut(self, limit: int) -> "PipelineSegment":
        return replace(self, work=replace(self.work, n_steps=min(limit, self.work.n_steps)))

    def message(self) -> PipelineWork:
        return self.work

    def sources(self) -> list[int]:
        work, plan = self.work, self.plan
        return [
            each.partition
            for replica in range(len(plan.replicas))
            for each in plan.by_partition(replica, work.epoch, work.first_step, work.n_steps)
        ]

    def run(
        self,
        peer: Peer,
        owners: Sequence[int],
        units: Mapping[int, Stage],
        sources: Mapping[int, Source],
        name: int,
    ) -> Found:
        kind, work, n = self.kind, self.work, self.kind.n_stages
        device = next(iter(units.values())).device
        teams = kind.teams(owners)
        if work.keeps:
            names = [name for slots in kind.parts.layout.of_module for name in slots.names]
            for stage in units.values():
                if stage.is_of_first:
                    stage.keep(names)
        mine = {
            r: self._replica(r, peer, teams[r], stages, sources, name)
            for r, stages in kind.by_replica(units).items()
        }
        with steady(device):
            for stint in stints_of(work.first_step, work.n_steps, work.end, self.plan.sync_steps):
                self._take(stint, peer.index, teams, mine)
                if not stint.averages:
                    continue
                goes_on = average_stages(
                    peer,
                    owners,
                    units,
                    n,
                    kind.parts,
                    {r: Share(each.since, each.failed is None) for r, each in mine.items()},
                    (name, "averages", stint.last),
                    ends_epoch=stint.ends_epoch,
                )
                for each in mine.values():
                    each.since = 0.0
                if not goes_on:  # whoever knows why says so
                    return Found(failures=_failures(mine, n))
        if self.plan.sync_steps is not None:
            for unit, stage in units.items():
                stage.apart = mine[unit // n].since
        return Found(
            {r: each.seen for r, each in mine.items() if each.steps.has_loss},
            {r: each.since for r, each in mine.items()},
            _failures(mine, n)
            or self._not_finite(units, sum(each.n_done for each in mine.values())),
        )

    def _replica(
        self,
        replica: int,
        peer: Peer,
        owners: tuple[int, ...],
        stages: Mapping[int, Stage],
        sources: Mapping[int, Source],
        name: int,
    ) -> Replica:
        """Return a replica's stages on this Worker, with its samples where they are wanted."""
        parts, work, n = self.kind.parts, self.work, self.kind.n_stages
        device = next(iter(stages.values())).device
        steps = Steps(
            Team(peer, owners, replica),
            owners,
            stages,
            parts,
            Draws(parts.seed, device, parts.draws, replica),
            name,
            self._noting,
        )
        stream = Stream(self.plan, parts, replica, work.epoch, work.first_step, work.n_steps)
        samples = {0, parts.last_of(n)} & stages.keys()
        return Replica(
            steps,
            stream.with_samples(peer, sources) if samples else stream.without(),
            work.since[replica] if work.since else 0.0,
        )

    def _take(
        self,
        stint: Stint,
        here: int,
        teams: tuple[tuple[int, ...], ...],
        mine: Mapping[int, Replica],
    ) -> None:
        """Take the steps of all replicas, so that some go on while others wait."""
        work, plan, parts = self.work, self.plan, self.kind.parts
        before = work.epoch * plan.steps_per_epoch
        places, n_blocks = teams, 0
        if parts.output is not None:  # what blocks say is joined where the last stage is
            n_blocks = parts.output.n_blocks
            places = tuple((*team, team[parts.last_of(len(team))]) for team in teams)
        n_steps = stint.last - stint.first
        planned = [
            {
                step.number: step.parts(parts.micro_batches)
                for found in plan.by_partition(r, work.epoch, stint.first, n_steps)
                for step in plan.steps_of(found)
            }
            for r in range(len(teams))
        ]
        for number in range(stint.first, stint.last):
            # Of those, too, that have failed: the order is to be the same on all Workers.
            sizes = tuple(each.get(number, 0) for each in planned)
            taking = {
                r: each
                for r, each in mine.items()
                if sizes[r] and each.begin(work.epoch, self._noting)
            }
            if not taking:
                continue
            for action in actions(places, sizes, parts.order, n_blocks):
                if action.replica in taking and places[action.replica][action.stage] == here:
                    taking[action.replica].steps.act(action)
            done = min(before + number, parts.total_steps)
            with self._noting():
                factor = factor_of(parts.scheduler, done, parts.total_steps)
            for each in taking.values():
                each.end(work.epoch, work.learning_rate * factor)

    def _not_finite(self, units: Mapping[int, Stage], n_done: int) -> dict[int, Failed]:
        """Say which stages' parameters are not finite."""
        steps = self.work.first_step + self.work.n_steps
        return {
            unit: Failed(
                f"the parameters of {stage.name!r} are not finite after {steps} steps of the epoch",
                n_done=n_done,
            )
            for unit, stage in units.items()
            if not stage.is_finite
        }

    def _noting(self) -> AbstractContextManager[None]:
        work = self.work
        return guarded(
            f"in training a pipeline, epoch {work.epoch}, one of the steps {work.first_step} "
            f"to {work.first_step + work.n_steps - 1}"
        )


def _failures(replicas: Mapping[int, Replica], n_stages: int) -> dict[int, Failed]:
    """Return why replicas have failed, by the units of their last stages."""
    return {
        (replica + 1) * n_stages - 1: each.failed
        for replica, each in replicas.items()
        if each.failed is not None
    }
