r"""What the driver makes of the averaged change of a round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from daskml_exec.kernels.arrays import Array
from daskml_exec.training.averaging._batching import Batching

RATE, MOMENTUM = 0.7, 0.8
"""In the end a change counts three and a half times. With DiLoCo's momentum of 0.9 it counts seven
times, which steep problems do not survive where partitions are many or averages frequent."""

STEPS = 16
"""Rounds of fewer steps have less of the momentum: they come more often, and it would only lengthen
steps that the optimiser has made as long as they may be."""


@dataclass(frozen=True)
class Outer:
    r"""The average taken for a step of its own.

    .. math:: u \leftarrow \mu u + d, \quad \theta \leftarrow \theta + \eta (d + \mu u)

    with the averaged change d. An average of local models has less noise than each of them, which
    the momentum turns into longer steps. With a rate of one and no momentum the parameters become
    the average itself.

    Source: Wang, Tantia, Ballas and Rabbat (2020), SlowMo: improving communication-efficient
    distributed SGD with slow momentum, ICLR; Douillard et al. (2023), DiLoCo: distributed
    low-communication training of language models.
    """

    rate: float = 1.0
    momentum: float = 0.0

    @property
    def gain(self) -> float:
        """How many times a change counts in the end."""
        return self.rate / (1.0 - self.momentum)

    def step(self, velocity: Array | None, change: Array) -> tuple[Array, Array | None]:
        """Return the change to apply, and the velocity to remember."""
        if not self.momentum:
            return change, None
        velocity = change if velocity is None else self.momentum * velocity + change
        return self.rate * (change + self.momentum * velocity), velocity


def outer_rule(outer: str, batching: Batching) -> Outer:
    r"""Return what "average", "nesterov" or "auto" means for steps and rounds like these.

    A step of an optimiser like Adam goes as far whatever its rows, in a direction that is the more
    noise the fewer they are: of K partitions that share a batch, each goes only :math:`1/\sqrt{K}`
    as far down the slope as one process does with all of it. "auto" makes up for just that, so that
    a learning rate that suits one process suits any number of partitions. Of uneven partitions
    there count :math:`K = (\sum n_i)^2 / \sum n_i^2`.

    Parameters
    ----------
    outer : {"auto", "average", "nesterov"}
    batching : Batching

    Examples
    --------
    >>> from daskml_exec.training.averaging import batching
    >>> two = batching([15000, 15000], 200, "epoch", linear_scaling=False)
    >>> many = batching([1500] * 20, 200, 94, linear_scaling=False)
    >>> rule = outer_rule("auto", two)
    >>> print(f"{rule.rate:.2f} {rule.momentum:.2f}, in the end {rule.gain:.3f}")
    0.85 0.40, in the end 1.414
    >>> outer_rule("auto", many) == outer_rule("nesterov", two)
    True
    """
    if outer == "average":
        return Outer()
    share = 1.0
    if outer == "auto":
        share = _share_of(math.sqrt(_partitions_that_count(batching.rows)))
        share *= min(1.0, batching.sync_steps / STEPS)
    return Outer(1.0 - share * (1.0 - RATE), share * MOMENTUM)


def _partitions_that_count(rows: Sequence[int]) -> float:
    return sum(rows) ** 2 / sum(n * n for n in rows)


def _share_of(gain: float) -> float:
    """Return how much of Nesterov's rule makes a change count so many times in the end."""
    return min(1.0, (gain - 1.0) / (gain * MOMENTUM - (1.0 - RATE)))
