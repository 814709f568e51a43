"""A step of a pipeline, on one Worker: micro-batches through its stages, and then their optimisers.

In exact arithmetic, and in its bits, it is the step of the whole module that adds the gradients of
the batch's parts one after the other.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.partitions import map_leaves, tree_between
from daskml_exec.torch._draws import alone
from daskml_exec.torch._steps import autocast, checked_loss
from daskml_exec.torch.pipeline._gradients import add_tied, clip
from daskml_exec.torch.pipeline._member import Member
from daskml_exec.torch.pipeline._order import Action
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._plan import PipelineStep
from daskml_exec.torch.pipeline._seeds import LOSS, Draws
from daskml_exec.torch.pipeline._stage import Stage, Through
from daskml_exec.torch.pipeline._stand_in import Caller, arguments_of, loss_after
from daskml_exec.torch.pipeline._trees import Passed, packed, passed, unpacked


@dataclass(frozen=True)
class Total:
    """What the last stage tells all others after the last micro-batch.

    Attributes
    ----------
    weight : float or tensor
        Of all losses together: gradients are divided by it.
    finite : bool
        Whether the loss is.
    loss : float
        Known where the last stage is.
    """

    weight: Any
    finite: bool
    loss: float = math.nan


@dataclass(frozen=True)
class _Now:
    """The step that is being taken."""

    epoch: int
    step: PipelineStep
    n_micro_batches: int
    batch: Any


@dataclass
class Steps:
    """Takes steps with the stages of one replica that one Worker has.

    Attributes
    ----------
    member : Member
    owners : tuple of int
        Per stage, the member that has it.
    stages : mapping of int to Stage
        Those of this one.
    parts : PipelineParts
    draws : Draws
    name : int
        Tells what is sent from what other segments send.
    guard : callable
        Returns a context for code of the user's, which may raise anything.
    """

    member: Member
    owners: tuple[int, ...]
    stages: Mapping[int, Stage]
    parts: PipelineParts
    draws: Draws
    name: int
    guard: Callable[[], AbstractContextManager[Any]]
    _here: dict[Action, Any] = field(default_factory=dict, init=False)
    """What has come, or stayed, for an action that is still to be done."""
    _losses: dict[int, tuple[Any, Any]] = field(default_factory=dict, init=False)

    _now: _Now = field(init=False)

    def begin(self, epoch: int, step: PipelineStep, batch: Any) -> None:
        """Begin a step.

        Parameters
        ----------
        epoch : int
        step : PipelineStep
        batch : tree of tensors
            None where neither the first nor the last stage is.
        """
        self._now = _Now(epoch, step, step.parts(self.parts.micro_batches), batch)
        self._losses.clear()
        for stage in self.stages.values():
            if stage.optimiser is not None:
                stage.optimiser.zero_grad(set_to_none=True)

    def act(self, action: Action) -> None:
        """Do what one of the stages here does next in this step."""
        stop_point()
        self.member.require_current()
        step, n, batch = self._now.step, self._now.n_micro_batches, self._now.batch
        stage, i = self.stages[action.stage], action.micro_batch
        if action.back:
            gradients = None if self._is_last(action.stage) else self._taken(action, step)
            # Modules that go forwards again in it, as torch's checkpoints, draw once more.
            with self.guard(), alone(self.draws.known):
                found = stage.backward(i, gradients)
            if action.stage:
                self._pass(replace(action, stage=action.stage - 1), step, found)
            return
        start, stop = i * step.n_samples // n, (i + 1) * step.n_samples // n
        piece = None if batch is None else tree_between(batch, start, stop)
        key = self.draws.key(self._now.epoch, step.number, i)
        with self.guard():
            given = self._arguments(key, piece) if action.stage == 0 else None
        if given is None:
            given = self._taken(action, step)
        go = partial(self._through, action, key, given, piece, stop - start)
        if self._is_last(action.stage) and self.parts.recompute:
            stage.postpone(i, go)
            return
        with self.guard():
            out = stage.forward(i, go, recompute=self.parts.recompute)
        if not self._is_last(action.stage):
            self._pass(replace(action, stage=action.stage + 1), step, out)

    def end(self, rate: float) -> Total:
        """End the step at this learning rate, unless its loss is not finite; return what it is."""
        total = self._total(self._now.step)
        if total.finite:
            self._update(self._now.step, total, rate)
        return total

    def _is_last(self, stage: int) -> bool:
        return stage == len(self.owners) - 1

    def _arguments(self, key: int, piece: Any) -> Passed:
        """Return what the loss calls the module with."""

        def arguments() -> Any:
            self.draws.enter(LOSS)
            with autocast(self.parts.amp, self.draws.device):
                return arguments_of(Caller(self.parts.loss), _copied(piece))

        return passed(self.draws.run(key, arguments), "loss")

    def _through(
        self, action: Action, key: int, given: Passed, piece: Any, n_samples: int
    ) -> Through:
        """Go forwards through a stage, and from the last one to the loss."""
        stage, parts = self.stages[action.stage], self.parts

        def through(value: Any) -> Any:
            return stage.through(self.draws, value, first=action.stage == 0)

        def loss(value: Any) -> Any:
            self.draws.enter(LOSS)
            found = loss_after(
                Caller(parts.loss),
                _copied(piece),
                lambda: self.draws.within(partial(through, value)),
            )
            mean, weight = checked_loss(found, n_samples)
            self._losses[action.micro_batch] = mean.detach(), weight
            return mean if parts.micro_batches == 1 else mean * weight

        def once() -> Through:
            leaves, value = given.entered()
            with autocast(parts.amp, self.draws.device):
                out = loss(value) if self._is_last(action.stage) else through(value)
            return leaves, passed(out, stage.name)

        return self.draws.run(key, once)

    def _pass(self, to: Action, step: PipelineStep, what: Any) -> None:
        """Give what an action needs to the Worker that does it."""
        owner = self.owners[to.stage]
        if owner == self.member.index:
            # Without what it was made from: going back is the other stage's own.
            self._here[to] = what if to.back else what.alone()
            return
        arrays, about = packed(what) if to.back else packed(what.tensors)
        form = None if to.back else what.form
        place = (to.stage, to.micro_batch, int(to.back))
        # Written again in the next step: the receiver has answered by then.
        self.member.send(owner, self._tag(step, *place), arrays, [form, about], slot=place)

    def _taken(self, action: Action, step: PipelineStep) -> Any:
        """Return what has come for an action."""
        if action in self._here:
            return self._here.pop(action)
        sender = self.owners[action.stage + (1 if action.back else -1)]
        place = (action.stage, action.micro_batch, int(action.back))
        arrays, (form, about) = self.member.take(sender, self._tag(step, *place))
        tensors = unpacked(arrays, about, self.draws.device)
        return tensors if action.back else Passed(form, tensors)

    def _tag(self, step: PipelineStep, *what: Any) -> tuple[Any, ...]:
        return (self.name, step.number, *what)

    def _total(self, step: PipelineStep) -> Total:
        """Return what the step came to, on all Workers alike."""
        tag, last = self._tag(step, "total"), self.owners[-1]
        if last != self.member.index:
            arrays, (about, number, finite) = self.member.take(last, tag)
            (tensor,) = unpacked(arrays, about, self.draws.device)
            return Total(number if tensor is None else tensor, finite)
        loss, weight = self._losses[0]
        if self.parts.micro_batches > 1:
            loss, weight = 0.0, 0.0
            for i in range(len(self._losses)):
                mean, of = self._losses[i]
                loss, weight = loss + mean * of, weight + of
            loss = loss / weight
        total = Total(weight, math.isfinite(loss) and math.isfinite(weight), float(loss))
        is_tensor = isinstance(weight, torch.Tensor)
        arrays, about = packed([weight if is_tensor else None])
        for other in self.member.others:
            about_it = [about, None if is_tensor else weight, total.finite]
            self.member.send(other, tag, arrays, about_it)
        return total

    def _update(self, step: PipelineStep, total: Total, rate: float) -> None:
        """Let the optimisers take their step."""
        parts = self.parts
        add_tied(self.member, self.owners, self.stages, parts.tied, self._tag(step, "tied"))
        if parts.micro_batches > 1:
            for stage in self.stages.values():
                for parameter in stage.parameters.values():
                    if parameter.grad is not None:
                        parameter.grad /= total.weight
        if parts.clip_norm is not None:
            clip(
                self.member,
                self.stages,
                parts.ranks,
                parts.tied,
                parts.clip_norm,
                self._tag(step, "norms"),
            )
        for stage in self.stages.values():
            with self.guard():
                stage.update(rate, parts.optimiser.lr)


def _copied(piece: Any) -> Any:
    """Return a batch of the loss's own, who is called several times and may change it in place."""
    return map_leaves(torch.Tensor.clone, piece)
