r"""What the driver makes of the averaged change of a round."""

from dataclasses import dataclass

from daskml_exec.kernels.arrays import Array

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

    def step(self, velocity: Array | None, change: Array) -> tuple[Array, Array | None]:
        """Return the change to apply, and the velocity to remember."""
        if not self.momentum:
            return change, None
        velocity = change if velocity is None else self.momentum * velocity + change
        return self.rate * (change + self.momentum * velocity), velocity


def outer_rule(outer: str, sync_steps: int) -> Outer:
    """Return what "average", "nesterov" or "auto" means for rounds of so many steps.

    Examples
    --------
    >>> outer_rule("auto", 8), outer_rule("auto", 500) == outer_rule("nesterov", 1)
    (Outer(rate=0.85, momentum=0.4), True)
    """
    if outer == "average":
        return Outer()
    share = 1.0 if outer == "nesterov" else min(1.0, sync_steps / STEPS)
    return Outer(1.0 - share * (1.0 - RATE), share * MOMENTUM)
