r"""What the driver makes of the averaged change of a round."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

MOMENTUM = 0.5
"""With it a change counts twice in the end. With DiLoCo's momentum of 0.9 and rate of 0.7 it counts
seven times, which networks that average more often than once an epoch do not survive."""


def outer_step(rule: str, velocity: Array | None, change: Array) -> tuple[Array, Array | None]:
    r"""Return the change to apply, and the velocity to remember.

    "average" applies the averaged change d itself. "nesterov" takes it for a gradient:

    .. math:: u \leftarrow \mu u + d, \quad \theta \leftarrow \theta + d + \mu u,
              \quad \mu = \tfrac12

    An average of local models has less noise than each of them, which the momentum turns into
    longer steps.

    Source: Wang, Tantia, Ballas and Rabbat (2020), SlowMo: improving communication-efficient
    distributed SGD with slow momentum, ICLR; Douillard et al. (2023), DiLoCo: distributed
    low-communication training of language models.
    """
    if rule == "average":
        return change, None
    velocity = change if velocity is None else MOMENTUM * velocity + change
    return change + MOMENTUM * velocity, velocity
