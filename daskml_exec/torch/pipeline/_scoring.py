"""The way of samples held out through the stages of one replica, on one Worker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.partitions import map_leaves
from daskml_exec.torch._draws import score_key, step_seed
from daskml_exec.torch._scores import Scores
from daskml_exec.torch._steps import autocast
from daskml_exec.torch._tensors import cloned
from daskml_exec.torch.pipeline._held_out import Piece
from daskml_exec.torch.pipeline._member import Member
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._samples import Samples
from daskml_exec.torch.pipeline._seeds import LOSS, Draws
from daskml_exec.torch.pipeline._stage import Stage
from daskml_exec.torch.pipeline._stand_in import Caller, arguments_of, loss_after
from daskml_exec.torch.pipeline._trees import Passed, packed, passed, unpacked

_AHEAD = 2
"""Pieces that a stage may have passed on and the next one has not taken yet: no gradient that comes
back tells a stage to wait."""

Tag = tuple[Any, ...]


def called_in_stages(scores: Scores, n_samples: int) -> Caller:
    """Return what is called with a stand-in for the module to score so many samples."""
    who = "loss" if scores.scores is None else "scores"
    return Caller(lambda module, batch: scores(module, batch, n_samples), who, training=False)


@dataclass
class Scoring:
    """Takes samples held out through the stages of one replica that one Worker has.

    Attributes
    ----------
    member : Member
    owners : tuple of int
        Per stage, the member that has it.
    stages : mapping of int to Stage
        Those of this one, in eval mode.
    parts : PipelineParts
    draws : Draws
    name : int
        Tells what is sent from what other segments send.
    guard : callable
        Returns a context for code of the user's, which may raise anything.
    pieces : sequence of Piece
    samples : iterator of Samples or None
        Of the pieces; None where neither the first nor the last stage is.
    sums : dict of (partition, number) to dict of str to ndarray of shape (2,)
        Sums and weights by name, of the pieces that the last stage here has seen.
    """

    member: Member
    owners: tuple[int, ...]
    stages: Mapping[int, Stage]
    parts: PipelineParts
    draws: Draws
    name: int
    guard: Callable[[], AbstractContextManager[Any]]
    pieces: Sequence[Piece]
    samples: Iterator[Samples] | None
    sums: dict[tuple[int, int], dict[str, Array]] = field(default_factory=dict, init=False)
    _passed: dict[tuple[int, int], Passed] = field(default_factory=dict, init=False)
    """What the stage before has left for a stage and a piece, where both are here."""
    _batches: dict[int, Any] = field(default_factory=dict, init=False)
    """Of pieces that are between the first and the last stage, where both are here."""

    def act(self, stage: int, at: int) -> None:
        """Let one of the stages here go forwards with the piece at a place."""
        stop_point()
        self.member.require_current()
        piece, last = self.pieces[at], stage == len(self.owners) - 1
        key = step_seed(score_key(self.parts.seed, piece.partition), piece.number)
        batch = self._batch(stage, at) if stage == 0 or last else None
        call = called_in_stages(self.parts.scores, piece.last - piece.first)
        if stage == 0:
            with self.guard():
                given = self._arguments(key, call, batch)
        else:
            given = self._taken(stage, at)
        if last:
            with self.guard():
                found = self._scored(stage, key, call, given, batch)
            self.sums[piece.partition, piece.number] = found
            return
        with self.guard():
            out = passed(self._through(stage, key, given), self.stages[stage].name)
        self._pass(stage, at, out)

    def _batch(self, stage: int, at: int) -> Any:
        """Return the samples of a piece, as tensors."""
        if at in self._batches:
            return self._batches.pop(at)
        assert self.samples is not None
        samples = next(self.samples)
        with self.guard():
            batch = map_leaves(lambda leaf: leaf.to(self.draws.device), samples.batch())
        if stage == 0 and len(self.owners) - 1 in self.stages:
            self._batches[at] = batch
        return batch

    def _arguments(self, key: int, call: Caller, batch: Any) -> Passed:
        """Return what the scores call the module with."""

        def arguments() -> Any:
            self.draws.enter(LOSS)
            with autocast(self.parts.amp, self.draws.device):
                return arguments_of(call, cloned(batch))

        return passed(self.draws.run(key, arguments), call.who)

    def _through(self, stage: int, key: int, given: Passed) -> Any:
        def through() -> Any:
            _, value = given.entered()
            with autocast(self.parts.amp, self.draws.device):
                return self.stages[stage].through(self.draws, value, first=stage == 0)

        return self.draws.run(key, through)

    def _scored(
        self, stage: int, key: int, call: Caller, given: Passed, batch: Any
    ) -> dict[str, Array]:
        """Return sums and weights by name."""
        unit = self.stages[stage]

        def score() -> Any:
            _, value = given.entered()
            self.draws.enter(LOSS)
            through = partial(unit.through, self.draws, value, first=False)
            with autocast(self.parts.amp, self.draws.device):
                return loss_after(call, cloned(batch), lambda: self.draws.within(through))

        pairs = {
            name: np.array([float(total), float(weight)])
            for name, (total, weight) in self.draws.run(key, score).items()
        }
        # The mean of nothing is none, and adds nothing.
        return {name: pair if pair[1] else np.zeros(2) for name, pair in pairs.items()}

    def _pass(self, stage: int, at: int, what: Passed) -> None:
        """Give a piece to the next stage."""
        owner = self.owners[stage + 1]
        if owner == self.member.index:
            self._passed[stage + 1, at] = what
            return
        hand_over(self.member, owner, self._tag(stage + 1), at, what)

    def _taken(self, stage: int, at: int) -> Passed:
        """Return what the stage before has made of a piece."""
        if (stage, at) in self._passed:
            return self._passed.pop((stage, at))
        sender, n = self.owners[stage - 1], len(self.pieces)
        return taken_over(self.member, sender, self._tag(stage), at, n, self.draws.device)

    def _tag(self, stage: int) -> Tag:
        return (self.name, stage)


def hand_over(member: Member, to: int, tag: Tag, at: int, what: Passed) -> None:
    """Send a piece to the member that has the next stage, when it has room for it.

    Parameters
    ----------
    member : Member
    to : int
    tag : tuple
        Ends with the stage that it is for.
    at : int
        The place of the piece.
    what : Passed
    """
    if at >= _AHEAD:
        member.take(to, (*tag, at - _AHEAD, "taken"))
    arrays, about = packed(what.tensors)
    # In the memory of what goes forwards in steps, which are over.
    place = (tag[-1], at % _AHEAD, 0)
    member.send(to, (*tag, at), arrays, [what.form, about], slot=place)


def taken_over(
    member: Member, sender: int, tag: Tag, at: int, n: int, device: torch.device
) -> Passed:
    """Return the piece at a place, of n, that the member with the stage before has sent."""
    arrays, (form, about) = member.take(sender, (*tag, at))
    tensors: list[Any] = unpacked(arrays, about, device)
    if at + _AHEAD < n:
        member.send(sender, (*tag, at, "taken"), ())
    return Passed(form, tensors)
