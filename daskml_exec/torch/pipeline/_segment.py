"""Segments of a pipeline: what each Worker does in them with its stages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.executor._raised import carried
from daskml_exec.executor.peers import Peer, Source
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.batches import RowOrder
from daskml_exec.partitions import Partition, map_leaves
from daskml_exec.torch._gather import Gather, not_finite_loss
from daskml_exec.torch._steady import steady
from daskml_exec.torch._steps import factor_of
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._plan import PipelinePlan, PipelineStep
from daskml_exec.torch.pipeline._seeds import Draws
from daskml_exec.torch.pipeline._stage import Stage
from daskml_exec.torch.pipeline._step import Steps
from daskml_exec.torch.pipeline._units import PipelineUnits
from daskml_exec.training import Segment


@dataclass(frozen=True)
class PipelineWork:
    """The steps of a segment.

    Attributes
    ----------
    epoch, first_step, n_steps : int
    learning_rate : float
        Before the scheduler's factor.
    """

    epoch: int
    first_step: int
    n_steps: int
    learning_rate: float


@dataclass(frozen=True)
class Found:
    """What a Worker has seen in a segment.

    Attributes
    ----------
    losses : ndarray of shape (n_steps, 2), or None
        Mean losses and their weights; None where the last stage is not.
    wrong : str
        Which loss, or which stage's parameters, are not finite; empty where all are.
    bad_sample : str
        What is wrong with the data, if that is why.
    n_done : int
        Steps before it.
    """

    losses: Array | None
    wrong: str = ""
    bad_sample: str = ""
    n_done: int = 0


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
        work = self.work
        found = self.plan.by_partition(work.epoch, work.first_step, work.n_steps)
        return [each.partition for each in found]

    def run(
        self,
        peer: Peer,
        owners: Sequence[int],
        units: Mapping[int, Stage],
        sources: Mapping[int, Source],
        name: int,
    ) -> Found:
        parts, work, last = self.kind.parts, self.work, len(owners) - 1
        device = next(iter(units.values())).device
        steps = Steps(
            peer,
            tuple(owners),
            units,
            parts,
            Draws(parts.seed, device, parts.draws),
            name,
            self._noting,
        )
        losses = []
        before = work.epoch * self.plan.steps_per_epoch
        with steady(device):
            for step, made in self._steps(peer, units, sources, parts, last):
                batch = None
                if made is not None:
                    with self._noting():
                        batch = map_leaves(lambda leaf: leaf.to(device), made.batch())
                done = min(before + step.number, parts.total_steps)
                with self._noting():
                    factor = factor_of(parts.scheduler, done, parts.total_steps)
                total = steps.take(work.epoch, step, batch, work.learning_rate * factor)
                losses.append((total.loss, float(total.weight)))
                if not total.finite:
                    if made is None or last not in units:
                        return Found(None)
                    wrong = not_finite_loss(
                        made.partition, made.rows, total.loss, step.number, work.epoch
                    )
                    return Found(None, *wrong, len(losses) - 1)
        seen = np.array(losses, np.float64).reshape(-1, 2) if last in units else None
        return Found(seen, self._not_finite(units), n_done=len(losses))

    def _not_finite(self, units: Mapping[int, Stage]) -> str:
        """Say which stage's parameters are not finite; nothing where all are."""
        names = [stage.name for stage in units.values() if not stage.is_finite]
        steps = self.work.first_step + self.work.n_steps
        return (
            f"the parameters of {names[0]!r} are not finite after {steps} steps of the epoch"
            if names
            else ""
        )

    def _steps(
        self,
        peer: Peer,
        units: Mapping[int, Stage],
        sources: Mapping[int, Source],
        parts: PipelineParts,
        last: int,
    ) -> Iterator[tuple[PipelineStep, "_Samples | None"]]:
        """Yield the steps, with their samples where the first or the last stage is."""
        work = self.work
        found = list(self.plan.by_partition(work.epoch, work.first_step, work.n_steps))
        if not {0, last} & units.keys():
            for each in found:
                for step in self.plan.steps_of(each):
                    yield step, None
            return
        partitions = peer.partitions([sources[each.partition] for each in found])
        for each, partition in zip(found, partitions, strict=True):
            if parts.encode is not None:
                partition = replace(partition, y=parts.encode(partition.y))
            order = RowOrder(parts.seed if parts.shuffle else None, partition.index)
            everything = np.arange(partition.n_rows)
            rows = order.of_epoch(everything, work.epoch, partition.sample_weight)
            gather = Gather(partition, parts.torch_dtype, parts.augment, parts.seed, work.epoch)
            for step in self.plan.steps_of(each):
                yield step, _Samples(partition, rows[step.first : step.last], gather)
            del partition, gather

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Say where code of the user's raised, and let whatever that was come to the driver."""
        work = self.work
        try:
            yield
        except BaseException as error:
            error.add_note(
                f"in training a pipeline, epoch {work.epoch}, one of the steps {work.first_step} "
                f"to {work.first_step + work.n_steps - 1}"
            )
            raise carried(error) from None


@dataclass(frozen=True)
class _Samples:
    """Those of a step, on a Worker that has use for them."""

    partition: Partition
    rows: Array
    gather: Gather

    def batch(self) -> Any:
        return self.gather(self.rows)
