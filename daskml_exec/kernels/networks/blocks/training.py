"""Training of one worker's blocks, in step with the workers that have the others."""

import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.backward import backward
from daskml_exec.kernels.networks.blocks.forward import forward
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.blocks.updates import updater
from daskml_exec.kernels.networks.blocks.workspace import (
    BackwardSpace,
    ForwardSpace,
    backward_space,
    forward_space,
)
from daskml_exec.kernels.networks.network import Network
from daskml_exec.kernels.networks.optimisers import Optimiser
from daskml_exec.kernels.stop_points import stop_point

_FLUSH_STEPS = 100


class Batch(NamedTuple):
    """The rows of a step, valid until the next batch is asked for.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (rows, features)
        At an aligned address, in the dtype of the parameters.
    y : ndarray of shape (rows,)
        As ``network.output.targets`` returns it.
    weight : ndarray of shape (rows,), or None for ones
    """

    X: Any
    y: Array
    weight: Array | None


@dataclass(frozen=True)
class BlockSums:
    """What a worker's steps have seen, since an epoch began.

    Attributes
    ----------
    loss : float
        Sum over rows and steps of weight times loss, without the penalty; alike on all workers.
    weight : float
        Sum of the weights; alike on all workers.
    steps : int
        Updates taken; alike on all workers.
    squares : dict of block to float
        Of this worker's blocks: the sum over steps of the squares of weights, before the update.
    finite : bool
        Whether each step's loss was. If not, the last of them is in the sums, but not in `steps`:
        training stopped before its update, on all workers.
    """

    loss: float
    weight: float
    steps: int
    squares: dict[int, float]
    finite: bool


NOTHING = BlockSums(0.0, 0.0, 0, {}, True)
"""Before an epoch's first step."""


def penalised_loss(loss: float, squares: Mapping[int, float], alpha: float) -> float:
    r"""Return the loss over all steps with its penalty, :math:`\tfrac{\alpha}{2} \sum W^2` each.

    Parameters
    ----------
    loss : float
        `BlockSums.loss` of any worker.
    squares : mapping of block to float
        `BlockSums.squares` of all workers together; they are added in the order of the blocks.
    alpha : float
    """
    return loss + 0.5 * alpha * sum(squares[block] for block in sorted(squares))


def train_blocks(
    group: BlockGroup,
    optimiser: Optimiser,
    batches: Iterator[Batch],
    *,
    learning_rate: float,
    alpha: float,
    before: BlockSums,
    ends_epoch: bool,
) -> Generator[None, None, BlockSums]:
    """Take a step for each batch, changing the states of the group's blocks in place.

    It pauses after each step, so that a worker with blocks of several replicas can take turns.
    All workers must go through the same batches. Those of total weight zero are no steps.

    Parameters
    ----------
    group : BlockGroup
    optimiser : Optimiser
    batches : iterator of Batch
    learning_rate : float
    alpha : float
        Strength of the penalty.
    before : BlockSums
        What the steps before have seen. It is added to, in the order of the steps, so that it does
        not matter in how many calls they are taken; and their number tells exchanges apart.
    ends_epoch : bool
        Whether these steps are its last: moments that have decayed are then made zero, as they are
        after every hundred steps of an epoch.

    Returns
    -------
    BlockSums
        Of the steps before and these.
    """
    spaces: dict[int, tuple[ForwardSpace, BackwardSpace]] = {}
    updates = updater(group, optimiser, learning_rate)
    loss, seen, steps, finite = before.loss, before.weight, before.steps, True
    squares = {block: before.squares.get(block, 0.0) for block in group.blocks}
    for X, y, weight in batches:
        stop_point()
        total = float(len(y)) if weight is None else float(weight.sum(dtype=np.float64))
        if not total:
            continue  # rows without weight are rows that are not there
        if len(y) not in spaces:
            spaces[len(y)] = forward_space(group, len(y)), backward_space(group, len(y))
        forth, back = spaces[len(y)]
        # What overflows shows in the loss.
        with np.errstate(over="ignore", invalid="ignore"):
            forward(group, X, forth, steps)
            batch_loss = _replace_by_delta(
                group.network, forth.outputs, y, weight, total, back.losses
            )
        loss, seen = loss + batch_loss, seen + total
        for block in group.blocks:
            squares[block] += float(group.states[block].squares.sum())
        finite = math.isfinite(batch_loss)
        if not finite:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            backward(group, X, forth, back, updates, step=steps, penalty=alpha / total)
        steps += 1
        if steps % _FLUSH_STEPS == 0:
            updates.flush()
        yield
    if ends_epoch:
        updates.flush()
    return BlockSums(loss, seen, steps, squares, finite)


def _replace_by_delta(
    network: Network, outputs: Array, y: Array, weight: Array | None, total: float, losses: Array
) -> float:
    """Replace outputs by the gradient of the mean loss; return the sum of weight times loss."""
    network.output.residual(outputs, y, losses)
    if weight is None:
        outputs *= 1.0 / total
        return float(losses.sum())
    outputs *= weight / total
    return float(losses @ weight)
