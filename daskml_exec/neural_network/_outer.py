r"""What the driver makes of the averaged change of a round."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

RATE, MOMENTUM = 0.7, 0.8
"""In the end a change counts three and a half times. With DiLoCo's momentum of 0.9 it counts seven
times, which steep problems do not survive where partitions are many or averages frequent."""

LEAST_STEPS = 16
"""Rounds of fewer steps are averaged without momentum, unless it is asked for: it would only
lengthen steps that the optimiser has made as long as they may be."""


def outer_rule(outer: str, sync_steps: int) -> str:
    """Return "average" or "nesterov", whichever "auto" means for rounds of so many steps."""
    if outer != "auto":
        return outer
    return "nesterov" if sync_steps >= LEAST_STEPS else "average"


def outer_step(rule: str, velocity: Array | None, change: Array) -> tuple[Array, Array | None]:
    r"""Return the change to apply, and the velocity to remember.

    "average" applies the averaged change d itself. "nesterov" takes it for a gradient:

    .. math:: u \leftarrow \mu u + d, \quad \theta \leftarrow \theta + \eta (d + \mu u),
              \quad \mu = 0.8, \ \eta = 0.7

    An average of local models has less noise than each of them, which the momentum turns into
    longer steps.

    Source: Wang, Tantia, Ballas and Rabbat (2020), SlowMo: improving communication-efficient
    distributed SGD with slow momentum, ICLR; Douillard et al. (2023), DiLoCo: distributed
    low-communication training of language models.
    """
    if rule == "average":
        return change, None
    velocity = change if velocity is None else MOMENTUM * velocity + change
    return RATE * (change + MOMENTUM * velocity), velocity
