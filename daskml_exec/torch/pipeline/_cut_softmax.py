r"""Cross-entropy over classes that are cut into blocks, without any block's logits elsewhere.

Of logits :math:`z_{iv} = h_i \cdot w_v + c_v` of token i and class v a block has those of some rows
of w. With label smoothing :math:`\epsilon` over V classes, token i with target t loses

.. math::

    \ell_i = \log \sum_v e^{z_{iv}} - (1 - \epsilon) z_{it} - \frac{\epsilon}{V} \sum_v z_{iv}

of which each block says four numbers per token: its largest logit :math:`m`, the sum of
:math:`e^{z - m}`, the target's logit where the block has it, and the sum of logits. They are joined
as partial sums of a softmax are that is computed in one pass [1]_. With :math:`g_i`, what the loss
of the batch grows by with :math:`\ell_i`,

.. math::

    \frac{\partial}{\partial z_{iv}} = g_i \left( e^{z_{iv} - \log \sum_u e^{z_{iu}}}
    - (1 - \epsilon) [v = t] - \frac{\epsilon}{V} \right)

follows in each block from its own logits and two numbers per token.

References
----------
.. [1] Milakov and Gimelshein (2018), Online normalizer calculation for softmax.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Block:
    """Some rows of an output layer.

    Attributes
    ----------
    weight : tensor of shape (n_rows, n_hidden)
    bias : tensor of shape (n_rows,) or None
    first : int
        The class of the first row.
    n_outputs : int
        Classes of all blocks.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    first: int
    n_outputs: int


@dataclass(frozen=True)
class Sums:
    """What a block says of its logits, per token: each of shape (n_tokens,).

    Attributes
    ----------
    largest : tensor
    exponentials : tensor
        The sum of ``exp(logit - largest)``.
    target : tensor
        The target's logit; 0 where another block has it.
    logits : tensor or None
        Their sum, where labels are smoothed.
    """

    largest: torch.Tensor
    exponentials: torch.Tensor
    target: torch.Tensor
    logits: torch.Tensor | None

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that there are."""
        found = [self.largest, self.exponentials, self.target]
        return found if self.logits is None else [*found, self.logits]


@dataclass(frozen=True)
class Kept:
    """What a block keeps of its logits for its gradients.

    Attributes
    ----------
    exponentials : tensor of shape (n_tokens, n_rows)
        Of logits, relative to the largest.
    largest : tensor of shape (n_tokens,)
    """

    exponentials: torch.Tensor
    largest: torch.Tensor


def sums_of(
    block: Block, hidden: torch.Tensor, targets: torch.Tensor, smoothing: float
) -> tuple[Sums, Kept]:
    """Return what a block says of its logits, and what it keeps of them.

    Parameters
    ----------
    block : Block
    hidden : tensor of shape (n_tokens, n_hidden)
    targets : tensor of shape (n_tokens,)
        Classes.
    smoothing : float
        Of labels.
    """
    logits = functional.linear(hidden, block.weight, block.bias)
    largest = logits.amax(dim=1)
    rows = (targets - block.first).clamp(0, len(block.weight) - 1)
    target = logits.gather(1, rows[:, None])[:, 0].where(_has(block, targets), 0.0)
    total = logits.sum(dim=1) if smoothing else None
    exponentials = logits.sub_(_finite(largest)[:, None]).exp_()
    sums = Sums(largest, exponentials.sum(dim=1), target, total)
    return sums, Kept(exponentials, largest)


def joined(blocks: Sequence[Sums]) -> Sums:
    """Return what blocks together say, where each comes after those with lower classes.

    Its `largest` is that of all, and so on: sums of sums, in the order of blocks.
    """
    largest = torch.stack([each.largest for each in blocks]).amax(dim=0)
    shift = _finite(largest)
    exponentials = [each.exponentials * (each.largest - shift).exp() for each in blocks]
    logits = [each.logits for each in blocks if each.logits is not None]
    return Sums(
        largest,
        reduce(torch.add, exponentials),
        reduce(torch.add, [each.target for each in blocks]),
        reduce(torch.add, logits) if logits else None,
    )


def normaliser(sums: Sums) -> torch.Tensor:
    """Return the logarithm of the sum of the exponentials of all logits, per token."""
    return sums.largest + sums.exponentials.log()


def losses_of(sums: Sums, smoothing: float, n_outputs: int) -> torch.Tensor:
    """Return what each token loses, of what all blocks together say."""
    losses = normaliser(sums) - (1 - smoothing) * sums.target
    if sums.logits is not None:
        losses = losses - smoothing / n_outputs * sums.logits
    return losses


def gradient_of_hidden(
    block: Block,
    kept: Kept,
    targets: torch.Tensor,
    normalisers: torch.Tensor,
    slopes: torch.Tensor,
    smoothing: float,
) -> torch.Tensor:
    """Return what a block adds to the gradient of what it was given.

    Parameters
    ----------
    block : Block
    kept : Kept
    targets : tensor of shape (n_tokens,)
    normalisers : tensor of shape (n_tokens,)
        As `normaliser` returns them, of all blocks together.
    slopes : tensor of shape (n_tokens,)
        What the loss of the batch grows by with the loss of each token.
    smoothing : float
    """
    weight = block.weight.detach()
    found = kept.exponentials @ weight
    found *= _scales(kept, normalisers, slopes)[:, None]
    (here,) = _has(block, targets).nonzero(as_tuple=True)
    own = weight[targets[here] - block.first]
    found[here] -= ((1 - smoothing) * slopes[here])[:, None] * own
    if smoothing:
        found -= (smoothing / block.n_outputs * slopes)[:, None] * weight.sum(dim=0)
    return found


def add_gradients(
    block: Block,
    kept: Kept,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    normalisers: torch.Tensor,
    slopes: torch.Tensor,
    smoothing: float,
) -> None:
    """Add to the gradients of a block's rows, of those that are trained.

    Parameters
    ----------
    block : Block
    kept : Kept
    hidden, targets, normalisers, slopes, smoothing
        As in `sums_of` and `gradient_of_hidden`.
    """
    scales = _scales(kept, normalisers, slopes)
    (here,) = _has(block, targets).nonzero(as_tuple=True)
    rows, own = targets[here] - block.first, (1 - smoothing) * slopes[here]
    back = kept.exponentials.T
    if block.weight.requires_grad:
        scaled = hidden * scales[:, None]
        total = block.weight.grad
        if total is None:
            total = block.weight.grad = back @ scaled
        else:
            total.addmm_(back, scaled)
        total.index_add_(0, rows, hidden[here] * -own[:, None])
        if smoothing:
            total -= smoothing / block.n_outputs * (slopes @ hidden)
    if block.bias is not None and block.bias.requires_grad:
        if block.bias.grad is None:
            block.bias.grad = torch.zeros_like(block.bias)
        total = block.bias.grad
        total += back @ scales
        total.index_add_(0, rows, -own)
        if smoothing:
            total -= smoothing / block.n_outputs * slopes.sum()


def _finite(largest: torch.Tensor) -> torch.Tensor:
    """Return what exponentials are relative to; where all logits are minus infinity it is 0."""
    return largest.masked_fill(largest == -torch.inf, 0.0)


def _has(block: Block, targets: torch.Tensor) -> torch.Tensor:
    return (targets >= block.first) & (targets < block.first + len(block.weight))


def _scales(kept: Kept, normalisers: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Return what exponentials have to be multiplied by to be gradients of their logits."""
    return slopes * (kept.largest - normalisers).exp()
