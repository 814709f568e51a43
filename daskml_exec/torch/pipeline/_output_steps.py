"""What blocks of an output layer exchange in a step: vectors, sums of exponentials, gradients.

The last stage's Worker gives its vectors to the blocks and joins what they say; the logits of a
block stay where they are. Everything is added in the order of blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import torch

from daskml_exec.torch.pipeline._cut_logits import Answer, CutLogits, Question
from daskml_exec.torch.pipeline._cut_loss import logits_of
from daskml_exec.torch.pipeline._cut_softmax import (
    Block,
    Kept,
    Sums,
    add_gradients,
    gradient_of_hidden,
    joined,
    losses_of,
    normaliser,
    sums_of,
)
from daskml_exec.torch.pipeline._member import Member
from daskml_exec.torch.pipeline._output import OutputLayer
from daskml_exec.torch.pipeline._stage import Stage
from daskml_exec.torch.pipeline._trees import packed, unpacked


@dataclass(frozen=True)
class _Given:
    """What all blocks get of a micro-batch."""

    vectors: torch.Tensor
    targets: torch.Tensor
    smoothing: float


@dataclass(frozen=True)
class _From:
    """Where vectors come from, among all that the last stage has made; None for all."""

    tokens: torch.Tensor | None
    shape: torch.Size
    like: torch.Tensor
    smoothing: float


@dataclass
class OutputSteps:
    """The output layer in the steps of one replica, on one Worker.

    Attributes
    ----------
    member : Member
    owners : sequence of int
        Per stage and block, the member that has it.
    stages : mapping of int to Stage
        Those of this one, blocks among them.
    layer : OutputLayer
    device : torch.device
    recompute : bool
        Whether blocks keep no logits, and compute them once more before they go back.
    """

    member: Member
    owners: Sequence[int]
    stages: Mapping[int, Stage]
    layer: OutputLayer
    device: torch.device
    recompute: bool
    _from: dict[int, _From] = field(default_factory=dict, init=False)
    _given: dict[int, _Given] = field(default_factory=dict, init=False)
    _slopes: dict[int, list[torch.Tensor]] = field(default_factory=dict, init=False)
    _kept: dict[tuple[int, int], Kept] = field(default_factory=dict, init=False)
    _n_back: dict[int, int] = field(default_factory=dict, init=False)
    _stayed: dict[tuple[str, int, int], list[torch.Tensor]] = field(
        default_factory=dict, init=False
    )
    """What blocks here have for what joins them, which is here, too."""

    @property
    def place(self) -> int:
        """The place of what joins blocks, after all of them."""
        return self.layer.units.stop

    @property
    def _joins(self) -> int:
        """The member that joins what blocks say."""
        return self.owners[self.layer.first - 1]

    def logits_of(self, vectors: torch.Tensor) -> Callable[[Answer], CutLogits]:
        """Return what makes what stands for the logits of vectors of shape (..., n_hidden)."""
        return partial(logits_of, vectors.shape[:-1], vectors, self.layer.n_outputs)

    def logits(self, i: int) -> Callable[[Answer], CutLogits]:
        """Return the same of the vectors of a micro-batch that the blocks were asked about."""
        came = self._from[i]
        return partial(logits_of, came.shape[:-1], came.like, self.layer.n_outputs)

    def ask(self, i: int, tag: Any, vectors: torch.Tensor, question: Question) -> None:
        """Give the vectors of a micro-batch that count to all blocks.

        Parameters
        ----------
        i : int
            The micro-batch.
        tag : tuple
            Of the step.
        vectors : tensor of shape (..., n_hidden)
            All that the last stage has made.
        question : Question
        """
        flat = vectors.detach().reshape(-1, vectors.shape[-1])
        tokens: torch.Tensor | None = question.tokens
        if torch.equal(question.tokens, torch.arange(len(flat), device=flat.device)):
            tokens = None
        self._from[i] = _From(tokens, vectors.shape, flat.new_empty(0), question.smoothing)
        flat = flat.contiguous() if tokens is None else flat[tokens]
        given = _Given(flat, question.targets, question.smoothing)
        self._tell(i, tag, "vectors", [given.vectors, given.targets], given.smoothing)
        if self._here:
            self._given[i] = given

    def forward(self, unit: int, i: int, tag: Any) -> None:
        """Compute the logits of a block, and say what is to be known of them."""
        if i not in self._given:
            (vectors, targets), smoothing = self._told(i, tag, "vectors")
            self._given[i] = _Given(vectors, targets, smoothing)
        given = self._given[i]
        with torch.no_grad():
            sums, kept = sums_of(self._block(unit), given.vectors, given.targets, given.smoothing)
        if not self.recompute:
            self._kept[unit, i] = kept
        self._say(unit, i, tag, "sums", sums.tensors)

    def join(self, i: int, tag: Any, loss: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Make the loss of what all blocks say, and tell them what it grows by with each token's.

        Parameters
        ----------
        i : int
        tag : tuple
        loss : callable
            Takes what each token loses, and returns what gradients are of.
        """
        said = [self._said(unit, i, tag, "sums") for unit in self.layer.units]
        with torch.no_grad():
            sums = joined([Sums(*each, *[None] * (4 - len(each))) for each in said])
            losses = losses_of(sums, self._from[i].smoothing, self.layer.n_outputs).requires_grad_()
            normalisers = normaliser(sums)
        (slopes,) = torch.autograd.grad(loss(losses), losses)
        self._tell(i, tag, "slopes", [normalisers, slopes])
        if self._here:
            self._slopes[i] = [normalisers, slopes]

    def backward(self, unit: int, i: int, tag: Any) -> None:
        """Add a block's gradients, and say what it adds to those of the vectors."""
        if i not in self._slopes:
            self._slopes[i], _ = self._told(i, tag, "slopes")
        given, block = self._given[i], self._block(unit)
        about = (given.targets, *self._slopes[i], given.smoothing)
        with torch.no_grad():
            kept = self._kept.pop((unit, i), None)
            if kept is None:
                _, kept = sums_of(block, given.vectors, given.targets, given.smoothing)
            # Before its own gradients, as others wait for it.
            found = gradient_of_hidden(block, kept, *about)
            self._say(unit, i, tag, "gradients", [found])
            add_gradients(block, kept, given.vectors, *about)
        self._n_back[i] = self._n_back.get(i, 0) + 1
        if self._n_back[i] == len(self._here):
            del self._given[i], self._slopes[i], self._n_back[i]

    def gradient(self, i: int, tag: Any) -> torch.Tensor:
        """Return the gradient of all that the last stage has made, of all blocks together."""
        came = self._from.pop(i)
        parts = [self._said(unit, i, tag, "gradients")[0] for unit in self.layer.units]
        total = reduce(torch.add, parts)
        if came.tokens is not None:
            zeros = total.new_zeros(came.shape[:-1].numel(), came.shape[-1])
            total = zeros.index_add_(0, came.tokens, total)
        return total.reshape(came.shape)

    @property
    def _here(self) -> list[int]:
        return [unit for unit in self.layer.units if unit in self.stages]

    def _block(self, unit: int) -> Block:
        module: Any = self.stages[unit].parts[0].module
        found: Block = module.block
        return found

    def _tell(
        self, i: int, tag: Any, what: str, tensors: Sequence[torch.Tensor], more: Any = None
    ) -> None:
        """Send to all others who have blocks."""
        arrays, about = packed(tensors)
        for other in sorted({self.owners[unit] for unit in self.layer.units} - {self.member.index}):
            # Written again in the next step: the receiver has answered by then.
            self.member.send(other, (*tag, what, i), arrays, [about, more], slot=(what, i))

    def _told(self, i: int, tag: Any, what: str) -> tuple[list[Any], Any]:
        arrays, (about, more) = self.member.take(self._joins, (*tag, what, i))
        return unpacked(arrays, about, self.device), more

    def _say(self, unit: int, i: int, tag: Any, what: str, tensors: Sequence[torch.Tensor]) -> None:
        """Give something of a block to the Worker that joins it."""
        if self._joins == self.member.index:
            self._stayed[what, unit, i] = list(tensors)
            return
        arrays, about = packed(tensors)
        self.member.send(self._joins, (*tag, what, unit, i), arrays, about, slot=(what, unit, i))

    def _said(self, unit: int, i: int, tag: Any, what: str) -> list[Any]:
        if (what, unit, i) in self._stayed:
            return self._stayed.pop((what, unit, i))
        arrays, about = self.member.take(self.owners[unit], (*tag, what, unit, i))
        return unpacked(arrays, about, self.device)
