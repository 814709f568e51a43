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
from daskml_exec.partitions import tree_between
from daskml_exec.torch._draws import alone
from daskml_exec.torch._steps import autocast, checked_loss, divisor_of, require_counted
from daskml_exec.torch._tensors import cloned
from daskml_exec.torch.pipeline._cut_loss import loss_of_answer, question_of
from daskml_exec.torch.pipeline._gradients import add_tied, clip
from daskml_exec.torch.pipeline._member import Member
from daskml_exec.torch.pipeline._order import Action
from daskml_exec.torch.pipeline._output_steps import OutputSteps
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._plan import PipelineStep
from daskml_exec.torch.pipeline._seeds import LOSS, Draws
from daskml_exec.torch.pipeline._stage import Stage, Through
from daskml_exec.torch.pipeline._stand_in import Caller, arguments_of, loss_after
from daskml_exec.torch.pipeline._tied_output import add_tied_rows
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
    _output: OutputSteps | None = field(init=False)

    def __post_init__(self) -> None:
        layer, self._output = self.parts.output, None
        if layer is not None:
            self._output = OutputSteps(
                self.member,
                self.owners,
                self.stages,
                layer,
                self.draws.device,
                self.parts.recompute,
            )

    @property
    def last(self) -> int:
        """The stage whose Worker makes the loss."""
        return self.parts.last_of(len(self.owners))

    @property
    def has_loss(self) -> bool:
        """Whether it is made here."""
        return self.owners[self.last] == self.member.index

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
        step, i, output = self._now.step, action.micro_batch, self._output
        if output is not None and action.stage > self.last:
            self._act_of_output(output, action)
            return
        stage = self.stages[action.stage]
        if action.back:
            gradients: Any
            if output is not None and action.stage == self.last:
                gradients = [output.gradient(i, self._tag(step))]
            else:
                gradients = None if self._makes_loss(action.stage) else self._taken(action, step)
            # Modules that go forwards again in it, as torch's checkpoints, draw once more.
            with self.guard(), alone(self.draws.known):
                found = stage.backward(i, gradients)
            if action.stage:
                self._pass(replace(action, stage=action.stage - 1), step, found)
            return
        key, piece, n_samples = self._micro_batch(i)
        with self.guard():
            given = self._arguments(key, piece) if action.stage == 0 else None
        if given is None:
            given = self._taken(action, step)
        go = partial(self._through, action, key, given, piece, n_samples)
        if self._makes_loss(action.stage) and self.parts.recompute:
            stage.postpone(i, go)
            return
        with self.guard():
            out = stage.forward(i, go, recompute=self.parts.recompute)
        if output is not None and action.stage == self.last:
            self._ask(output, i, key, piece, out)
        elif not self._makes_loss(action.stage):
            self._pass(replace(action, stage=action.stage + 1), step, out)

    def _micro_batch(self, i: int) -> tuple[int, Any, int]:
        """Return the key of what one draws, its samples where they are wanted, and their number."""
        step, n, batch = self._now.step, self._now.n_micro_batches, self._now.batch
        start, stop = i * step.n_samples // n, (i + 1) * step.n_samples // n
        piece = None if batch is None else tree_between(batch, start, stop)
        return self.draws.key(self._now.epoch, step.number, i), piece, stop - start

    def _act_of_output(self, output: OutputSteps, action: Action) -> None:
        """Do what a block of the output layer does next, or join what all of them say."""
        i, tag = action.micro_batch, self._tag(self._now.step)
        if action.stage != output.place:
            go = output.backward if action.back else output.forward
            go(action.stage, i, tag)
            return
        key, piece, n_samples = self._micro_batch(i)

        def loss(losses: torch.Tensor) -> torch.Tensor:
            def made() -> torch.Tensor:
                self.draws.enter(LOSS)
                found = loss_of_answer(self.parts.loss, cloned(piece), output.logits(i), losses)
                return self._noted(i, found, n_samples)

            with self.guard():
                return self.draws.run(key, made)

        output.join(i, tag, loss)

    def _ask(self, output: OutputSteps, i: int, key: int, piece: Any, out: Passed) -> None:
        """Give what the last stage makes to the blocks, with what the loss asks of them."""
        (vectors,) = out.tensors

        def asked() -> Any:
            self.draws.enter(LOSS)
            return question_of(self.parts.loss, cloned(piece), output.logits_of(vectors))

        with self.guard():
            question = self.draws.run(key, asked)
        output.ask(i, self._tag(self._now.step), vectors, question)

    def end(self, rate: float) -> Total:
        """End the step at this learning rate, unless its loss is not finite; return what it is."""
        total = self._total(self._now.step)
        if total.finite:
            self._update(self._now.step, total, rate)
        return total

    def _makes_loss(self, stage: int) -> bool:
        return self._output is None and stage == self.last

    def _noted(self, micro_batch: int, found: Any, n_samples: int) -> torch.Tensor:
        """Note what a loss has returned; return what gradients are of."""
        mean, weight = checked_loss(found, n_samples)
        self._losses[micro_batch] = mean.detach(), weight
        if self.parts.micro_batches == 1:
            return mean
        require_counted(mean, weight)
        return mean * weight

    def _arguments(self, key: int, piece: Any) -> Passed:
        """Return what the loss calls the module with."""

        def arguments() -> Any:
            self.draws.enter(LOSS)
            with autocast(self.parts.amp, self.draws.device):
                return arguments_of(Caller(self.parts.loss), cloned(piece))

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
                cloned(piece),
                lambda: self.draws.within(partial(through, value)),
            )
            return self._noted(action.micro_batch, found, n_samples)

        def once() -> Through:
            leaves, value = given.entered()
            with autocast(parts.amp, self.draws.device):
                out = loss(value) if self._makes_loss(action.stage) else through(value)
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
        tag, last = self._tag(step, "total"), self.owners[self.last]
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
            loss = loss / divisor_of(weight)
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
        tied = parts.tied
        if parts.output is not None:
            tag = self._tag(step, "tied output")
            add_tied_rows(self.member, self.owners, self.stages, parts.output, tag)
            tied = {**tied, **parts.output.tied}
        if parts.micro_batches > 1:
            divisor = divisor_of(total.weight)
            for stage in self.stages.values():
                for parameter in stage.parameters.values():
                    if parameter.grad is not None:
                        parameter.grad /= divisor
        if parts.clip_norm is not None:
            clip(
                self.member,
                self.stages,
                parts.ranks,
                tied,
                parts.clip_norm,
                self._tag(step, "norms"),
            )
        for stage in self.stages.values():
            with self.guard():
                stage.update(rate, parts.optimiser.lr)
