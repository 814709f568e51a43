"""What a fit goes on with, and with which module it cannot."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.torch._layout import Layout
from daskml_exec.training.averaging import Chain, Model, Progress


@dataclass(frozen=True)
class Remembered:
    """What `partial_fit` goes on with.

    Attributes
    ----------
    model : Model
        With the state of its optimiser, and without what early stopping has chosen.
    progress : Progress
    velocity : ndarray or None
        Of the outer rule.
    chain : Chain or None
        Of compressed rounds.
    """

    model: Model
    progress: Progress
    velocity: Array | None
    chain: Chain | None


@dataclass(frozen=True)
class Last:
    """What the fit before has left, for this one to go on with.

    Attributes
    ----------
    layout : Layout
    weights : Model
        Those that users see, without an optimiser.
    remembered : Remembered
    """

    layout: Layout
    weights: Model
    remembered: Remembered


def begun_anew(new: Model, weights: Model, layout: Layout) -> Model:
    """Return a new model with the weights of another, whose optimiser has not taken a step.

    Parameters
    ----------
    new, weights : Model
    layout : Layout
        Of both.
    """
    n = layout.counters.size
    largest = np.concatenate([weights.buffers.largest[:n], new.buffers.largest[n:]])
    buffers = replace(weights.buffers, largest=largest)
    return replace(new, parameters=weights.parameters, buffers=buffers)


def require_same_layout(last: Layout, layout: Layout, optimizer: Any) -> None:
    """Raise ValueError unless a module is like the one that was trained last.

    Parameters
    ----------
    last, layout : Layout
        Of the last fit, and of this one.
    optimizer : object
        The argument, where training goes on with what the last optimiser remembers; else None.
    """
    if last.of_module != layout.of_module:
        raise ValueError(
            f"the module is another one than in the last fit: it had {_in_words(last)}, and has "
            f"{_in_words(layout)}; fit with warm_start=False begins anew"
        )
    if optimizer is not None and last != layout:
        raise ValueError(
            f"{optimizer=} remembers other things than that of the last call, with which "
            "partial_fit would go on; allowed is the same one, and fit, which begins anew, or with "
            "warm_start=True from the weights alone"
        )


def _in_words(layout: Layout) -> str:
    named = {
        name: shape
        for slots in layout.of_module
        for name, shape in zip(slots.names, slots.shapes, strict=True)
    }
    told = [f"{name}{list(shape)}" for name, shape in named.items()]
    return ", ".join(told[:6]) + (", ..." if len(told) > 6 else "") + f" of {layout.dtype}"
